//! Replica services: the desired count of the newest version, within the bounds.

use crate::kept::Kept;
use crate::stop_order::choose_stops;
use crate::{Bounds, Census, Kind, Restore, Service, Task};

/// Why a task is stopped; it becomes its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There are more than wanted.
    TooMany,
    /// A newer version takes its place.
    Outdated,
    /// It fails its health checks.
    Unhealthy,
    /// Its host is leaving.
    Moved,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop<K> {
    pub task: K,
    pub why: Why,
}

/// What may be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<K> {
    /// Tasks of the newest version to start.
    pub start: u32,
    /// Tasks of the version before it that were lost, and are still needed.
    pub restore: Option<Restore>,
    pub stop: Vec<Stop<K>>,
    /// Nothing is on its way and nothing is missing.
    pub steady: bool,
    /// More would be started if there were room below the most.
    pub held_up: bool,
}

/// One pass over a service. AWS's order of things: make room if there must be, start, then take
/// away what is no longer needed.
pub fn plan_rolling<K: Copy + Ord>(service: &Service<'_, K>) -> Plan<K> {
    let Service { desired, bounds, proven, versions, tasks } = *service;
    let census = tasks.census();
    // What goes as soon as it may does not come again.
    let kept = Kept::find(versions, census).filter(|_| !proven);
    let mut budget = Budget::new(bounds, census, kept);
    let urgent = budget.restore(bounds.least);
    let fine = census.count(|version, kind| version == 0 && kind.stays() && kind.is_fine());
    let missing = desired.saturating_sub(fine);
    let version = versions.first();
    let may_start = version.is_some_and(|version| version.may_start);
    let crowded = version.is_some_and(|version| version.crowded);
    let start = if may_start { missing.min(budget.room()) } else { 0 };
    budget.present = budget.present.saturating_add(start);
    let held_up = may_start && missing > start;

    let enough = if proven { bounds.least } else { desired };
    let plight = Plight { desired, enough, missing, no_room: held_up || crowded };
    let again = if plight.no_room { 0 } else { budget.restore(desired) };
    let restore = budget.kept.and_then(|kept| kept.restore(urgent + again));
    let mut stop = Vec::new();
    if plight.may_stop(census) {
        let tasks = tasks.each();
        plight.ill(&tasks, &mut budget, &mut stop);
        plight.surplus(&tasks, &mut budget, &mut stop);
        plight.outdated(&tasks, &mut budget, &mut stop);
    }
    // Protected tasks stay beyond the desired count, which is no steady state.
    let surplus = census.count(|version, kind| version == 0 && kind.stays()) > desired;
    let calm = start == 0 && missing == 0 && stop.is_empty() && !surplus;
    let steady = calm && census.all_newest_serve();
    Plan { start, restore, stop, steady, held_up }
}

/// What may still be taken away, and how much more may come.
struct Budget {
    bounds: Bounds,
    /// Tasks that have not stopped. Those that leave count until they are gone.
    present: u32,
    serving: u32,
    kept: Option<Kept>,
}

impl Budget {
    fn new(bounds: Bounds, census: &Census, kept: Option<Kept>) -> Self {
        let serving = census.count(|_, kind| kind.serves());
        Budget { bounds, present: census.all(), serving, kept }
    }

    /// Older tasks that come again so that so many serve.
    fn restore(&mut self, wanted: u32) -> u32 {
        let (serving, room) = (self.serving, self.room());
        let count = self.kept.as_mut().map_or(0, |kept| kept.again(wanted, serving, room));
        self.present = self.present.saturating_add(count);
        count
    }

    /// Whether older tasks are on their way that are needed.
    fn awaits<K>(&self, task: &Task<K>) -> bool {
        self.kept.is_some_and(|kept| kept.awaits(task))
    }

    fn room(&self) -> u32 {
        self.bounds.most.saturating_sub(self.present)
    }

    /// Whether one task may go; if it may, it is gone from the budget.
    fn release<K>(&mut self, task: &Task<K>) -> bool {
        if self.awaits(task) {
            return self.release_coming();
        }
        if !task.serves() {
            return true;
        }
        let spare = self.serving > self.bounds.least;
        if spare {
            self.serving -= 1;
        }
        spare
    }

    /// What is on its way to serve for an older version is not turned back while it is needed: it would
    /// have to come again.
    fn release_coming(&mut self) -> bool {
        let Some(kept) = &mut self.kept else { return true };
        let spare = self.serving.saturating_add(kept.coming) > self.bounds.least;
        if spare {
            kept.coming -= 1;
        }
        spare
    }
}

/// What the service lacks, and whether it can come by it.
struct Plight {
    desired: u32,
    /// Where more serve, tasks of older versions are not missed.
    enough: u32,
    missing: u32,
    no_room: bool,
}

impl Plight {
    /// Whether any task could have to go: where not, there is no need to look at each.
    fn may_stop(&self, census: &Census) -> bool {
        let ill = census.count(|version, kind| version == 0 && kind.stays() && !kind.is_fine());
        if ill > 0 && (self.no_room || self.missing == 0) {
            return true;
        }
        let fine = census.count(|version, kind| version == 0 && kind.stays() && kind.is_fine());
        if fine > self.desired {
            return true;
        }
        let old = |version: usize, kind: Kind| version > 0 && kind.stays() && !kind.protected;
        let idle = census.count(|version, kind| old(version, kind) && !kind.serves());
        let spare = self.no_room || census.count(|_, kind| kind.serves()) > self.enough;
        idle > 0 || spare && census.count(old) > 0
    }

