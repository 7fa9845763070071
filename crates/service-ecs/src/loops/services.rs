//! Services: brings each to what is wanted of it, as far as its bounds allow *now*.
//!
//! A pass takes note of what has ended, asks core-rollout what may be done, starts and stops tasks,
//! and tells what it did. Whatever changes in the world brings the next pass.

use std::collections::BTreeMap;
use std::time::Duration;

use core_rollout::{Plan, Restore, Service as Problem, Tasks, Why, plan_daemon, plan_rolling};
use core_state::{Change, State, Tx};
use core_step::Loop;
use core_types::{Id128, Time};

use super::shifts::{self, Turn};
use super::task_sets;
use crate::rows::alarm::Alarm;
use crate::rows::container_instance::{ContainerInstance, InstanceStatus};
use crate::rows::service::{
    BalancedServices, Controller, DaemonServices, Rollout, Service, ServiceKey, ServiceStatus,
    Told, WaitingServices, fargate_of,
};
use crate::rows::service_history::{DeploymentRecord, Watching};
use crate::rows::service_tasks::EndedTasksOf;
use crate::rows::task::{CurrentTasksOf, Health, StopCode, Task, TasksOn};
use crate::rows::task_set::TaskSet;
use crate::rules::pictures::{self, Seen};
use crate::rules::rollout::{self, earliest};
use crate::rules::service_placing::{self, Next, Started};
use crate::rules::services::{self, tell};
use crate::rules::setbacks::{self, Setback};
use crate::rules::shifts::rolling;
use crate::rules::task_sets::all as sets_of;
use crate::rules::{balance, deployments, early, images, life, waiting};

pub struct Services;

/// Tasks of one service that are started in one step.
pub(super) const MOST_STARTS: usize = 500;
/// AWS: as many tasks as one of its calls starts are told of in a line.
const IN_A_LINE: usize = 10;
/// AWS: the same is told again after six hours.
pub(super) const TOLD_AGAIN: Duration = Duration::from_secs(6 * 3600);
/// AWS: deleted services are described for a while.
const DESCRIBED_FOR: Duration = Duration::from_secs(3600);

impl Loop for Services {
    type Key = ServiceKey;
    const NAME: &'static str = "ecs/services";

    fn wake(change: &Change, state: &State, add: &mut dyn FnMut(ServiceKey)) {
        if let Some(row) = change.row::<Service>() {
            add(row.key.clone());
        }
        if let Some(record) = change.row::<DeploymentRecord>()
            && record.progress.is_some()
        {
            add(record.key.0.clone());
        }
        if let Some(alarm) = change.row::<Alarm>() {
            state.by::<Watching>(&alarm.key).for_each(|record| add(record.key.0.clone()));
        }
        if let Some(set) = change.row::<TaskSet>() {
            add(set.key.0.clone());
        }
        if let Some((before, after)) = change.of::<Task>() {
            let row = after.or(before).expect("a change has an image");
            if let Some(service) = &row.service {
                add((row.cluster.clone(), service.clone()));
            }
            // What it held is free for others.
            let freed = before.is_some_and(Task::holds) && !after.is_some_and(Task::holds);
            let host = row.host.filter(|_| freed);
            let host = host.and_then(|host| state.get::<ContainerInstance>(&host));
            if let Some(host) = host.filter(|host| host.status == InstanceStatus::Active) {
                wake_waiting(host, state, add);
            }
        }
        if let Some((before, Some(after))) = change.of::<ContainerInstance>() {
            // One that leaves opens nothing, but may be the one that a service tells of in vain.
            let turned = before.is_some_and(|before| before.status != after.status);
            if turned || after.status == InstanceStatus::Active {
                wake_waiting(after, state, add);
            }
            state.by::<DaemonServices>(&after.cluster).for_each(|row| add(row.key.clone()));
            wake_balanced(before, after, state, add);
            if turned {
                for task in state.by::<TasksOn>(&after.id) {
                    let service = task.service.clone();
                    service.into_iter().for_each(|name| add((task.cluster.clone(), name)));
                }
            }
        }
    }

