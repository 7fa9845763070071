//! Looks at every step, and at the hosts, from outside: it knows what users were promised and
//! nothing of how it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use core_rollout::{Bounds, Course, Stage};
use core_state::{Change, State};
use core_task::{Desired, TaskStatus};
use core_types::{Id128, Time};
use model_ecs as api;
use service_ecs::rows::daemon_history::DaemonRevision;
use service_ecs::rows::progress::Progress;
use service_ecs::rows::service::{Controller, Service, ServiceStatus};
use service_ecs::rows::service_history::DeploymentRecord;
use service_ecs::rows::task::{Health, StopCode, Task, TasksOfService};
use service_ecs::rows::task_definition::TaskDefinition;

use crate::agent::Agent;
use crate::{Outcome, hold};

/// A task that nobody looks at serves once it has run for so long.
const SETTLES_IN: Duration = Duration::from_secs(2);

/// One step of the plane.
pub fn audit(before: &State, after: &State, changes: &[Change], now: Time) -> Outcome<()> {
    let mut services = BTreeSet::new();
    for change in changes {
        let Some((_, Some(is))) = change.of::<Task>() else { continue };
        if let Some(was) = before.get::<Task>(&is.id) {
            let (id, moved) = (is.id, was.host.is_some() && was.host != is.host);
            hold!(!moved, "task {id} moved from one host to another");
            let back = is.observed_status < was.observed_status;
            hold!(!back, "task {id} went back from {:?}", was.observed_status);
            let revived =
                was.desired_status == Desired::Stopped && is.desired_status == Desired::Running;
            hold!(!revived, "task {id} was to stop and now is not");
        }
        services.extend(is.service.as_ref().map(|name| (is.cluster.clone(), name.clone())));
    }
    for key in services {
        if let Some(service) = after.get::<Service>(&key) {
            bounds(before, after, service, now)?;
        }
    }
    Ok(())
}

/// Whether a task's containers are checked, which its definition says.
pub fn has_check(state: &State, task: &Task) -> bool {
    let key = (task.cluster.0, task.family.clone(), task.revision);
    let definition = state.get::<TaskDefinition>(&key).map(|row| &row.definition);
    let containers = definition.and_then(|one| one.container_definitions.as_deref());
    containers.unwrap_or_default().iter().any(|one| one.health_check.is_some())
}

/// What a task needs of its machine, by its definition: CPU units and MiB.
pub fn needs(state: &State, task: &Task) -> (i64, i64) {
    let key = (task.cluster.0, task.family.clone(), task.revision);
    let own = state.get::<TaskDefinition>(&key).map(|row| &row.definition);
    let daemon = task.daemon().and_then(|of| {
        let key = ((task.cluster.clone(), of.name.clone()), of.revision);
        Some(&state.get::<DaemonRevision>(&key)?.definition)
    });
    let Some(definition) = daemon.or(own) else { return (0, 0) };
    let whole = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
    let all = || definition.container_definitions.iter().flatten();
    let sum = |of: fn(&api::ContainerDefinition) -> Option<i32>| {
        all().filter_map(of).map(i64::from).sum::<i64>()
    };
    let cpu = whole(&definition.cpu).unwrap_or_else(|| sum(|one| one.cpu));
    let memory = whole(&definition.memory).unwrap_or_else(|| sum(|one| one.memory));
    (cpu, memory)
}

/// Whether users are served by it.
pub fn serves(state: &State, task: &Task, now: Time) -> bool {
    task.observed_status == TaskStatus::Running
        && task.desired_status == Desired::Running
        && is_well(state, task, now)
}

/// Whether it served, is well still, and its service stops it all the same.
fn is_ended((before, after): (&State, &State), task: &Task, now: Time) -> bool {
    before.get::<Task>(&task.id).is_some_and(|was| serves(before, was, now))
        && task.desired_status == Desired::Stopped
        && task.stop_code == Some(StopCode::ServiceSchedulerInitiated)
        && is_well(after, task, now)
}

/// Whether those who look at it find it well; with none, whether it has run for a while.
fn is_well(state: &State, task: &Task, now: Time) -> bool {
    let mut told = Vec::new();
    if has_check(state, task) {
        let one = |health: Option<(Health, Time)>| health.map_or(Health::Unknown, |(it, _)| it);
        told.extend(task.containers.iter().map(|container| one(container.observed_health)));
    }
    told.extend(task.extras.as_ref().and_then(|extras| extras.observed_traffic));
    match told.is_empty() {
        true => task.started_at.is_some_and(|at| at + SETTLES_IN <= now),
        false => told.iter().all(|one| *one == Health::Healthy),
    }
}

/// Never under the minimum by our own doing, never over the maximum.
fn bounds(before: &State, after: &State, service: &Service, now: Time) -> Outcome<()> {
    let rolled = service.controller == Controller::Ecs && !service.daemon;
    if !rolled || service.status != ServiceStatus::Active {
        return Ok(());
    }
    let bounds = bounds_of(service, service.desired_count);
    if let Some(progress) = shifting(after, service) {
        let are: Vec<&Task> = current(after, service).collect();
        return versions(&progress, service, bounds, (before, after, &are), now);
    }
    keeps((before, after), service.name(), bounds, now, |state| current(state, service).collect())
}

/// What a service's percents make of a count. AWS: those of task sets are the usual ones.
pub fn bounds_of(service: &Service, desired: u32) -> Bounds {
    if service.controller != Controller::Ecs {
        return Bounds::of(desired, 100, 200);
    }
    let percent = |given: Option<i32>| given.unwrap_or_default().unsigned_abs();
    Bounds::of(
        desired,
        percent(service.configuration.minimum_healthy_percent),
        percent(service.configuration.maximum_percent),
    )
}

