//! Which tasks go when there are too many.
//!
//! AWS: those that do not run yet or do badly first; then so that the zones stay even, and within
//! a zone from the host with the most; of equals the youngest.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::{Phase, Task};

/// How dear a task is, whatever the others: the cheapest go first.
fn worth<K>(task: &Task<K>) -> (bool, bool, bool) {
    (task.serves(), task.phase == Phase::Up, !task.to_be_moved)
}

/// The `count` tasks to stop of those given, in order. Protected ones and those already leaving are
/// never chosen.
pub fn choose_stops<K: Copy + Ord>(tasks: &[Task<K>], count: u32) -> Vec<K> {
    let mut left: Vec<&Task<K>> =
        tasks.iter().filter(|task| task.stays() && !task.protected).collect();
    let mut zones: BTreeMap<u32, u32> = BTreeMap::new();
    let mut hosts: BTreeMap<u32, u32> = BTreeMap::new();
    for task in tasks.iter().filter(|task| task.stays()) {
        *zones.entry(task.zone).or_default() += 1;
        *hosts.entry(task.host).or_default() += 1;
    }
    let mut chosen = Vec::new();
    while (chosen.len() as u64) < u64::from(count) {
        let rank = |task: &Task<K>| {
            let crowd = (Reverse(zones[&task.zone]), Reverse(hosts[&task.host]));
            (worth(task), crowd, Reverse(task.created_at), task.key)
        };
        let Some(at) = (0..left.len()).min_by_key(|at| rank(left[*at])) else { break };
        let task = left.swap_remove(at);
        for (counts, of) in [(&mut zones, task.zone), (&mut hosts, task.host)] {
            if let Some(number) = counts.get_mut(&of) {
                *number -= 1;
            }
        }
        chosen.push(task.key);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use core_types::Time;

    use super::*;
    use crate::Health;

    fn task(key: u32, zone: u32, host: u32, health: Health) -> Task<u32> {
        Task {
            key,
            version: 0,
            phase: Phase::Up,
            health,
            protected: false,
            to_be_moved: false,
            zone,
            host,
            created_at: Time(i64::from(key)),
        }
    }

    #[test]
    fn the_bad_first_then_the_fuller_zone_then_the_youngest() {
        let good = Health::Good;
        let mut tasks = vec![
            task(1, 0, 0, good),
            task(2, 0, 1, good),
            task(3, 0, 1, good),
            task(4, 1, 2, good),
            task(5, 1, 3, Health::Bad),
        ];
        assert_eq!(choose_stops(&tasks, 3), [5, 3, 2]);
        tasks[2].protected = true;
        assert_eq!(choose_stops(&tasks, 9), [5, 2, 1, 4]);
    }
}
