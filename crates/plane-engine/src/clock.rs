//! Core's clock: follows the system's, but never runs backwards and never stands still.
//!
//! A system clock set back an hour must not freeze deadlines for an hour, and must not make new
//! rows older than old ones. So the clock adds up monotonic time; it jumps forward with the system
//! at once (time that did pass), and when the system is behind it runs at half speed until met.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use core_types::Time;

pub struct Clock {
    last: Time,
    read_at: Instant,
    /// Monotonic time not yet counted: less than a millisecond.
    rest: Duration,
}

impl Clock {
    /// A clock that is nowhere before `floor`, the newest time already in the journal.
    pub fn starting_after(floor: Time) -> Self {
        Clock { last: system_time().max(floor), read_at: Instant::now(), rest: Duration::ZERO }
    }

    pub fn now(&mut self) -> Time {
        let read_at = Instant::now();
        let passed = read_at.duration_since(self.read_at) + self.rest;
        let whole = Duration::from_millis(passed.as_millis() as u64);
        (self.read_at, self.rest) = (read_at, passed - whole);
        self.last = advance(self.last, whole, system_time());
        self.last
    }
}

/// The system's clock, as it is.
pub(crate) fn system_time() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn advance(last: Time, passed: Duration, system: Time) -> Time {
    let straight = last + passed;
    if straight <= system { system } else { (last + passed / 2).max(system) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn follows_the_system_clock() {
        assert_eq!(advance(Time(0), SECOND, Time(1_000)), Time(1_000));
    }

    #[test]
    fn a_jump_forward_is_taken_at_once() {
        assert_eq!(advance(Time(0), SECOND, Time(3_600_000)), Time(3_600_000));
    }

    #[test]
    fn a_jump_back_neither_rewinds_nor_freezes() {
        let mut now = Time(3_600_000);
        let mut system = Time(0);
        let mut rounds = 0;
        while now > system {
            let next = advance(now, SECOND, system);
            assert!(next > now);
            now = next;
            system = system + SECOND;
            rounds += 1;
        }
        // Half speed closes an hour's gap in two hours.
        assert!((7_000..=7_300).contains(&rounds), "{rounds}");
    }
}