    fn reconcile(tx: &mut Tx<'_>, key: &ServiceKey) {
        let Some(row) = tx.get::<Service>(key) else { return };
        let mut row = row.clone();
        match (row.status, row.controller) {
            (ServiceStatus::Inactive, _) => {
                if row.forget_at.is_some_and(|at| at <= tx.now()) {
                    services::forget(tx, key);
                }
                return;
            }
            (ServiceStatus::Draining, _) => drain(tx, &mut row),
            (ServiceStatus::Active, Controller::Ecs) => roll(tx, &mut row),
            (ServiceStatus::Active, Controller::CodeDeploy | Controller::External) => {
                task_sets::advance(tx, &mut row);
                // What no task set has any more.
                note_ended(tx, &mut row);
            }
        }
        tx.put(row);
    }
}

fn wake_waiting(host: &ContainerInstance, state: &State, add: &mut dyn FnMut(ServiceKey)) {
    state.by::<WaitingServices>(&host.cluster).for_each(|row| add(row.key.clone()));
    if host.fargate().is_some() {
        let pool = fargate_of(host.cluster.0);
        state.by::<WaitingServices>(&pool).for_each(|row| add(row.key.clone()));
    }
}

/// A host that takes tasks from now on, or none any more, may open a zone or shut one.
fn wake_balanced(
    before: Option<&ContainerInstance>,
    after: &ContainerInstance,
    state: &State,
    add: &mut dyn FnMut(ServiceKey),
) {
    let open = |row: &ContainerInstance| {
        let takes = row.takes_tasks() && row.observed_connected;
        takes.then(|| (row.zone().map(str::to_owned), row.is_hidden(), row.serves_fargate()))
    };
    // A change onto itself is somebody who looks at everything.
    if before.map(open) == Some(open(after)) && before != Some(after) {
        return;
    }
    for place in [after.cluster.clone(), fargate_of(after.cluster.0)] {
        state.by::<BalancedServices>(&place).for_each(|row| add(row.key.clone()));
    }
}

/// One pass over a service whose versions are rolled here, or over a task set as one.
pub fn roll(tx: &mut Tx<'_>, row: &mut Service) {
    let stages = match shifts::advance(tx, row) {
        Turn::Done => return,
        Turn::Rolls(until) => until,
    };
    let now = tx.now();
    note_ended(tx, row);
    let next = if row.daemon { service_placing::next(tx, row) } else { None };
    pictures::refresh(tx, row, next.as_ref().map(|next| &next.ask));
    let proven_at = Seen::of(tx, row).proven_at(now);
    note_proven(row, proven_at);
    deployments::judge(tx, row);
    let seen = Seen::of(tx, row);
    if let (Some(ground), Some(_)) = (seen.ground().filter(|_| row.daemon), &next) {
        row.desired_count = ground.wanted().len() as u32;
    }
    let evened = balance::ends(row, seen.census());
    // Judging may have brought another version to the front.
    let (mut plan, hosts) = planned(tx, &seen, row, false, now);
    let mut started = start(tx, row, plan.start as usize, &hosts, next);
    let crowded = started.problem.is_some();
    let restored = restore(tx, row, &plan, started.tasks.len());
    row.waiting = crowded || restored.problem.is_some();
    started.join(restored);
    if plan.steady {
        started = balance::even_out(tx, row, now);
    }
    let seen = Seen::of(tx, row);
    started.waits = started.waits.or_else(|| setbacks::stuck(row, &plan, seen.census()));
    if crowded && !row.daemon {
        pictures::refresh(tx, row, None);
        plan = planned(tx, &Seen::of(tx, row), row, true, now).0;
    }
    told_started(tx, row, &started, now);
    stop(tx, row, &plan, evened);
    drop_ended_deployments(tx, row);
    settle(tx, row, &plan, now);
    row.look_at = earliest(row.look_at, stages);
}

