//! When a rolling deployment has done enough to be called a success before all is in place.
//!
//! AWS calls it early success criteria: a part of the desired count is enough, and the older
//! versions' tasks go before the success or after it.

use crate::Census;

/// What a deployment is to have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Criteria {
    /// So much of the desired count does well, of the newest version.
    pub percent: u32,
    /// Nothing is left of the older versions.
    pub alone: bool,
}

impl Criteria {
    /// AWS: rounded up; and whatever the percent, one task must have done well, where any is wanted.
    pub fn needed(self, desired: u32) -> u32 {
        let share = u64::from(desired) * u64::from(self.percent);
        let part = u32::try_from(share.div_ceil(100)).unwrap_or(u32::MAX);
        part.max(1).min(desired)
    }

    /// Enough of the newest version do well. What is about to move is no proof of anything.
    pub fn are_met(self, desired: u32, census: &Census) -> bool {
        let well = census.count(|version, kind| version == 0 && kind.serves() && !kind.to_be_moved);
        well >= self.needed(desired)
    }

    /// Nothing is left to wait for.
    pub fn are_fulfilled(self, desired: u32, census: &Census) -> bool {
        let older = census.count(|version, _| version > 0);
        self.are_met(desired, census) && (older == 0 || !self.alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Health, Kind, Phase};

    const GOOD: Kind =
        Kind { phase: Phase::Up, health: Health::Good, protected: false, to_be_moved: false };

    #[test]
    fn the_numbers_of_the_documentation() {
        let table = [(2, 50, 1), (3, 50, 2), (10, 80, 8), (100, 90, 90), (10, 100, 10)];
        for (desired, percent, needed) in table {
            let criteria = Criteria { percent, alone: false };
            assert_eq!(criteria.needed(desired), needed, "{percent} % of {desired}");
        }
        let none = Criteria { percent: 0, alone: false };
        assert_eq!((none.needed(10), none.needed(0)), (1, 0), "one must have come up");
        assert_eq!(Criteria { percent: 100, alone: true }.needed(u32::MAX), u32::MAX);
    }

    #[test]
    fn what_leaves_and_what_moves_does_not_count() {
        let mut census = Census::default();
        census.add(0, GOOD, 1);
        census.add(0, Kind { to_be_moved: true, ..GOOD }, 1);
        census.add(0, Kind { phase: Phase::Leaving, ..GOOD }, 1);
        census.add(1, Kind { phase: Phase::Leaving, ..GOOD }, 1);
        let half = |alone| Criteria { percent: 50, alone };
        assert!(half(true).are_met(2, &census) && !half(true).are_met(3, &census));
        assert!(half(false).are_fulfilled(2, &census));
        assert!(!half(true).are_fulfilled(2, &census), "an older one has not gone yet");
    }
}
