//! Evening out a service over its zones: new tasks where there are few first, and as many go from
//! where there are most once the new ones serve.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A zone as a service has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// Tasks that stay.
    pub tasks: u32,
    /// Those of them that may be chosen to go.
    pub free: u32,
    /// New tasks may be started there.
    pub open: bool,
}

/// How many tasks to start in which zones, so that as many can go from the fullest. Nothing where no
/// open zone has two fewer than another could give of. Never more than `room`.
pub fn plan_balance<Z: Clone + Ord>(zones: &BTreeMap<Z, Zone>, room: u32) -> BTreeMap<Z, u32> {
    let mut zones: Vec<(&Z, Zone)> = zones.iter().map(|(name, zone)| (name, *zone)).collect();
    let mut starts = BTreeMap::new();
    for _ in 0..room {
        let all = || zones.iter().enumerate();
        let giving = all().filter(|(_, (_, zone))| zone.free > 0);
        let fullest = giving.max_by_key(|(nth, (_, zone))| (zone.tasks, Reverse(*nth)));
        let open = all().filter(|(_, (_, zone))| zone.open);
        let emptiest = open.min_by_key(|(nth, (_, zone))| (zone.tasks, *nth));
        let Some(((from, _), (to, _))) = fullest.zip(emptiest) else { break };
        if zones[from].1.tasks < zones[to].1.tasks + 2 {
            break;
        }
        zones[from].1.tasks -= 1;
        zones[from].1.free -= 1;
        zones[to].1.tasks += 1;
        *starts.entry(zones[to].0.clone()).or_default() += 1;
    }
    starts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone(tasks: u32, free: u32, open: bool) -> Zone {
        Zone { tasks, free, open }
    }

    #[test]
    fn the_emptiest_zones_are_filled_from_the_fullest() {
        let zones = BTreeMap::from([
            ("a", zone(6, 6, true)),
            ("b", zone(3, 3, true)),
            ("c", zone(0, 0, true)),
        ]);
        assert_eq!(plan_balance(&zones, 9), BTreeMap::from([("c", 3)]));
        assert_eq!(plan_balance(&zones, 2), BTreeMap::from([("c", 2)]));
        let held = BTreeMap::from([("a", zone(6, 1, true)), ("b", zone(0, 0, true))]);
        assert_eq!(plan_balance(&held, 9), BTreeMap::from([("b", 1)]), "the others are protected");
        let shut = BTreeMap::from([("a", zone(6, 6, true)), ("b", zone(0, 0, false))]);
        assert_eq!(plan_balance(&shut, 9), BTreeMap::new(), "nothing can be started there");
    }

    proptest! {
        /// Carried out, a plan leaves zones as even as room and protection let them be, and
        /// another plan finds nothing more to do.
        #[test]
        fn plans_even_out_and_come_to_an_end(
            given in prop::collection::btree_map(
                0..5u8, (0..12u32, 0..12u32, prop::bool::weighted(0.8)), 0..5),
            room in 0..40u32,
        ) {
            let mut zones: BTreeMap<u8, Zone> = given
                .into_iter()
                .map(|(name, (tasks, free, open))| (name, zone(tasks, free.min(tasks), open)))
                .collect();
            let before: u32 = zones.values().map(|zone| zone.tasks).sum();
            let starts = plan_balance(&zones, room);
            let count: u32 = starts.values().sum();
            prop_assert!(count <= room);
            for (name, n) in &starts {
                let to = zones.get_mut(name).ok_or(TestCaseError::fail("a zone that is there"))?;
                prop_assert!(to.open);
                (to.tasks, to.free) = (to.tasks + n, to.free + n);
            }
            for _ in 0..count {
                let free = zones.values_mut().filter(|zone| zone.free > 0);
                let from = free.max_by_key(|zone| zone.tasks);
                let from = from.ok_or(TestCaseError::fail("somebody may go"))?;
                (from.tasks, from.free) = (from.tasks - 1, from.free - 1);
            }
            prop_assert_eq!(zones.values().map(|zone| zone.tasks).sum::<u32>(), before);
            if count < room {
                prop_assert_eq!(plan_balance(&zones, room), BTreeMap::new());
            }
        }
    }
}