/// What may be done now, and on which hosts a daemon starts.
fn planned(
    state: &State,
    seen: &Seen<'_>,
    row: &Service,
    crowded: bool,
    now: Time,
) -> (Plan<Id128>, Vec<Id128>) {
    let (versions, _) = rollout::versions(row, crowded, now);
    let problem = Problem {
        desired: row.desired_count.saturating_add(row.extra),
        bounds: rollout::bounds(row, row.desired_count),
        proven: early::is_proven(state, row, seen.census()),
        versions: &versions,
        tasks: seen,
    };
    match seen.ground().filter(|_| row.daemon) {
        Some(ground) => {
            let (hosts, plan) = plan_daemon(&problem, ground);
            (plan, hosts.into_iter().filter_map(|host| seen.host(host)).collect())
        }
        None => (plan_rolling(&problem), Vec::new()),
    }
}

/// Start what is missing, as far as one step goes.
fn start(
    tx: &mut Tx<'_>,
    row: &mut Service,
    count: usize,
    hosts: &[Id128],
    next: Option<Next>,
) -> Started {
    let now = tx.now();
    if count == 0 || row.batch_at == Some(now) {
        return Started::default();
    }
    let Some(next) = next.or_else(|| service_placing::next(tx, row)) else {
        return Started::default();
    };
    let most = row.primary().map_or(0, |one| images::may_start(tx, row, one, count));
    let most = most.min(MOST_STARTS);
    if most == 0 {
        return Started::default();
    }
    let started = match row.daemon {
        true => service_placing::start_on(tx, row, &next, (hosts, most)),
        false => service_placing::start(tx, row, &next, most),
    };
    if let Some(deployment) = row.primary() {
        images::note_started(tx, row, deployment, &started.tasks);
    }
    if started.tasks.len() == MOST_STARTS {
        row.batch_at = Some(now);
    }
    started
}

/// Start again what an older version lost, after `begun` of the newest.
fn restore(tx: &mut Tx<'_>, row: &mut Service, plan: &Plan<Id128>, begun: usize) -> Started {
    let now = tx.now();
    let Some(Restore { version, count }) = plan.restore.filter(|_| row.batch_at != Some(now))
    else {
        return Started::default();
    };
    let deployment = &row.deployments[version];
    let most = images::may_start(tx, row, deployment, count as usize);
    let most = most.min(MOST_STARTS.saturating_sub(begun));
    let next = service_placing::next_of(tx, row, deployment).filter(|_| most > 0);
    let started = next.map(|next| service_placing::start(tx, row, &next, most));
    started.unwrap_or_default()
}

/// Tasks that have stopped since the last look: those that failed count against their deployment.
pub(super) fn note_ended(tx: &mut Tx<'_>, row: &mut Service) {
    let now = tx.now();
    let ended = tx.by::<EndedTasksOf>(&row.key);
    let ended = ended.filter(|task| row.minds(task.started_by.as_ref()));
    let ended: Vec<Task> = ended.cloned().collect();
    for task in ended {
        if has_failed(&task) {
            note_failure(tx, row, &task, now);
        }
        tx.edit::<Task>(&task.id, |task| task.noted = true);
    }
}

/// It never ran, or so shortly that it comes to the same.
fn has_failed(task: &Task) -> bool {
    match task.stop_code {
        Some(StopCode::TaskFailedToStart) => true,
        Some(StopCode::EssentialContainerExited) => {
            let ran = task.started_at.zip(task.stopped_at).map(|(from, to)| to.since(from));
            ran.is_none_or(|ran| ran < rollout::PROVEN_IN)
        }
        _ => false,
    }
}

fn note_failure(tx: &mut Tx<'_>, row: &mut Service, task: &Task, now: Time) {
    let by = task.started_by.as_deref();
    // It waited for a place in vain: what kept it is told anew, should it keep the next one too.
    if task.host.is_none() {
        row.told = None;
    }
    let Some(deployment) = row.deployments.iter_mut().find(|one| Some(&*one.id) == by) else {
        return;
    };
    let before = rollout::backoff(deployment);
    let after = before.fail(now);
    (deployment.failures, deployment.failed_at) = (after.failures, after.last);
    deployment.failed_tasks = deployment.failed_tasks.saturating_add(1);
    if after.is_throttled() && !before.is_throttled() {
        tell(
            tx,
            row,
            "is unable to consistently start tasks successfully. For more information, see the \
             Troubleshooting section of the Amazon ECS Developer Guide.",
        );
    }
}

