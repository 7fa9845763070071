//! From rows to the question of what a service's next steps are.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_rollout::{Backoff, Bounds, Health, Phase, Task as Problem, Version, Wait};
use core_state::State;
use core_task::{Desired, TaskStatus};
use core_types::{Id128, Time};

use super::task_definition::containers_of;
use crate::rows::container_instance::{ContainerInstance, InstanceStatus};
use crate::rows::service::{Deployment, Rollout, Service};
use crate::rows::task::{self, CurrentTasksOf, Task};
use crate::rows::task_definition::TaskDefinition;

/// A task without health checks is believed in once it has run for so long: what crashes at its
/// start has crashed by then.
pub const SETTLES_IN: std::time::Duration = std::time::Duration::from_secs(2);
/// A task that ran for less has failed to start, as far as its service is concerned.
pub const PROVEN_IN: std::time::Duration = std::time::Duration::from_secs(10);

/// The tasks of a service that have not stopped, as a plan needs them.
pub struct Seen {
    pub tasks: Vec<Problem<Id128>>,
    /// Hosts by their numbers in the tasks.
    pub hosts: BTreeMap<u32, Id128>,
    /// When time alone changes the picture.
    pub look_at: Option<Time>,
    /// When the newest of the newest version's tasks proved itself.
    pub proven_at: Option<Time>,
}

/// Numbers for what is equal: zones, hosts.
#[derive(Default)]
struct Numbers<T>(BTreeMap<T, u32>);

impl<T: Ord> Numbers<T> {
    fn of(&mut self, what: T) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(what).or_insert(next)
    }
}

pub fn earliest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    [a, b].into_iter().flatten().min()
}

/// Where a host is, as its tasks' numbers, and whether it leaves.
#[derive(Clone, Copy)]
struct Place {
    zone: u32,
    host: u32,
    leaves: bool,
}

struct Eyes<'s> {
    state: &'s State,
    row: &'s Service,
    now: Time,
    zones: Numbers<Option<String>>,
    hosts: Numbers<Option<Id128>>,
    places: BTreeMap<Option<Id128>, Place>,
    checked: BTreeMap<(Arc<str>, u32), bool>,
    look_at: Option<Time>,
}

/// Look at a service's tasks.
pub fn see(state: &State, row: &Service, now: Time) -> Seen {
    let mut eyes = Eyes {
        state,
        row,
        now,
        zones: Numbers::default(),
        hosts: Numbers::default(),
        places: BTreeMap::new(),
        checked: BTreeMap::new(),
        look_at: None,
    };
    let current = state.by::<CurrentTasksOf>(&row.key).filter(|task| !task.is_stopped());
    let current = current.filter(|task| row.minds(task.started_by.as_ref()));
    let mut proven_at = None;
    let tasks = current.map(|task| {
        let seen = eyes.task(task);
        if seen.version == 0 && seen.serves() {
            let proven = task.started_at.map(|at| at + PROVEN_IN);
            proven_at = proven_at.max(proven.filter(|at| *at <= now));
            let failures = row.primary().is_some_and(|one| one.failed_tasks + one.failures > 0);
            eyes.look_at = earliest(eyes.look_at, proven.filter(|at| failures && *at > now));
        }
        seen
    });
    let tasks: Vec<_> = tasks.collect();
    let hosts = eyes.hosts.0.iter().filter_map(|(id, number)| Some((*number, (*id)?))).collect();
    Seen { tasks, hosts, look_at: eyes.look_at, proven_at }
}

