//! Which tasks go when there are too many.
//!
//! AWS: those that do not run yet or do badly first; then so that the zones stay even, and within
//! a zone from the host with the most; of equals the youngest.
//!
//! Each task that goes changes how crowded its zone and host are. So the tasks of a host in a zone
//! wait in a line of their own: a choice looks at the first of the best line of each zone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use core_types::Time;

use crate::Task;

/// How dear a task is, whatever the others: the cheapest go first.
fn worth<K>(task: &Task<K>) -> (bool, bool, bool) {
    (task.serves(), task.kind().phase == crate::Phase::Up, !task.to_be_moved)
}

/// The `count` tasks to stop of those given, in order. Protected ones and those already leaving are
/// never chosen.
pub fn choose_stops<'t, K: Copy + Ord>(tasks: &[&'t Task<K>], count: u32) -> Vec<&'t Task<K>> {
    let mut crowds = Crowds::default();
    let mut worths: BTreeMap<_, Vec<&'t Task<K>>> = BTreeMap::new();
    for task in tasks.iter().filter(|task| task.stays() && count > 0) {
        *crowds.zones.entry(task.zone).or_default() += 1;
        *crowds.hosts.entry(task.host).or_default() += 1;
        if !task.protected {
            worths.entry(worth(task)).or_default().push(task);
        }
    }
    let mut chosen = Vec::new();
    for equals in worths.into_values() {
        let mut lines = Lines::new(equals, &crowds);
        while (chosen.len() as u64) < u64::from(count)
            && let Some(task) = lines.next(&mut crowds)
        {
            chosen.push(task);
        }
    }
    chosen
}

/// Tasks that stay, by zone and by host.
#[derive(Default)]
struct Crowds {
    zones: BTreeMap<u32, u32>,
    hosts: BTreeMap<u32, u32>,
}

/// What a line is chosen by: its host's crowd, and the first that stands in it.
type Front<K> = (Reverse<u32>, Reverse<Time>, K);

/// Tasks of equal worth.
struct Lines<'t, K> {
    /// By zone and host, the youngest at the end.
    waiting: BTreeMap<(u32, u32), Vec<&'t Task<K>>>,
    /// Of each zone the lines, the best first.
    fronts: BTreeMap<u32, BTreeSet<(Front<K>, u32)>>,
    /// The zones that a host's tasks are in: one, where its caller numbers as the world is.
    zones_of: BTreeMap<u32, BTreeSet<u32>>,
}

impl<'t, K: Copy + Ord> Lines<'t, K> {
    fn new(tasks: Vec<&'t Task<K>>, crowds: &Crowds) -> Self {
        let (waiting, fronts, zones_of) = Default::default();
        let mut lines = Lines { waiting, fronts, zones_of };
        for task in tasks {
            lines.waiting.entry((task.zone, task.host)).or_default().push(task);
            lines.zones_of.entry(task.host).or_default().insert(task.zone);
        }
        for line in lines.waiting.values_mut() {
            line.sort_by_key(|task| (task.created_at, Reverse(task.key)));
        }
        let all: Vec<(u32, u32)> = lines.waiting.keys().copied().collect();
        all.into_iter().for_each(|(zone, host)| lines.line_up(zone, host, crowds));
        lines
    }

    fn front(&self, zone: u32, host: u32, crowds: &Crowds) -> Option<(Front<K>, u32)> {
        let first = self.waiting.get(&(zone, host))?.last()?;
        Some(((Reverse(crowds.hosts[&host]), Reverse(first.created_at), first.key), host))
    }

    fn line_up(&mut self, zone: u32, host: u32, crowds: &Crowds) {
        if let Some(front) = self.front(zone, host, crowds) {
            self.fronts.entry(zone).or_default().insert(front);
        }
    }

    fn next(&mut self, crowds: &mut Crowds) -> Option<&'t Task<K>> {
        let firsts = self.fronts.iter().filter_map(|(zone, lines)| Some((zone, lines.first()?)));
        let best = firsts.min_by_key(|(zone, (front, _))| (Reverse(crowds.zones[zone]), *front));
        let (zone, host) = best.map(|(zone, (_, host))| (*zone, *host))?;
        // All lines of the host change their places with its crowd.
        let zones = self.zones_of[&host].clone();
        for zone in &zones {
            if let Some(front) = self.front(*zone, host, crowds) {
                self.fronts.entry(*zone).or_default().remove(&front);
            }
        }
        let task = self.waiting.get_mut(&(zone, host)).and_then(Vec::pop);
        crowds.zones.entry(zone).and_modify(|crowd| *crowd -= 1);
        crowds.hosts.entry(host).and_modify(|crowd| *crowd -= 1);
        zones.iter().for_each(|zone| self.line_up(*zone, host, crowds));
        task
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Health, Phase};

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

    fn chosen(tasks: &[Task<u32>], count: u32) -> Vec<u32> {
        let all: Vec<&Task<u32>> = tasks.iter().collect();
        choose_stops(&all, count).into_iter().map(|task| task.key).collect()
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
        assert_eq!(chosen(&tasks, 3), [5, 3, 2]);
        tasks[2].protected = true;
        assert_eq!(chosen(&tasks, 9), [5, 2, 1, 4]);
    }

    /// The order as it is told, one look at everything a choice.
    fn told(tasks: &[Task<u32>], count: u32) -> Vec<u32> {
        let mut staying: Vec<&Task<u32>> = tasks.iter().filter(|task| task.stays()).collect();
        let mut all = Vec::new();
        while all.len() < count as usize {
            let rank = |task: &&&Task<u32>| {
                let zone = staying.iter().filter(|other| other.zone == task.zone).count();
                let host = staying.iter().filter(|other| other.host == task.host).count();
                let crowd = (Reverse(zone), Reverse(host));
                (worth(task), crowd, Reverse(task.created_at), task.key)
            };
            let free = staying.iter().filter(|task| !task.protected);
            let Some(next) = free.min_by_key(rank).map(|task| task.key) else { break };
            staying.retain(|task| task.key != next);
            all.push(next);
        }
        all
    }

    fn some_task() -> impl Strategy<Value = Task<u32>> {
        let phase = prop::sample::select(vec![Phase::Starting, Phase::Up, Phase::Leaving]);
        let health = prop::sample::select(vec![Health::Good, Health::Bad]);
        let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.2));
        (phase, health, flags, 0..3u32, 0..5u32, 0..4i64).prop_map(
            |(phase, health, (protected, to_be_moved), zone, host, at)| Task {
                phase,
                protected,
                to_be_moved,
                created_at: Time(at),
                ..task(0, zone, host, health)
            },
        )
    }

    proptest! {
        #[test]
        fn lines_choose_as_one_look_at_everything_would(
            mut tasks in prop::collection::vec(some_task(), 0..24),
            count in 0..26u32,
        ) {
            (0u32..).zip(&mut tasks).for_each(|(key, task)| task.key = key);
            prop_assert_eq!(chosen(&tasks, count), told(&tasks, count));
        }
    }
}