/// A task of the newest version that came up after the last failure, and stayed, ends the count.
pub(super) fn note_proven(row: &mut Service, proven_at: Option<Time>) {
    let breaker = row.configuration.deployment_circuit_breaker.as_ref();
    let resets = breaker.is_none_or(|breaker| breaker.reset_on_healthy_task != Some(false));
    let Some(primary) = row.deployments.first_mut() else { return };
    let Some(failed_at) = primary.failed_at else { return };
    if proven_at.is_some_and(|proven| proven > failed_at) {
        (primary.failures, primary.failed_at) = (0, None);
        if resets || primary.rollout != Rollout::InProgress {
            primary.failed_tasks = 0;
        }
    }
}

pub(super) fn told_started(tx: &mut Tx<'_>, row: &mut Service, started: &Started, now: Time) {
    for some in started.tasks.chunks(IN_A_LINE) {
        let line = format!("has started {} tasks: {}.", some.len(), listed(some));
        tell(tx, row, &line);
    }
    match started.problem.as_ref().or(started.waits.as_ref()) {
        // As long as some wait, it is no news.
        None if row.told.is_some() && waiting::of_service(tx, row) > 0 => {}
        None => row.told = None,
        Some(Setback { text, hindrance }) => {
            let same = |told: &&Told| *told.text == **text && told.at + TOLD_AGAIN > now;
            if row.told.as_ref().filter(same).is_none() {
                tell(tx, row, text);
                let (text, hindrance) = (text.as_str().into(), hindrance.clone());
                row.told = Some(Told { text, at: now, hindrance });
            }
        }
    }
}

/// `(task …) (task …)`
fn listed(tasks: &[Id128]) -> String {
    tasks.iter().map(|id| format!("(task {id})")).collect::<Vec<_>>().join(" ")
}

pub(super) fn stop(tx: &mut Tx<'_>, row: &mut Service, plan: &Plan<Id128>, evened: bool) {
    let now = tx.now();
    for stop in &plan.stop {
        let Some(task) = tx.get::<Task>(&stop.task) else { continue };
        let traffic = task.extras.as_ref().and_then(|extras| extras.observed_traffic);
        let ill = task.health() == Health::Unhealthy || traffic == Some(Health::Unhealthy);
        let by = task.started_by.clone();
        let reason = match stop.why {
            Why::Unhealthy => "Task failed container health checks".to_owned(),
            Why::TooMany | Why::Outdated | Why::Moved => scaling(row),
        };
        if stop.why == Why::Unhealthy {
            tell(tx, row, &format!("(task {}) failed container health checks.", stop.task));
            let failing = row.deployments.iter_mut().find(|one| Some(&one.id) == by.as_ref());
            if let Some(deployment) = failing {
                deployment.failed_tasks = deployment.failed_tasks.saturating_add(1);
                deployment.failed_at = Some(now);
            }
        }
        if stop.why == Why::Outdated && !ill {
            let older = row.deployments.iter_mut().find(|one| Some(&one.id) == by.as_ref());
            older.into_iter().for_each(|one| one.keeps = one.keeps.saturating_sub(1));
        }
        tx.edit::<Task>(&stop.task, |task| {
            life::want_stopped(task, StopCode::ServiceSchedulerInitiated, Some(&reason), now);
        });
    }
    let all: Vec<Id128> = plan.stop.iter().map(|stop| stop.task).collect();
    match evened {
        true => told_evened(tx, row, &all),
        false => told_stopped(tx, row, &all),
    }
}

