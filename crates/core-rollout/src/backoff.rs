//! Waiting before the next try where a version's tasks keep failing at their start.
//!
//! AWS: the time between tries grows up to 27 minutes, and a task that comes up ends it.

use core_types::Time;

const SECOND: i64 = 1000;
/// Tries that are made at once.
const FREE: u32 = 10;
const FIRST: i64 = 10 * SECOND;
const LONGEST: i64 = 27 * 60 * SECOND;

/// What is kept of the failures of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    pub failures: u32,
    pub last: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    None,
    Until(Time),
}

impl Backoff {
    pub fn fail(self, now: Time) -> Self {
        Backoff { failures: self.failures.saturating_add(1), last: Some(now) }
    }

    pub fn succeed(self) -> Self {
        Backoff::default()
    }

    /// Whether starts are slowed down; the service tells of it in an event.
    pub fn is_throttled(self) -> bool {
        self.failures >= FREE
    }

    pub fn wait(self, now: Time) -> Wait {
        let Some(last) = self.last.filter(|_| self.is_throttled()) else { return Wait::None };
        let doublings = (self.failures - FREE).min(20);
        let until = Time(last.0.saturating_add((FIRST << doublings).min(LONGEST)));
        if now < until { Wait::Until(until) } else { Wait::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_a_success_ends_them() {
        let mut backoff = Backoff::default();
        for n in 0..FREE {
            assert_eq!(backoff.wait(Time(0)), Wait::None, "after {n}");
            backoff = backoff.fail(Time(0));
        }
        assert_eq!(backoff.wait(Time(0)), Wait::Until(Time(FIRST)));
        assert_eq!(backoff.wait(Time(FIRST)), Wait::None);
        for _ in 0..100 {
            backoff = backoff.fail(Time(0));
        }
        assert_eq!(backoff.wait(Time(0)), Wait::Until(Time(LONGEST)));
        assert_eq!(backoff.succeed().wait(Time(0)), Wait::None);
    }
}
