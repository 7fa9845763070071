//! Counters by what the caller saw, for `/metrics`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the latency buckets, in microseconds.
const BUCKETS: [u64; 8] = [100, 500, 1_000, 5_000, 25_000, 100_000, 1_000_000, 10_000_000];

/// Service and operation.
type Name = (&'static str, &'static str);

#[derive(Debug, Default)]
pub struct Figures {
    /// The successes of each offered action, by its place.
    succeeded: Vec<(Name, AtomicU64)>,
    /// Everything else, by status too. Operations are a closed set, so this cannot grow at will.
    others: Mutex<BTreeMap<(Name, u16), u64>>,
    buckets: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
    pub open_connections: AtomicU64,
}

impl Figures {
    pub fn new(offered: Vec<Name>) -> Figures {
        let succeeded = offered.into_iter().map(|name| (name, AtomicU64::new(0))).collect();
        Figures { succeeded, ..Figures::default() }
    }

    pub fn count(&self, place: Option<usize>, name: Name, status: u16, took: Duration) {
        let micros = took.as_micros() as u64;
        let bucket = BUCKETS.iter().position(|bound| micros <= *bound).unwrap_or(BUCKETS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        match place.and_then(|place| self.succeeded.get(place)) {
            Some((_, count)) if status == 200 => drop(count.fetch_add(1, Ordering::Relaxed)),
            _ => {
                let mut others = self.others.lock().unwrap_or_else(|e| e.into_inner());
                *others.entry((name, status)).or_default() += 1;
            }
        }
    }

    /// The Prometheus text form.
    pub fn write(&self, out: &mut String) {
        let _ = writeln!(out, "# TYPE wharf_requests_total counter");
        let succeeded = self.succeeded.iter();
        let succeeded = succeeded.map(|(name, n)| ((*name, 200), n.load(Ordering::Relaxed)));
        let mut requests: BTreeMap<(Name, u16), u64> = succeeded.filter(|(_, n)| *n > 0).collect();
        let others = self.others.lock().unwrap_or_else(|e| e.into_inner());
        others.iter().for_each(|(name, n)| *requests.entry(*name).or_default() += n);
        drop(others);
        for (((service, operation), status), n) in requests {
            let _ = writeln!(
                out,
                "wharf_requests_total{{service=\"{service}\",operation=\"{operation}\",status=\"{status}\"}} {n}"
            );
        }
        let _ = writeln!(out, "# TYPE wharf_request_seconds histogram");
        let mut sum = 0;
        for (bound, bucket) in BUCKETS.iter().zip(&self.buckets) {
            sum += bucket.load(Ordering::Relaxed);
            let bound = *bound as f64 / 1e6;
            let _ = writeln!(out, "wharf_request_seconds_bucket{{le=\"{bound}\"}} {sum}");
        }
        sum += self.buckets[BUCKETS.len()].load(Ordering::Relaxed);
        let seconds = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        let _ = writeln!(out, "wharf_request_seconds_bucket{{le=\"+Inf\"}} {sum}");
        let _ = writeln!(out, "wharf_request_seconds_sum {seconds}");
        let _ = writeln!(out, "wharf_request_seconds_count {sum}");
        let open = self.open_connections.load(Ordering::Relaxed);
        let _ = writeln!(out, "# TYPE wharf_open_connections gauge\nwharf_open_connections {open}");
    }
}
