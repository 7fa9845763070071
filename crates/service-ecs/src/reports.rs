//! What hosts tell. A report may come late, twice and out of order: each is a join with what is
//! known, and taking it again changes nothing.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use core_state::Tx;
use core_step::Report;
use core_task::{Desired, TaskReport, TaskStatus, observe};
use core_types::{Id128, Time};

use crate::rows::container_instance::{
    Check, ConnectedInstances, ContainerInstance, InstanceStatus,
};
use crate::rows::exec_session::ExecSession;
use crate::rows::service::ServiceKey;
use crate::rows::service_history::DeploymentRecord;
use crate::rows::task::{AttachmentStatus, ExecAgent, ExecStatus, Health, Task};
use crate::rows::timing::Timing;
use crate::rules::{hooks, images, life, timing};

pub use crate::rules::hooks::Answer;

type Nothing = Box<dyn Any + Send>;

/// A host has seen something of a task.
pub struct TaskObserved {
    pub task: Id128,
    pub report: TaskReport<'static>,
}

impl Report for TaskObserved {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Nothing {
        apply(tx, self.task, &self.report);
        Box::new(())
    }
}

/// Take a report into the task's row. A task that is not known (any more) is nobody's loss: its
/// host learns from the next manifest what it should run.
pub fn apply(tx: &mut Tx<'_>, task: Id128, report: &TaskReport<'_>) {
    let (now, kept) = (tx.now(), timing::stopped_tasks_kept(tx));
    tx.edit::<Task>(&task, |task| {
        // Its host has told of a task that was given up with it: by now it has stopped it.
        let settled = task.given_up && report.status == Some(TaskStatus::Stopped);
        task.given_up &= !settled;
        let effect = observe(task, report);
        if effect.changed {
            life::end_exec_agents(task);
            task.version += 1;
        }
        let Some((before, after)) = effect.rose else { return };
        task.connectivity_at = task.connectivity_at.or(Some(now));
        if before < TaskStatus::Running && after == TaskStatus::Running {
            // It runs, so what it needs is there.
            let all = task.extras.iter_mut().flat_map(|extras| &mut extras.attachments);
            all.for_each(|one| {
                one.observed_status = one.observed_status.max(AttachmentStatus::Attached)
            });
            task.started_at = task.started_at.or(Some(now));
        }
        if after >= TaskStatus::Stopping {
            task.stopping_at = task.stopping_at.or(Some(now));
        }
        if after == TaskStatus::Stopped {
            life::stopped_on_host(task, report.reason, now, kept);
        }
    });
    images::learn(tx, task);
}

/// An agent's connection stands.
pub struct AgentConnected {
    pub instance: Id128,
    pub session: u64,
}

impl Report for AgentConnected {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Nothing {
        tx.edit::<ContainerInstance>(&self.instance, |row| {
            let gone = row.status == InstanceStatus::Inactive;
            if gone || self.session < row.observed_session {
                return;
            }
            row.version += u64::from(!row.observed_connected);
            row.observed_connected = true;
            row.observed_session = self.session;
            row.lost_at = None;
        });
        Box::new(())
    }
}

/// An agent's connection has ended. The end of an older one than stands is no news.
pub struct AgentDisconnected {
    pub instance: Id128,
    pub session: u64,
    /// For how long it is away already: the grace began then.
    pub away: Duration,
}

impl Report for AgentDisconnected {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Nothing {
        let lost_at = tx.now() + timing::host_lost_after(tx).saturating_sub(self.away);
        tx.edit::<ContainerInstance>(&self.instance, |row| {
            if row.observed_session == self.session {
                disconnect(row, lost_at);
            }
        });
        Box::new(())
    }
}

fn disconnect(row: &mut ContainerInstance, lost_at: Time) {
    if row.observed_connected {
        row.observed_connected = false;
        row.version += 1;
        row.lost_at = Some(lost_at);
    }
}

