//! Daemon services: one task on every host that may have one.
//!
//! AWS: the maximum is fixed at 100 %, so a host's old task stops before the new one starts, and
//! the minimum says on how many hosts that may happen at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::rolling::{Plan, Stop, Why};
use crate::{Health, Service, Task};

/// A host that should have the daemon.
pub type Host = u32;

/// The hosts on which the newest version is to be started, and what is to stop. `service.desired`
/// is the number of hosts.
pub fn plan_daemon<K: Copy + Ord>(
    service: &Service<'_, K>,
    hosts: &BTreeSet<Host>,
) -> (Vec<Host>, Plan<K>) {
    let mut on: BTreeMap<Host, Vec<&Task<K>>> = BTreeMap::new();
    for task in service.tasks {
        on.entry(task.host).or_default().push(task);
    }
    let serving = service.tasks.iter().filter(|task| task.serves()).count() as u32;
    let mut spare = serving.saturating_sub(service.bounds.least);
    let mut stop = Vec::new();
    for task in service.tasks.iter().filter(|task| task.stays()) {
        let unwanted = !hosts.contains(&task.host);
        let why = match () {
            () if unwanted => Why::Moved,
            () if task.version > 0 => Why::Outdated,
            () if task.health == Health::Bad => Why::Unhealthy,
            () => continue,
        };
        // On a host that leaves, the task leaves with it whatever the bounds say.
        let free = unwanted || !task.serves();
        if free || spare > 0 {
            if !free {
                spare -= 1;
            }
            stop.push(Stop { task: task.key, why });
        }
    }
    let may_start = service.versions.first().is_some_and(|version| version.may_start);
    let empty = hosts.iter().copied().filter(|host| may_start && !on.contains_key(host));
    let start: Vec<Host> = empty.collect();
    let steady = start.is_empty()
        && stop.is_empty()
        && service.tasks.iter().all(|task| task.version == 0 && task.serves())
        && service.tasks.len() == hosts.len();
    let plan = Plan { start: start.len() as u32, stop, steady, held_up: false };
    (start, plan)
}
