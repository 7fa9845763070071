//! Daemons: brings each onto the hosts of its capacity providers, from one revision to the next.
//!
//! A pass takes note of what has ended, asks core-rollout what may be done, starts and stops tasks,
//! and notes how far the newest deployment is. Whatever changes in the world brings the next pass.

use std::time::Duration;

use core_rollout::{Backoff, Breaker, Plan, Why, threshold};
use core_state::{Change, State, Tx};
use core_step::Loop;
use core_types::{Id128, Time};

use crate::rows::alarm::Alarm;
use crate::rows::container_instance::{Awaits, ContainerInstance, InstanceStatus};
use crate::rows::daemon::{Daemon, DaemonKey, DaemonStatus, DaemonsOn};
use crate::rows::daemon_history::{DaemonDeployment, DaemonDeploymentStatus, WatchingDaemons};
use crate::rows::task::{CurrentTasksOfDaemon, StopCode, Task, TasksOn};
use crate::rules::daemon_rollout::{self, SHORT_AGAIN, Seen};
use crate::rules::rollout::{PROVEN_IN, earliest};
use crate::rules::{daemons, life};

pub struct Daemons;

/// Tasks of one daemon that are started in one step.
const MOST_STARTS: usize = 500;
/// The history of a deleted daemon is described for a while.
const DESCRIBED_FOR: Duration = Duration::from_secs(3600);

impl Loop for Daemons {
    type Key = DaemonKey;
    const NAME: &'static str = "ecs/daemons";

    fn wake(change: &Change, state: &State, add: &mut dyn FnMut(DaemonKey)) {
        if let Some(row) = change.row::<Daemon>() {
            add(row.key.clone());
        }
        if let Some(row) = change.row::<DaemonDeployment>() {
            add(row.key.0.clone());
        }
        if let Some(alarm) = change.row::<Alarm>() {
            state.by::<WatchingDaemons>(&alarm.key).for_each(|record| add(record.key.0.clone()));
        }
        if let Some((before, after)) = change.of::<Task>() {
            let row = after.or(before).expect("a change has an image");
            if let Some(daemon) = row.daemon() {
                add((row.cluster.clone(), daemon.name.clone()));
            }
            // What it held is free for others, and it may have been the last on a host that leaves.
            let freed = before.is_some_and(Task::holds) && !after.is_some_and(Task::holds);
            let host = row.host.filter(|_| freed);
            if let Some(host) = host.and_then(|host| state.get::<ContainerInstance>(&host)) {
                wake_on(host, state, add, |row| row.waiting || host.is_leaving());
            }
        }
        if let Some((before, after)) = change.of::<ContainerInstance>() {
            for host in before.into_iter().chain(after) {
                wake_on(host, state, add, |_| true);
            }
        }
    }

    fn reconcile(tx: &mut Tx<'_>, key: &DaemonKey) {
        let Some(row) = tx.get::<Daemon>(key) else { return };
        let mut row = row.clone();
        match row.status {
            DaemonStatus::Deleted => {
                if row.forget_at.is_some_and(|at| at <= tx.now()) {
                    daemons::forget(tx, key);
                }
                return;
            }
            DaemonStatus::DeleteInProgress => take_away(tx, &mut row),
            DaemonStatus::Active => roll(tx, &mut row),
        }
        tx.put(row);
    }
}

fn wake_on(
    host: &ContainerInstance,
    state: &State,
    add: &mut dyn FnMut(DaemonKey),
    which: impl Fn(&Daemon) -> bool,
) {
    if let Some(provider) = &host.capacity_provider {
        let on = state.by::<DaemonsOn>(&(host.cluster.clone(), provider.clone()));
        on.filter(|row| which(row)).for_each(|row| add(row.key.clone()));
    }
}

/// One pass over a daemon that stands.
fn roll(tx: &mut Tx<'_>, row: &mut Daemon) {
    let now = tx.now();
    begin(tx, row, now);
    note_ended(tx, row);
    let hosts = daemon_rollout::see(tx, row, now).wanted.len();
    judge(tx, row, hosts);
    // Judging may have brought another revision to the front.
    let seen = daemon_rollout::see(tx, row, now);
    let Some(record) = daemons::deployment_of(tx, row).cloned() else { return };
    let (start, plan, until) = daemon_rollout::plan(row, &record, &seen, now);
    let cut = start.len() > MOST_STARTS;
    start_on(tx, row, &seen, &start[..start.len().min(MOST_STARTS)]);
    stop(tx, row, &seen, &plan);
    let done = plan.steady && !row.waiting;
    if done {
        (row.failures, row.failed_at) = (0, None);
    }
    let baked = bake(tx, row, done, now);
    row.look_at = [
        seen.look_at,
        until,
        baked,
        row.short_at.map(|at| at + SHORT_AGAIN),
        cut.then(|| now + Duration::from_millis(1)),
    ]
    .into_iter()
    .fold(None, earliest);
}

