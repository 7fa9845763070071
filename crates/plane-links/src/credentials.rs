//! Which credentials an instance's tasks have, and when they are to be made anew.
//!
//! AWS: an agent keeps credentials in memory alone. It says on its first connection that it has none
//! (`sendCredentials`), and otherwise waits for new ones to come well before the old ones end. So half of
//! their life is when they are made anew, and what this process does not know of is made anew at once.

use std::collections::BTreeMap;

use core_types::Time;

use crate::world::Want;

/// Credentials that are made at once.
pub(crate) const AT_ONCE: usize = 64;

/// How long to wait after they could not be had.
const RETRY_MS: i64 = 5_000;

#[derive(Debug, Default)]
pub(crate) struct Renewals(BTreeMap<Want, Time>);

impl Renewals {
    /// They were issued: when half their life is over, they are due.
    pub fn issued(&mut self, want: Want, now: Time, expires: Time) {
        let half = (expires.millis() - now.millis()).max(0) / 2;
        self.0.insert(want, Time(now.millis() + half));
    }

    pub fn failed(&mut self, want: Want, now: Time) {
        self.0.insert(want, Time(now.millis() + RETRY_MS));
    }

    /// They are due now, if nothing is known of them or `anyway`.
    pub fn ask(&mut self, want: Want, now: Time, anyway: bool) {
        if anyway {
            self.0.insert(want, now);
        }
        self.0.entry(want).or_insert(now);
    }

    pub fn drop_task(&mut self, task: core_types::Id128) {
        use crate::world::RoleType::{Application, Execution};
        for role in [Application, Execution] {
            self.0.remove(&Want { task, role });
        }
    }

    pub fn next(&self) -> Option<Time> {
        self.0.values().min().copied()
    }

    /// Some of those that are due.
    pub fn due(&self, now: Time) -> Vec<Want> {
        let due = self.0.iter().filter(|(_, at)| **at <= now).map(|(want, _)| *want);
        due.take(AT_ONCE).collect()
    }
}

#[cfg(test)]
mod tests {
    use core_types::Id128;

    use super::*;
    use crate::world::RoleType;

    #[test]
    fn credentials_are_renewed_at_half_their_life() {
        let want = Want { task: Id128([1; 16]), role: RoleType::Application };
        let mut renewals = Renewals::default();
        renewals.ask(want, Time(100), false);
        assert_eq!(renewals.due(Time(100)), vec![want]);
        renewals.issued(want, Time(100), Time(1100));
        assert_eq!((renewals.due(Time(599)), renewals.next()), (vec![], Some(Time(600))));
        renewals.ask(want, Time(200), false);
        assert_eq!(renewals.next(), Some(Time(600)));
        renewals.ask(want, Time(200), true);
        assert_eq!(renewals.due(Time(200)), vec![want]);
        renewals.failed(want, Time(200));
        assert_eq!(renewals.due(Time(200)), vec![]);
        renewals.drop_task(want.task);
        assert_eq!(renewals.next(), None);
    }
}
