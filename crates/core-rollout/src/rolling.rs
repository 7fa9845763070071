//! Replica services: the desired count of the newest version, within the bounds.

use crate::stop_order::choose_stops;
use crate::{Bounds, Health, Phase, Service, Task};

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
    pub stop: Vec<Stop<K>>,
    /// Nothing is on its way and nothing is missing.
    pub steady: bool,
    /// More would be started if there were room below the most.
    pub held_up: bool,
}

/// One pass over a service. AWS's order of things: make room if there must be, start, then take
/// away what is no longer needed.
pub fn plan_rolling<K: Copy + Ord>(service: &Service<'_, K>) -> Plan<K> {
    let Service { desired, bounds, versions, tasks } = service;
    let mut budget = Budget::new(*bounds, tasks);
    let newest = |task: &&Task<K>| task.version == 0 && task.stays();
    let fine = tasks
        .iter()
        .filter(newest)
        .filter(|task| task.health != Health::Bad && !task.to_be_moved)
        .count() as u32;
    let missing = desired.saturating_sub(fine);
    let version = versions.first();
    let may_start = version.is_some_and(|version| version.may_start);
    let crowded = version.is_some_and(|version| version.crowded);
    let start = if may_start { missing.min(budget.room()) } else { 0 };
    let held_up = may_start && missing > start;

    let mut stop = Vec::new();
    ill(service, &mut budget, missing, held_up || crowded, &mut stop);
    surplus(service, &mut budget, &mut stop);
    outdated(service, &mut budget, missing, held_up || crowded, &mut stop);
    let steady = start == 0
        && missing == 0
        && stop.is_empty()
        && tasks.iter().all(|task| task.version == 0 && task.serves());
    Plan { start, stop, steady, held_up }
}

/// What may still be taken away, and how much more may come.
struct Budget {
    bounds: Bounds,
    /// Tasks that have not stopped. Those that leave count until they are gone.
    present: u32,
    serving: u32,
}

impl Budget {
    fn new<K>(bounds: Bounds, tasks: &[Task<K>]) -> Self {
        let serving = tasks.iter().filter(|task| task.serves()).count() as u32;
        Budget { bounds, present: tasks.len() as u32, serving }
    }

    fn room(&self) -> u32 {
        self.bounds.most.saturating_sub(self.present)
    }

    /// Whether one task may go; if it may, it is gone from the budget.
    fn release<K>(&mut self, task: &Task<K>) -> bool {
        if !task.serves() {
            return true;
        }
        let spare = self.serving > self.bounds.least;
        if spare {
            self.serving -= 1;
        }
        spare
    }
}

/// The newest version has more tasks than wanted: a scale-in.
fn surplus<K: Copy + Ord>(service: &Service<'_, K>, budget: &mut Budget, stop: &mut Vec<Stop<K>>) {
    // What fails or moves has its replacement beside it for a while, which is not one too many.
    let fine = |task: &&Task<K>| task.health != Health::Bad && !task.to_be_moved;
    let newest = service.tasks.iter().filter(|task| task.version == 0);
    let newest: Vec<Task<K>> = newest.filter(fine).cloned().collect();
    let staying = newest.iter().filter(|task| task.stays()).count() as u32;
    let over = staying.saturating_sub(service.desired);
    for key in choose_stops(&newest, over) {
        let Some(task) = newest.iter().find(|task| task.key == key) else { continue };
        if budget.release(task) {
            stop.push(Stop { task: key, why: Why::TooMany });
        }
    }
}

/// Tasks of the newest version that fail, or whose host leaves. AWS: where there is room, the
/// replacement comes first; where there is none, the failing one goes first.
fn ill<K: Copy + Ord>(
    service: &Service<'_, K>,
    budget: &mut Budget,
    missing: u32,
    no_room: bool,
    stop: &mut Vec<Stop<K>>,
) {
    let replaced = missing == 0
        && service
            .tasks
            .iter()
            .filter(|task| task.version == 0 && task.serves() && !task.to_be_moved)
            .count() as u32
            >= service.desired;
    if !replaced && !no_room {
        return;
    }
    // Without room, only as many make way as are missing.
    let mut most = if replaced { u32::MAX } else { missing };
    let affected = service.tasks.iter().filter(|task| {
        task.version == 0 && task.stays() && (task.health == Health::Bad || task.to_be_moved)
    });
    for task in affected {
        let why = if task.to_be_moved { Why::Moved } else { Why::Unhealthy };
        if most > 0 && budget.release(task) {
            stop.push(Stop { task: task.key, why });
            most -= 1;
        }
    }
}

/// Tasks of older versions. What does not serve goes at once; what serves goes when enough others
/// do, or makes way where the newest version has no room.
fn outdated<K: Copy + Ord>(
    service: &Service<'_, K>,
    budget: &mut Budget,
    missing: u32,
    no_room: bool,
    stop: &mut Vec<Stop<K>>,
) {
    let old: Vec<Task<K>> = service.tasks.iter().filter(|task| task.version > 0).cloned().collect();
    let mut leaving =
        service.tasks.iter().filter(|task| !task.stays()).count() as u32 + stop.len() as u32;
    for key in choose_stops(&old, old.len() as u32) {
        let Some(task) = old.iter().find(|task| task.key == key) else { continue };
        // More serve than are wanted: one can go without being missed.
        let spare = budget.serving > service.desired;
        // No room: it makes way, as long as not enough others leave already.
        let makes_way = no_room && leaving < missing;
        let idle = task.phase == Phase::Starting || task.health != Health::Good;
        if (idle || spare || makes_way) && budget.release(task) {
            stop.push(Stop { task: key, why: Why::Outdated });
            leaving += 1;
        }
    }
}