/// The process that held the connections is a new one: whoever is there will connect again, and
/// has the whole grace for it.
pub struct ConnectionsReset;

impl Report for ConnectionsReset {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Nothing {
        let lost_at = tx.now() + timing::host_lost_after(tx);
        let there: Vec<Id128> = tx.by::<ConnectedInstances>(&()).map(|row| row.id).collect();
        for id in there {
            tx.edit::<ContainerInstance>(&id, |row| disconnect(row, lost_at));
        }
        // The bytes of open sessions went through that process.
        let open: Vec<_> = tx.all::<ExecSession>().map(|row| row.id.clone()).collect();
        for id in open {
            tx.delete::<ExecSession>(&id);
        }
        Box::new(())
    }
}

/// An agent has taken a payload: it knows its tasks and what is wanted of them.
pub struct PayloadAcknowledged {
    pub instance: Id128,
    pub tasks: Vec<(Id128, Desired)>,
}

impl Report for PayloadAcknowledged {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Nothing {
        for (task, desired) in self.tasks {
            acknowledge(tx, self.instance, task, desired);
        }
        Box::new(())
    }
}

fn acknowledge(tx: &mut Tx<'_>, instance: Id128, task: Id128, desired: Desired) {
    let now = tx.now();
    tx.edit::<Task>(&task, |task| {
        if task.host != Some(instance) || task.observed_acknowledged >= Some(desired) {
            return;
        }
        task.observed_acknowledged = Some(desired);
        task.connectivity_at = task.connectivity_at.or(Some(now));
        // AWS: STOPPING is the wait for the agent.
        if desired == Desired::Stopped && task.observed_status < TaskStatus::Stopping {
            task.observed_status = TaskStatus::Stopping;
            task.version += 1;
        }
    });
}

/// What a container's health check says, and since when.
pub struct ContainerHealth {
    pub instance: Id128,
    pub task: Id128,
    pub container: String,
    pub health: Health,
    pub since: Time,
}

impl Report for ContainerHealth {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Nothing {
        tx.edit::<Task>(&self.task, |task| {
            let told = (self.health, self.since);
            // A host speaks for its own tasks.
            if task.host != Some(self.instance) {
                return;
            }
            let container = task.containers.iter_mut().find(|c| *c.name == *self.container);
            let Some(container) = container else { return };
            let known = container.observed_health;
            let key = |(health, since): (Health, Time)| (since, health);
            if known.is_none_or(|known| key(known) < key(told)) {
                container.observed_health = Some(told);
                task.version += u64::from(known.map(|known| known.0) != Some(told.0));
            }
        });
        Box::new(())
    }
}

/// What an agent says of its instance's own health.
pub struct InstanceHealth {
    pub instance: Id128,
    pub check: String,
    pub status: String,
    pub at: Time,
}

/// More checks than any agent makes.
const MOST_CHECKS: usize = 16;
const LONGEST_WORD: usize = 64;

impl Report for InstanceHealth {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Nothing {
        if self.check.len() > LONGEST_WORD || self.status.len() > LONGEST_WORD {
            return Box::new(());
        }
        let InstanceHealth { instance, check: name, status, at } = *self;
        tx.edit::<ContainerInstance>(&instance, |row| {
            let told = Check { name, status, at, since: at };
            let checks = &mut row.observed_checks;
            match checks.iter().position(|check| check.name == told.name) {
                Some(place) if checks[place].at < at => {
                    let before = &checks[place];
                    let since = if before.status == told.status { before.since } else { at };
                    checks[place] = Check { since, ..told };
                }
                None if checks.len() < MOST_CHECKS => checks.push(told),
                _ => {}
            }
        });
        Box::new(())
    }
}

/// The two sides of an ExecuteCommand session have come.
pub struct ExecOpened {
    pub session: String,
}

