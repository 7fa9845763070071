//! From rows to the question of what a service's next steps are.

use std::time::Duration;

use core_rollout::{Backoff, Bounds, Health, Kind, Phase, Version, Wait};
use core_state::State;
use core_task::{Desired, TaskStatus};
use core_types::Time;

use super::launch::definition_of;
use super::task_definition::containers_of;
use crate::rows::service::{Deployment, Rollout, Service};
use crate::rows::task::{self, Task};

/// A task without health checks is believed in once it has run for so long: what crashes at its
/// start has crashed by then.
pub const SETTLES_IN: Duration = Duration::from_secs(2);
/// A task that ran for less has failed to start, as far as its service is concerned.
pub const PROVEN_IN: Duration = Duration::from_secs(10);

pub fn earliest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    [a, b].into_iter().flatten().min()
}

/// How a task looks to its service at a time, and when time alone makes it look different.
pub struct Regard {
    pub kind: Kind,
    pub due: Option<Time>,
}

/// Look at a task that has not stopped. `leaves`: its host does.
pub fn regard(state: &State, grace: u64, leaves: bool, task: &Task, now: Time) -> Regard {
    let phase = phase(task);
    let (health, due) = match phase {
        Phase::Up => health(state, grace, task, now),
        Phase::Starting | Phase::Leaving => (Health::Unproven, None),
    };
    let until = task.extras.as_ref().and_then(|extras| extras.protected_until);
    let until = until.filter(|until| *until > now);
    let protected = until.is_some();
    // AWS: a protected task stays on a draining instance until its protection ends.
    let kind = Kind { phase, health, protected, to_be_moved: leaves && !protected };
    Regard { kind, due: earliest(due, until) }
}

/// AWS: health checks of containers count where there are any; in the grace period a failing one
/// does not.
fn health(state: &State, grace: u64, task: &Task, now: Time) -> (Health, Option<Time>) {
    let started = task.started_at.unwrap_or(task.created_at);
    let grace = started + Duration::from_secs(grace);
    let traffic = task.extras.as_ref().and_then(|extras| extras.observed_traffic);
    let told = match (has_checks(state, task), traffic) {
        (false, None) => {
            let settled = started + SETTLES_IN;
            return match settled > now {
                true => (Health::Unproven, Some(settled)),
                false => (Health::Good, None),
            };
        }
        (true, None) => task.health(),
        (false, Some(traffic)) => traffic,
        (true, Some(traffic)) => worst(task.health(), traffic),
    };
    match told {
        task::Health::Healthy => (Health::Good, None),
        task::Health::Unknown => (Health::Unproven, None),
        task::Health::Unhealthy if grace > now => (Health::Unproven, Some(grace)),
        task::Health::Unhealthy => (Health::Bad, None),
    }
}

/// How long failing health checks of a new task do not count, in seconds.
pub fn grace(row: &Service) -> u64 {
    row.grace_seconds.unwrap_or_default().into()
}

fn has_checks(state: &State, task: &Task) -> bool {
    definition_of(state, task).is_some_and(|definition| {
        containers_of(definition).iter().any(|one| one.health_check.is_some())
    })
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

/// How few and how many tasks the service may have.
pub fn bounds(row: &Service, desired: u32) -> Bounds {
    if row.controller.has_task_sets() {
        // AWS: what is given is shown, and the defaults hold, for draining alone.
        return Bounds::of(desired, 100, 200);
    }
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
        let keeps = if place > 0 { one.keeps } else { 0 };
        let starts = keeps > 0 || place == 0 && one.rollout != Rollout::Failed;
        if let (true, Wait::Until(at)) = (place == 0 || keeps > 0, wait) {
            until = earliest(until, Some(at));
        }
        let may_start = starts && wait == Wait::None;
        Version { may_start, crowded: place == 0 && crowded, keeps }
    };
    let versions = row.deployments.iter().enumerate().map(version).collect();
    (versions, until)
}

pub fn backoff(one: &Deployment) -> Backoff {
    Backoff { failures: one.failures, last: one.failed_at }
}