/// AWS: PENDING until ECS has looked at it for the first time.
fn begin(tx: &mut Tx<'_>, row: &Daemon, now: Time) {
    let pending = |record: &DaemonDeployment| record.status == DaemonDeploymentStatus::Pending;
    if daemons::deployment_of(tx, row).is_some_and(pending) {
        let key = (row.key.clone(), row.deployment.clone());
        tx.edit::<DaemonDeployment>(&key, |record| {
            record.status = DaemonDeploymentStatus::InProgress;
            record.started_at = Some(now);
        });
    }
}

/// Tasks that have stopped since the last look: those that failed count against the deployment, and
/// a host does not go on without a critical daemon that it had.
fn note_ended(tx: &mut Tx<'_>, row: &mut Daemon) {
    let now = tx.now();
    let ended = tx.by::<CurrentTasksOfDaemon>(&row.key).filter(|task| task.is_stopped());
    let ended: Vec<Task> = ended.cloned().collect();
    for task in ended {
        let newest = task.daemon().is_some_and(|daemon| daemon.revision == row.revision);
        if newest && has_failed(&task) {
            note_failure(row, now);
        }
        // AWS: whoever stopped it, if it was not the daemon's own deployment.
        if task.stop_code != Some(StopCode::ServiceSchedulerInitiated)
            && let Some(host) = task.host
        {
            repair(tx, row, host);
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
            ran.is_none_or(|ran| ran < PROVEN_IN)
        }
        _ => false,
    }
}

fn note_failure(row: &mut Daemon, now: Time) {
    let after = Backoff { failures: row.failures, last: row.failed_at }.fail(now);
    (row.failures, row.failed_at) = (after.failures, after.last);
    row.failed_tasks = row.failed_tasks.saturating_add(1);
}

/// AWS: an instance that loses a critical daemon is drained, and its other tasks are stopped. Here
/// it is not replaced by another, but gets the daemon anew; then it is as good as one.
fn repair(tx: &mut Tx<'_>, row: &Daemon, host: Id128) {
    let critical = daemons::revision_of(tx, row).is_some_and(|revision| revision.critical);
    let there = tx.get::<ContainerInstance>(&host);
    let lacks = |host: &&ContainerInstance| host.takes_tasks() && daemon_rollout::is_for(row, host);
    if !critical || row.given_up || there.filter(lacks).is_none() {
        return;
    }
    tx.edit::<ContainerInstance>(&host, |host| {
        host.status = InstanceStatus::Draining;
        host.awaits = Some(Awaits::Again);
        host.version += 1;
    });
    let now = tx.now();
    let reason = format!("The critical daemon {} on the container instance stopped.", row.name());
    let alone =
        |task: &&Task| !task.is_stopped() && task.service.is_none() && task.daemon().is_none();
    let tasks: Vec<Id128> = tx.by::<TasksOn>(&host).filter(alone).map(|task| task.id).collect();
    for task in tasks {
        tx.edit::<Task>(&task, |task| {
            life::want_stopped(task, StopCode::TerminationNotice, Some(&reason), now);
        });
    }
}

/// Alarms and the breaker look at the newest deployment.
fn judge(tx: &mut Tx<'_>, row: &mut Daemon, hosts: usize) {
    let most = threshold(u32::try_from(hosts).unwrap_or(u32::MAX));
    let Some(record) = daemons::deployment_of(tx, row).filter(|r| !r.status.is_over()) else {
        return;
    };
    let returning = record.rollback.is_some();
    let key = record.key.clone();
    let failed = row.failed_tasks;
    if !returning {
        tx.edit::<DaemonDeployment>(&key, |record| {
            (record.failed_tasks, record.threshold) = (failed, most);
        });
    }
    let rings = tx.get::<DaemonDeployment>(&key).map(|record| daemons::ringing(tx, record));
    if let Some(rings) = rings.filter(|rings| !rings.is_empty()) {
        tx.edit::<DaemonDeployment>(&key, |record| record.triggered_alarms = rings);
        return daemons::give_up(tx, row, "An alarm was detected during the daemon deployment.");
    }
    if (Breaker { failed }).is_open(most) {
        tx.edit::<DaemonDeployment>(&key, |record| record.triggered = true);
        daemons::give_up(
            tx,
            row,
            "The daemon deployment circuit breaker was triggered: tasks failed to start.",
        );
    }
}