/// AWS tells zone by zone what goes so that they are even.
fn told_evened(tx: &mut Tx<'_>, row: &mut Service, tasks: &[Id128]) {
    let mut zones: BTreeMap<String, Vec<Id128>> = BTreeMap::new();
    for id in tasks {
        let host = tx.get::<Task>(id).and_then(|task| task.host);
        let host = host.and_then(|host| tx.get::<ContainerInstance>(&host));
        let zone = host.and_then(ContainerInstance::zone).unwrap_or_default();
        zones.entry(zone.to_owned()).or_default().push(*id);
    }
    for (zone, tasks) in zones {
        for some in tasks.chunks(IN_A_LINE) {
            let (count, tasks) = (some.len(), listed(some));
            let why = format!("in {zone} due to AZ rebalancing: {tasks}.");
            tell(tx, row, &format!("has stopped {count} running tasks {why}"));
        }
    }
}

fn told_stopped(tx: &mut Tx<'_>, row: &mut Service, tasks: &[Id128]) {
    for some in tasks.chunks(IN_A_LINE) {
        let line = format!("has stopped {} running tasks: {}.", some.len(), listed(some));
        tell(tx, row, &line);
    }
}

/// AWS names the deployment on whose behalf tasks go: the newest.
fn scaling(row: &Service) -> String {
    let id = row.primary().map_or("", |one| &one.id);
    format!("Scaling activity initiated by (deployment {id})")
}

/// Older deployments go with their last task, unless it was lost and shall come again.
fn drop_ended_deployments(state: &State, row: &mut Service) {
    if row.deployments.len() < 2 {
        return;
    }
    let seen = Seen::of(state, row);
    let whole = seen.census().count(|version, kind| version == 0 && kind.serves());
    let whole = whole >= row.desired_count;
    let mut place = 0;
    row.deployments.retain(|one| {
        let stays = place == 0 || seen.has(place) || one.keeps > 0 && !whole;
        place += 1;
        stays
    });
}

/// Whether all is as it should be, and when to look again.
fn settle(tx: &mut Tx<'_>, row: &mut Service, plan: &Plan<Id128>, now: Time) {
    let steady = plan.steady && !row.waiting && row.deployments.len() == 1;
    let enough = steady || early::is_fulfilled(tx, row, Seen::of(tx, row).census());
    // Where it goes through stages, it is complete at their end.
    if enough && rolling(tx, row).is_none() {
        deployments::complete(tx, row);
    }
    match (steady, row.steady_at) {
        (false, _) => row.steady_at = None,
        (true, Some(at)) if at + TOLD_AGAIN > now => {}
        (true, _) => {
            tell(tx, row, "has reached a steady state.");
            row.steady_at = Some(now);
        }
    }
    let batch = row.batch_at.filter(|at| *at == now).map(|at| at + Duration::from_millis(1));
    let again = row.told.as_ref().map(|told| told.at + TOLD_AGAIN);
    let again = earliest(again, row.steady_at.map(|at| at + TOLD_AGAIN));
    let (_, wait) = rollout::versions(row, false, now);
    let changes = Seen::of(tx, row).look_at(row, now);
    row.look_at = [changes, batch, again, wait].into_iter().flatten().min();
    if batch.is_none() {
        row.batch_at = None;
    }
}

/// A deleted service: its tasks go, then it is only described.
fn drain(tx: &mut Tx<'_>, row: &mut Service) {
    let now = tx.now();
    note_ended(tx, row);
    let mut tasks: Vec<Id128> = Vec::new();
    let mut going = false;
    for task in tx.by::<CurrentTasksOf>(&row.key) {
        going = true;
        if task.desired_status == core_task::Desired::Running {
            tasks.push(task.id);
        }
    }
    let reason = scaling(row);
    for task in &tasks {
        tx.edit::<Task>(task, |task| {
            life::want_stopped(task, StopCode::ServiceSchedulerInitiated, Some(&reason), now);
        });
    }
    told_stopped(tx, row, &tasks);
    (row.waiting, row.told, row.look_at, row.steady_at) = (false, None, None, None);
    if !going {
        let sets: Vec<_> = sets_of(tx, &row.key).map(|set| set.key.clone()).collect();
        for set in sets {
            tx.delete::<TaskSet>(&set);
        }
        row.status = ServiceStatus::Inactive;
        row.deployments.clear();
        row.forget_at = Some(now + DESCRIBED_FOR);
        pictures::forget(tx, &row.key);
    }
}