    /// The newest version has more tasks than wanted: a scale-in.
    fn surplus<K: Copy + Ord>(
        &self,
        tasks: &[Task<K>],
        budget: &mut Budget,
        stop: &mut Vec<Stop<K>>,
    ) {
        // What fails or moves has its replacement beside it for a while, which is not one too many.
        let newest = tasks.iter().filter(|task| task.version == 0 && task.kind().is_fine());
        let newest: Vec<&Task<K>> = newest.collect();
        let staying = newest.iter().filter(|task| task.stays()).count() as u32;
        for task in choose_stops(&newest, staying.saturating_sub(self.desired)) {
            if budget.release(task) {
                stop.push(Stop { task: task.key, why: Why::TooMany });
            }
        }
    }

    /// Tasks of the newest version that fail, or whose host leaves. AWS: where there is room, the
    /// replacement comes first; where there is none, the failing one goes first.
    fn ill<K: Copy + Ord>(&self, tasks: &[Task<K>], budget: &mut Budget, stop: &mut Vec<Stop<K>>) {
        let stand_in = |task: &&Task<K>| task.version == 0 && task.serves() && !task.to_be_moved;
        let stand_ins = tasks.iter().filter(stand_in).count() as u32;
        let replaced = self.missing == 0 && stand_ins >= self.desired;
        if !replaced && !self.no_room {
            return;
        }
        // Without room, only as many make way as are missing, with those that leave already.
        let leaving = tasks.iter().filter(|task| !task.stays()).count() as u32;
        let mut most = if replaced { u32::MAX } else { self.missing.saturating_sub(leaving) };
        let affected =
            tasks.iter().filter(|task| task.version == 0 && task.stays() && !task.kind().is_fine());
        for task in affected {
            let why = if task.to_be_moved { Why::Moved } else { Why::Unhealthy };
            if most > 0 && budget.release(task) {
                stop.push(Stop { task: task.key, why });
                most -= 1;
            }
        }
    }

    /// Tasks of older versions. What does not serve goes at once; what serves goes when enough
    /// others do, or makes way where the newest version has no room.
    fn outdated<K: Copy + Ord>(
        &self,
        tasks: &[Task<K>],
        budget: &mut Budget,
        stop: &mut Vec<Stop<K>>,
    ) {
        let old: Vec<&Task<K>> = tasks.iter().filter(|task| task.version > 0).collect();
        let leaving = tasks.iter().filter(|task| !task.stays()).count() + stop.len();
        let mut leaving = leaving as u32;
        // Those that do not serve are chosen first, and go in any case.
        let idle = old.iter().filter(|task| task.stays() && !task.serves()).count() as u32;
        let ways = if self.no_room { self.missing } else { 0 };
        let serving = ways.max(budget.serving.saturating_sub(self.enough));
        for task in choose_stops(&old, idle.saturating_add(serving)) {
            // More serve than are needed: one can go without being missed.
            let spare = match budget.awaits(task) {
                true => budget.serving >= self.enough,
                false => !task.serves() || budget.serving > self.enough,
            };
            // No room: it makes way, as long as not enough others leave already.
            let makes_way = self.no_room && leaving < self.missing;
            if (spare || makes_way) && budget.release(task) {
                stop.push(Stop { task: task.key, why: Why::Outdated });
                leaving += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Health, Listed, Phase, Tasks, Version};

    fn some_task() -> impl Strategy<Value = Task<u32>> {
        let phase = prop::sample::select(vec![Phase::Starting, Phase::Up, Phase::Leaving]);
        let health = prop::sample::select(vec![Health::Unproven, Health::Good, Health::Bad]);
        let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.2));
        (phase, health, flags, 0..3usize, 0..2u32, 0..3u32).prop_map(
            |(phase, health, (protected, to_be_moved), version, zone, host)| Task {
                key: 0,
                version,
                phase,
                health,
                protected,
                to_be_moved,
                zone,
                host,
                created_at: core_types::Time(0),
            },
        )
    }

    proptest! {
        /// Where the counts say that none may have to go, a look at each finds none either.
        #[test]
        fn counts_never_hide_a_stop(
            mut tasks in prop::collection::vec(some_task(), 0..12),
            desired in 0..8u32,
            missing in 0..8u32,
            no_room: bool,
            proven: bool,
            least in 0..8u32,
            keeps in 0..8u32,
        ) {
            (0u32..).zip(&mut tasks).for_each(|(key, task)| task.key = key);
            let listed = Listed::from(tasks);
            let enough = if proven { least } else { desired };
            let plight = Plight { desired, enough, missing, no_room };
            if !plight.may_stop(listed.census()) {
                let bounds = Bounds { least, most: u32::MAX };
                let versions = [0, keeps].map(|keeps| Version { may_start: true, crowded: false, keeps });
                let kept = Kept::find(&versions, listed.census());
                let mut budget = Budget::new(bounds, listed.census(), kept);
                let (tasks, mut stop) = (listed.each(), Vec::new());
                plight.ill(&tasks, &mut budget, &mut stop);
                plight.surplus(&tasks, &mut budget, &mut stop);
                plight.outdated(&tasks, &mut budget, &mut stop);
                prop_assert_eq!(stop, vec![]);
            }
        }
    }
}