fn start_on(tx: &mut Tx<'_>, row: &mut Daemon, seen: &Seen, start: &[u32]) {
    let revision = daemons::revision_of(tx, row).filter(|_| !start.is_empty()).cloned();
    let mut problem = None;
    if let Some(revision) = revision {
        let next = daemon_rollout::next(row, &revision);
        for place in start.iter().filter_map(|number| seen.hosts.get(number)) {
            match next.start(tx, place.id) {
                Ok(_) if revision.critical => close(tx, place.id),
                Ok(_) => {}
                Err(text) => problem = problem.or(Some(text)),
            }
        }
    }
    row.waiting = problem.is_some();
    let under_way = daemons::deployment_of(tx, row).filter(|record| !record.status.is_over());
    let key = under_way.map(|record| record.key.clone());
    let (Some(problem), Some(key)) = (problem, key) else {
        row.short_at = None;
        return;
    };
    tx.edit::<DaemonDeployment>(&key, |record| record.reason = Some(problem));
    note_shortage(row, tx.now());
}

/// AWS: a task that could not be made counts like one that failed. What is short may come, so that
/// it counts once in a while and not at each look.
fn note_shortage(row: &mut Daemon, now: Time) {
    match row.short_at {
        Some(at) if at + SHORT_AGAIN > now => return,
        Some(_) => row.failed_tasks = row.failed_tasks.saturating_add(1),
        None => {}
    }
    row.short_at = Some(now);
}

/// From now on a host takes no tasks until its daemon runs.
fn close(tx: &mut Tx<'_>, host: Id128) {
    let open = tx.get::<ContainerInstance>(&host).is_some_and(ContainerInstance::takes_tasks);
    if open {
        tx.edit::<ContainerInstance>(&host, |host| {
            host.awaits = Some(Awaits::Next);
            host.version += 1;
        });
    }
}

fn stop(tx: &mut Tx<'_>, row: &mut Daemon, seen: &Seen, plan: &Plan<Id128>) {
    let now = tx.now();
    let critical = daemons::revision_of(tx, row).is_some_and(|revision| revision.critical);
    for stop in &plan.stop {
        let task = seen.tasks.iter().find(|task| task.key == stop.task);
        let host = task.and_then(|task| seen.hosts.get(&task.host)).map(|place| place.id);
        let reason = match stop.why {
            Why::Unhealthy => "Task failed container health checks",
            Why::TooMany | Why::Outdated | Why::Moved => "Daemon deployment",
        };
        match (stop.why, host) {
            (Why::Unhealthy, Some(host)) => {
                note_failure(row, now);
                repair(tx, row, host);
            }
            (Why::Outdated, Some(host)) if critical => close(tx, host),
            _ => {}
        }
        tx.edit::<Task>(&stop.task, |task| {
            life::want_stopped(task, StopCode::ServiceSchedulerInitiated, Some(reason), now);
        });
    }
}

/// A deployment whose hosts all have it bakes, and is done. Tells when it will be.
fn bake(tx: &mut Tx<'_>, row: &mut Daemon, done: bool, now: Time) -> Option<Time> {
    let record = daemons::deployment_of(tx, row).filter(|record| !record.status.is_over())?;
    let (key, minutes) = (record.key.clone(), record.configuration.bake_time_in_minutes);
    let minutes = u64::try_from(minutes.unwrap_or_default()).unwrap_or_default();
    // AWS: what a deployment has gone back to is known to do well.
    let minutes = if record.rollback.is_some() { 0 } else { minutes };
    let since = done.then(|| record.baking_since.unwrap_or(now));
    tx.edit::<DaemonDeployment>(&key, |record| record.baking_since = since);
    let until = since? + Duration::from_secs(minutes * 60);
    if until <= now {
        daemons::complete(tx, row);
        return None;
    }
    Some(until)
}

/// A daemon that was deleted goes with its last task.
fn take_away(tx: &mut Tx<'_>, row: &mut Daemon) {
    let now = tx.now();
    begin(tx, row, now);
    let current: Vec<Task> = tx.by::<CurrentTasksOfDaemon>(&row.key).cloned().collect();
    let mut left = false;
    for task in current {
        tx.edit::<Task>(&task.id, |task| match task.is_stopped() {
            true => task.noted = true,
            false => {
                left = true;
                let code = StopCode::ServiceSchedulerInitiated;
                life::want_stopped(task, code, Some("Daemon deleted"), now);
            }
        });
    }
    (row.look_at, row.waiting) = (None, false);
    if !left {
        daemons::end(tx, row, DaemonDeploymentStatus::Successful, now, |record| {
            record.reason = Some("Deployment completed successfully.".to_owned());
        });
        row.status = DaemonStatus::Deleted;
        row.updated_at = now;
        row.forget_at = Some(now + DESCRIBED_FOR);
    }
}