/// Tasks of a service that have not stopped.
pub fn current<'s>(state: &'s State, service: &Service) -> impl Iterator<Item = &'s Task> {
    state.by::<TasksOfService>(&service.key).filter(|task| !task.is_stopped())
}

/// The same, of tasks that belong together.
pub fn keeps<'s>(
    (before, after): (&'s State, &'s State),
    name: &str,
    bounds: Bounds,
    now: Time,
    tasks: impl Fn(&'s State) -> Vec<&'s Task>,
) -> Outcome<()> {
    let (were, are) = (tasks(before), tasks(after));
    let new = are.iter().filter(|task| before.get::<Task>(&task.id).is_none()).count();
    hold!(
        new == 0 || are.len() <= bounds.most as usize,
        "{name}: {} tasks with {new} new ones, {bounds:?}",
        are.len()
    );
    let later = were.iter().filter_map(|task| after.get::<Task>(&task.id));
    let stopped = later.filter(|task| is_ended((before, after), task, now)).count();
    let left = are.iter().filter(|task| serves(after, task, now)).count();
    hold!(
        stopped == 0 || left >= bounds.least as usize,
        "{name}: {stopped} were stopped and {left} are left, {bounds:?}"
    );
    Ok(())
}

/// How far the newest deployment is, where it shifts traffic and is not over, or was left so.
fn shifting(state: &State, service: &Service) -> Option<Progress> {
    let record = service.deployments.first()?.record.clone();
    let record = state.get::<DeploymentRecord>(&(service.key.clone(), record))?;
    let strategy = record.configuration.strategy.as_ref().map(|strategy| strategy.as_str());
    let progress = record.progress.as_deref().filter(|_| strategy != Some("ROLLING"))?;
    let held = progress.at.course == Course::Held;
    (held || !record.status.is_over()).then(|| progress.clone())
}

/// Each version keeps to the bounds by itself, and nobody is sent where there are not enough.
fn versions(
    progress: &Progress,
    service: &Service,
    bounds: Bounds,
    (before, after, are): (&State, &State, &[&Task]),
    now: Time,
) -> Outcome<()> {
    let name = service.name();
    for one in &service.deployments {
        let own = are.iter().filter(|task| task.started_by.as_ref() == Some(&one.id));
        let own: Vec<&Task> = own.copied().collect();
        let new = own.iter().filter(|task| before.get::<Task>(&task.id).is_none()).count();
        hold!(
            new == 0 || own.len() <= bounds.most as usize,
            "{name}: {} has {} tasks with {new} new ones, {bounds:?}",
            one.id,
            own.len()
        );
        let Progress { at, older, newer, .. } = progress;
        let ending = at.stage == Stage::CleanUp && at.course != Course::Back;
        if older.as_ref() != Some(&one.id) || ending {
            continue;
        }
        let stopped = own.iter().filter(|task| is_ended((before, after), task, now));
        let (stopped, left) =
            (stopped.count(), own.iter().filter(|task| serves(after, task, now)).count());
        hold!(
            stopped == 0 || left >= bounds.least as usize,
            "{name}: {stopped} of the older version were stopped beside {newer}, {left} are left"
        );
    }
    let was = shifting(before, service).map_or(0, |progress| progress.at.production);
    if progress.at.production > was {
        let newer = are.iter().filter(|task| task.started_by.as_ref() == Some(&progress.newer));
        let whole = newer.filter(|task| serves(after, task, now)).count();
        hold!(
            whole >= service.desired_count as usize,
            "{name}: users are sent to {whole} tasks of {}",
            service.desired_count
        );
    }
    Ok(())
}

/// What really runs: no task on two hosts, and on no host more than it has.
pub fn hosts<'a>(agents: impl Iterator<Item = &'a Agent>) -> Outcome<()> {
    let mut places: BTreeMap<Id128, Id128> = BTreeMap::new();
    for agent in agents {
        let (mut cpu, mut memory, mut ports) = (0, 0, BTreeSet::new());
        for (id, local) in agent.running() {
            let host = agent.instance;
            let twice = places.insert(*id, host);
            hold!(twice.is_none(), "task {id} runs on {host} and {twice:?}");
            cpu += local.needs.0;
            memory += local.needs.1;
            for port in &local.ports {
                hold!(ports.insert(*port), "port {port} of {host} is taken twice, by {id} too");
            }
        }
        let most = (agent.cpu, agent.memory);
        hold!(cpu <= most.0 && memory <= most.1, "{cpu}, {memory} of {most:?} are in use");
    }
    Ok(())
}

/// Tasks that somebody was told of stay until they have ended.
#[derive(Default)]
pub struct Promises(BTreeMap<Id128, bool>);

impl Promises {
    pub fn add(&mut self, task: Id128) {
        self.0.insert(task, false);
    }

    pub fn audit(&mut self, view: &State) -> Outcome<()> {
        for (id, ended) in &mut self.0 {
            let row = view.get::<Task>(id);
            hold!(row.is_some() || *ended, "task {id} was started, and is gone before its end");
            *ended |= row.is_some_and(Task::is_stopped);
        }
        Ok(())
    }

    pub fn all_ended(&self) -> Outcome<()> {
        let left = self.0.values().filter(|ended| !**ended).count();
        hold!(left == 0, "{left} tasks that were started never ended");
        Ok(())
    }
}
