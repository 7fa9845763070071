//! What went through a container's network: the kernel's counters, read where its process is.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use core_types::Time;
use host_endpoints::NetworkCounters;

/// By interface; the loopback is nobody's traffic.
pub type Counters = BTreeMap<String, NetworkCounters>;

/// More interfaces than any task has.
const MOST: usize = 16;

/// The counters in the network of a process; nothing where it has ended.
pub fn of_process(pid: u32) -> Counters {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    parse(&text)
}

/// Two lines of headings, then a line for each interface: eight numbers in, eight out.
fn parse(text: &str) -> Counters {
    let each = text.lines().skip(2).filter_map(|line| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> =
            numbers.split_ascii_whitespace().map_while(|n| n.parse().ok()).collect();
        let [rx_bytes, rx_packets, rx_errors, rx_dropped, _, _, _, _, rest @ ..] = &numbers[..]
        else {
            return None;
        };
        let [tx_bytes, tx_packets, tx_errors, tx_dropped, ..] = rest else { return None };
        let counters = NetworkCounters {
            rx_bytes: *rx_bytes,
            rx_packets: *rx_packets,
            rx_errors: *rx_errors,
            rx_dropped: *rx_dropped,
            tx_bytes: *tx_bytes,
            tx_packets: *tx_packets,
            tx_errors: *tx_errors,
            tx_dropped: *tx_dropped,
        };
        Some((name.trim().to_owned(), counters))
    });
    each.filter(|(name, _)| name != "lo").take(MOST).collect()
}

/// What a container's network has carried, and bytes a second since the reading before: in, out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    pub counters: Counters,
    pub rates: Option<(f64, f64)>,
}

/// The newest reading of each container.
#[derive(Default)]
pub struct Carried(Mutex<BTreeMap<String, (Time, Traffic)>>);

impl Carried {
    pub fn take(&self, id: &str, at: Time, counters: Counters) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.get(id);
        let rates = before.and_then(|(then, before)| {
            let seconds = at.since(*then).as_secs_f64();
            let rate = |of: fn(&NetworkCounters) -> u64| {
                let sum = |all: &Counters| all.values().map(of).fold(0, u64::saturating_add);
                // A restarted container counts from zero again.
                let more = sum(&counters).checked_sub(sum(&before.counters))?;
                Some(more as f64 / seconds)
            };
            (seconds > 0.0).then_some(())?;
            rate(|one| one.rx_bytes).zip(rate(|one| one.tx_bytes))
        });
        known.insert(id.to_owned(), (at, Traffic { counters, rates }));
    }

    pub fn newest(&self, id: &str) -> Option<Traffic> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).map(|(_, traffic)| traffic.clone())
    }

    /// Those of other containers are of interest no more.
    pub fn keep(&self, ids: &[String]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| ids.contains(id));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop\n    \
        lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n  eth0: 100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0\n";

    #[test]
    fn counters_and_rates() {
        let counters = parse(TEXT);
        assert_eq!(counters.len(), 1);
        let eth0 = counters["eth0"];
        assert_eq!((eth0.rx_bytes, eth0.rx_dropped, eth0.tx_bytes), (100, 4, 500));
        let carried = Carried::default();
        carried.take("a", Time(0), counters.clone());
        assert_eq!(carried.newest("a").unwrap().rates, None);
        carried.take("a", Time(2000), parse(&TEXT.replace("100", "300")));
        assert_eq!(carried.newest("a").unwrap().rates, Some((100.0, 0.0)));
        carried.take("a", Time(4000), counters);
        assert_eq!(carried.newest("a").unwrap().rates, None, "it was started again");
        carried.keep(&[]);
        assert_eq!(carried.newest("a"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "(.{0,40}\n){0,6}", tail in "[ a-z0-9:]{0,80}") {
            parse(&text);
            let text = format!("\n\n{tail}");
            prop_assert!(parse(&text).len() <= MOST);
        }
    }
}
