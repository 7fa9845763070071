//! How often one address may ask: a bucket that refills steadily and holds a burst.
//!
//! The clock is the caller's, the number of buckets has a bound: where it is reached, buckets that
//! have refilled are forgotten, and an address that is still unknown shares one bucket with others.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

const MOST: usize = 4096;

/// Requests a second and in a burst. AWS: `ECS_TASK_METADATA_RPS_LIMIT`, 40 and 60.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    pub steady: f64,
    pub burst: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { steady: 40.0, burst: 60.0 }
    }
}

struct Bucket {
    left: f64,
    at: Duration,
}

pub(crate) struct Buckets {
    pace: Pace,
    known: BTreeMap<IpAddr, Bucket>,
    others: Bucket,
}

impl Buckets {
    pub fn new(pace: Pace) -> Self {
        let others = Bucket { left: pace.burst, at: Duration::ZERO };
        Buckets { pace, known: BTreeMap::new(), others }
    }

    /// Whether one more request is fine at a time since the start.
    pub fn admit(&mut self, from: IpAddr, now: Duration) -> bool {
        let pace = self.pace;
        if !self.known.contains_key(&from) && self.known.len() >= MOST {
            self.known.retain(|_, bucket| filled(pace, bucket, now) < pace.burst);
        }
        let bucket = if self.known.len() < MOST || self.known.contains_key(&from) {
            self.known.entry(from).or_insert(Bucket { left: pace.burst, at: now })
        } else {
            &mut self.others
        };
        bucket.left = filled(pace, bucket, now);
        bucket.at = now.max(bucket.at);
        let fine = bucket.left >= 1.0;
        if fine {
            bucket.left -= 1.0;
        }
        fine
    }
}

fn filled(pace: Pace, bucket: &Bucket, now: Duration) -> f64 {
    let passed = now.saturating_sub(bucket.at).as_secs_f64();
    (bucket.left + passed * pace.steady).min(pace.burst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_steady_rate() {
        let mut buckets = Buckets::new(Pace { steady: 2.0, burst: 3.0 });
        let from: IpAddr = "10.0.0.1".parse().unwrap();
        let other: IpAddr = "10.0.0.2".parse().unwrap();
        let start = Duration::from_secs(5);
        let taken = (0..5).filter(|_| buckets.admit(from, start)).count();
        assert_eq!(taken, 3);
        assert!(buckets.admit(other, start));
        assert!(!buckets.admit(from, start + Duration::from_millis(400)));
        assert!(buckets.admit(from, start + Duration::from_millis(500)));
    }

    #[test]
    fn addresses_without_end_cost_no_memory() {
        let mut buckets = Buckets::new(Pace { steady: 1.0, burst: 1.0 });
        for n in 0..3 * MOST as u32 {
            buckets.admit(IpAddr::V4(n.into()), Duration::from_secs(1));
        }
        assert!(buckets.known.len() <= MOST);
        let late = Duration::from_secs(60);
        assert!(buckets.admit("10.0.0.1".parse().unwrap(), late));
    }
}
