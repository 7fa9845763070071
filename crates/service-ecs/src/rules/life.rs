//! A task's way to its end: who wanted it, what it is told with, and what is filled in.

use std::time::Duration;

use core_state::Tx;
use core_task::{ContainerStatus, Desired, TaskStatus};
use core_types::{Id128, Time};

use super::{interfaces, timing};
use crate::rows::container_instance::ContainerInstance;
use crate::rows::task::{Container, ExecStatus, Launch, StopCode, Task};

/// Want it stopped. The first reason stays: what comes later is a consequence.
pub fn want_stopped(task: &mut Task, code: StopCode, reason: Option<&str>, now: Time) {
    if task.desired_status == Desired::Stopped {
        return;
    }
    task.desired_status = Desired::Stopped;
    task.stop_code = task.stop_code.or(Some(code));
    if task.stopped_reason.is_none() {
        task.stopped_reason = reason.map(Into::into);
    }
    task.stopping_at = task.stopping_at.or(Some(now));
    task.version += 1;
}

/// What its host had of it has ended: fill in what nobody told.
fn conclude(task: &mut Task, reason: Option<&str>, now: Time) {
    task.desired_status = Desired::Stopped;
    for container in &mut task.containers {
        container.observed_status = ContainerStatus::Stopped;
    }
    end_exec_agents(task);
    let code = task.stop_code.unwrap_or_else(|| code_of(task));
    if task.stopped_reason.is_none() {
        task.stopped_reason = match reason.filter(|reason| !reason.is_empty()) {
            Some(told) => Some(told.into()),
            None => Some(reason_of(task, code).into()),
        };
    }
    task.stop_code = Some(code);
    task.stopping_at = task.stopping_at.or(Some(now));
    task.execution_stopped_at = task.execution_stopped_at.or(Some(now));
}

/// It has stopped.
pub fn finish(task: &mut Task, reason: Option<&str>, now: Time, kept: Duration) {
    conclude(task, reason, now);
    task.observed_status = TaskStatus::Stopped;
    task.deprovision_at = None;
    task.stopped_at = task.stopped_at.or(Some(now));
    task.forget_at = Some(now + kept);
}

/// Its host says that it has stopped. AWS: a task with an interface of its own is DEPROVISIONING until
/// that is gone. Here that is a step of its own, so that nobody who follows its changes misses it.
pub fn stopped_on_host(task: &mut Task, reason: Option<&str>, now: Time, kept: Duration) {
    if !interfaces::has_any(task) {
        return finish(task, reason, now, kept);
    }
    conclude(task, reason, now);
    task.observed_status = TaskStatus::Deprovisioning;
    task.deprovision_at = task.deprovision_at.or(Some(now + DEPROVISION_AFTER));
}

/// The next step.
const DEPROVISION_AFTER: Duration = Duration::from_millis(1);

/// Whether the host has nothing more to do with it, but it has not stopped yet.
pub fn is_deprovisioning(task: &Task) -> bool {
    task.observed_status == TaskStatus::Deprovisioning
}

/// AWS: what ExecuteCommand speaks to stops with its container.
pub fn end_exec_agents(task: &mut Task) {
    let Some(extras) = &mut task.extras else { return };
    for agent in &mut extras.exec_agents {
        let own = task.containers.iter().find(|container| container.name == agent.container);
        if own.is_some_and(|own| own.observed_status == ContainerStatus::Stopped) {
            agent.observed_status = ExecStatus::Stopped;
        }
    }
}

/// AWS: a task that was never RUNNING has failed to start, unless a container ran to its end before
/// the others had started. One that could not be started has a reason and no exit code; what was
/// stopped on its account has a code.
fn code_of(task: &Task) -> StopCode {
    let in_vain = |c: &Container| c.exit_code.is_none() && c.reason.is_some();
    let ended = task.containers.iter().any(|c| c.exit_code.is_some());
    let ran = task.started_at.is_some() || (ended && !task.containers.iter().any(in_vain));
    match ran {
        true => StopCode::EssentialContainerExited,
        false => StopCode::TaskFailedToStart,
    }
}

fn reason_of(task: &Task, code: StopCode) -> String {
    match code {
        StopCode::EssentialContainerExited => "Essential container in task exited".to_owned(),
        StopCode::TaskFailedToStart => {
            // AWS: on Fargate the container's reason is the task's; elsewhere it stays with the
            // container.
            let told = task.containers.iter().find_map(|container| container.reason.as_deref());
            let told = told.filter(|_| task.launch == Launch::Fargate);
            told.unwrap_or("Task failed to start").to_owned()
        }
        StopCode::UserInitiated => "Task stopped by user".to_owned(),
        StopCode::ServiceSchedulerInitiated => "Scaling activity initiated by service".to_owned(),
        StopCode::SpotInterruption => "Your Spot Task was interrupted.".to_owned(),
        StopCode::TerminationNotice => "Host EC2 terminated.".to_owned(),
    }
}

/// Stop a task that its host can no longer be asked about. Its resources stay held while the host
/// may still run it.
pub fn give_up(tx: &mut Tx<'_>, task: Id128, code: StopCode, reason: &str, held: bool) {
    let (now, kept) = (tx.now(), timing::stopped_tasks_kept(tx));
    tx.edit::<Task>(&task, |task| {
        if task.is_stopped() {
            return;
        }
        if is_deprovisioning(task) {
            return finish(task, None, now, kept);
        }
        want_stopped(task, code, Some(reason), now);
        task.given_up = held;
        task.version += 1;
        finish(task, None, now, kept);
    });
}

/// AWS's words for a task whose host is gone.
pub fn host_gone(host: &ContainerInstance) -> String {
    match &host.ec2_instance_id {
        Some(id) => format!("Host EC2 (instance {id}) terminated."),
        None => format!("Host EC2 (instance {}) terminated.", host.id),
    }
}