impl Eyes<'_> {
    fn task(&mut self, task: &Task) -> Problem<Id128> {
        let deployments = &self.row.deployments;
        let by = task.started_by.as_deref();
        let version = deployments.iter().position(|one| Some(&*one.id) == by);
        let place = self.place(task.host);
        let phase = phase(task);
        let health = match phase {
            Phase::Up => self.health(task),
            Phase::Starting | Phase::Leaving => Health::Unproven,
        };
        let until = task.extras.as_ref().and_then(|extras| extras.protected_until);
        let until = until.filter(|until| *until > self.now);
        self.look_at = earliest(self.look_at, until);
        let protected = until.is_some();
        Problem {
            key: task.id,
            version: version.unwrap_or(deployments.len().max(1)),
            phase,
            health,
            protected,
            // AWS: a protected task stays on a draining instance until its protection ends.
            to_be_moved: place.leaves && !protected,
            zone: place.zone,
            host: place.host,
            created_at: task.created_at,
        }
    }

    fn place(&mut self, host: Option<Id128>) -> Place {
        if let Some(known) = self.places.get(&host) {
            return *known;
        }
        let row = host.and_then(|id| self.state.get::<ContainerInstance>(&id));
        let place = Place {
            zone: self.zones.of(row.and_then(zone_of).map(str::to_owned)),
            host: self.hosts.of(host),
            leaves: row.is_none_or(|row| row.status != InstanceStatus::Active),
        };
        self.places.insert(host, place);
        place
    }

    /// AWS: health checks of containers count where there are any; in the grace period a failing
    /// one does not.
    fn health(&mut self, task: &Task) -> Health {
        let started = task.started_at.unwrap_or(task.created_at);
        let grace = started + std::time::Duration::from_secs(self.grace());
        let traffic = task.extras.as_ref().and_then(|extras| extras.observed_traffic);
        let told = match (self.has_checks(task), traffic) {
            (false, None) => {
                let settled = started + SETTLES_IN;
                if settled > self.now {
                    self.look_at = earliest(self.look_at, Some(settled));
                    return Health::Unproven;
                }
                return Health::Good;
            }
            (true, None) => task.health(),
            (false, Some(traffic)) => traffic,
            (true, Some(traffic)) => worst(task.health(), traffic),
        };
        match told {
            task::Health::Healthy => Health::Good,
            task::Health::Unknown => Health::Unproven,
            task::Health::Unhealthy if grace > self.now => {
                self.look_at = earliest(self.look_at, Some(grace));
                Health::Unproven
            }
            task::Health::Unhealthy => Health::Bad,
        }
    }

    fn grace(&self) -> u64 {
        self.row.grace_seconds.unwrap_or_default().into()
    }

    fn has_checks(&mut self, task: &Task) -> bool {
        let key = (task.family.clone(), task.revision);
        if let Some(known) = self.checked.get(&key) {
            return *known;
        }
        let scope = task.cluster.0;
        let row = self.state.get::<TaskDefinition>(&(scope, key.0.clone(), key.1));
        let has = row.is_some_and(|row| {
            containers_of(&row.definition).iter().any(|one| one.health_check.is_some())
        });
        self.checked.insert(key, has);
        has
    }
}

fn worst(a: task::Health, b: task::Health) -> task::Health {
    use task::Health::{Healthy, Unhealthy, Unknown};
    match (a, b) {
        (Unhealthy, _) | (_, Unhealthy) => Unhealthy,
        (Healthy, Healthy) => Healthy,
        _ => Unknown,
    }
}

fn phase(task: &Task) -> Phase {
    match task.observed_status {
        _ if task.desired_status == Desired::Stopped => Phase::Leaving,
        TaskStatus::Running => Phase::Up,
        status if status < TaskStatus::Running => Phase::Starting,
        // It goes by itself.
        _ => Phase::Leaving,
    }
}

pub fn zone_of(row: &ContainerInstance) -> Option<&str> {
    let mut all = row.attributes();
    let found = all.find(|one| one.name.as_deref() == Some("ecs.availability-zone"))?;
    found.value.as_deref()
}

/// How few and how many tasks the service may have.
pub fn bounds(row: &Service, desired: u32) -> Bounds {
    let percent = |given: Option<i32>| given.and_then(|n| u32::try_from(n).ok()).unwrap_or(100);
    let minimum = percent(row.configuration.minimum_healthy_percent);
    let maximum = percent(row.configuration.maximum_percent);
    Bounds::of(desired, minimum, maximum)
}

/// The versions, the newest first; and when a wait after failures ends.
pub fn versions(row: &Service, crowded: bool, now: Time) -> (Vec<Version>, Option<Time>) {
    let mut until = None;
    let version = |(place, one): (usize, &Deployment)| {
        let wait = backoff(one).wait(now);
        if let (0, Wait::Until(at)) = (place, wait) {
            until = Some(at);
        }
        Version {
            may_start: place == 0 && one.rollout != Rollout::Failed && wait == Wait::None,
            crowded: place == 0 && crowded,
        }
    };
    let versions = row.deployments.iter().enumerate().map(version).collect();
    (versions, until)
}

pub fn backoff(one: &Deployment) -> Backoff {
    Backoff { failures: one.failures, last: one.failed_at }
}