impl Report for ExecOpened {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Nothing {
        let now = tx.now();
        tx.edit::<ExecSession>(&self.session.as_str().into(), |row| {
            row.opened_at = row.opened_at.or(Some(now));
            row.forget_at = None;
        });
        Box::new(())
    }
}

/// A session has ended.
pub struct ExecEnded {
    pub session: String,
}

impl Report for ExecEnded {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Nothing {
        tx.delete::<ExecSession>(&self.session.as_str().into());
        Box::new(())
    }
}

/// Where a task's attachment stands.
pub struct AttachmentObserved {
    pub task: Id128,
    pub attachment: Id128,
    pub status: AttachmentStatus,
}

impl Report for AttachmentObserved {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Nothing {
        attachment(tx, self.task, self.attachment, self.status);
        Box::new(())
    }
}

/// Take an attachment's status; it only grows.
pub fn attachment(tx: &mut Tx<'_>, task: Id128, attachment: Id128, status: AttachmentStatus) {
    tx.edit::<Task>(&task, |task| {
        let Some(extras) = &mut task.extras else { return };
        let found = extras.attachments.iter_mut().find(|one| one.id == attachment);
        let Some(found) = found.filter(|one| one.observed_status < status) else { return };
        found.observed_status = status;
        task.version += 1;
        let all = extras.attachments.iter();
        let attached = all.clone().all(|a| a.observed_status == AttachmentStatus::Attached);
        // AWS: a task whose interfaces are there is ACTIVATING until its containers run.
        if attached && task.observed_status < TaskStatus::Activating {
            task.observed_status = TaskStatus::Activating;
        }
    });
}

/// The state of the program that `ExecuteCommand` speaks to.
pub struct ExecAgentObserved {
    pub task: Id128,
    pub container: String,
    pub status: ExecStatus,
    pub reason: Option<String>,
}

impl Report for ExecAgentObserved {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Nothing {
        exec_agent(tx, self.task, &self.container, self.status, self.reason);
        Box::new(())
    }
}

pub fn exec_agent(
    tx: &mut Tx<'_>,
    task: Id128,
    container: &str,
    status: ExecStatus,
    reason: Option<String>,
) {
    let now = tx.now();
    tx.edit::<Task>(&task, |task| {
        let known = task.containers.iter().find(|c| *c.name == *container);
        let Some(name) = known.map(|known| known.name.clone()) else { return };
        let agents = &mut task.extras.get_or_insert_default().exec_agents;
        let there = agents.iter_mut().find(|agent| agent.container == name);
        let started_at = (status == ExecStatus::Running).then_some(now);
        match there {
            Some(agent) if agent.observed_status < status => {
                agent.observed_status = status;
                agent.reason = reason.or(agent.reason.take());
                agent.started_at = agent.started_at.or(started_at);
            }
            Some(_) => return,
            None => agents.push(ExecAgent {
                container: name,
                observed_status: status,
                reason,
                started_at,
            }),
        }
        task.version += 1;
    });
}

/// What the operator has set; the server tells it at each start.
pub struct Configured {
    pub host_lost_after: Duration,
    pub stopped_tasks_kept: Duration,
}

impl Report for Configured {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Nothing {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        tx.put(Timing {
            host_lost_after_ms: millis(self.host_lost_after),
            stopped_tasks_kept_ms: millis(self.stopped_tasks_kept),
        });
        Box::new(())
    }
}

/// A webhook was called.
pub struct HookCalled {
    pub deployment: (ServiceKey, Arc<str>),
    pub hook: Arc<str>,
    pub number: u32,
    pub answer: Answer,
}

impl Report for HookCalled {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Nothing {
        let now = tx.now();
        tx.edit::<DeploymentRecord>(&self.deployment, |record| {
            let hooks = record.progress.iter_mut().flat_map(|progress| &mut progress.hooks);
            for hook in hooks.filter(|hook| hook.id == self.hook) {
                hooks::take(hook, self.number, &self.answer, now);
            }
        });
        Box::new(())
    }
}
