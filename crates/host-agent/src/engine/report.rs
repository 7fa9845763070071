//! What the control plane has not been told yet.
//!
//! One call tells RUNNING, one tells STOPPED, and both carry the containers' news. A container's
//! change that no call for its task will carry soon is told by itself. What was told is only
//! remembered when it was accepted, so a report that was lost is made again.

use std::time::Duration;

use core_types::Time;
use serde::{Deserialize, Serialize};

use super::spec::TaskSpec;
use super::state::{Binding, PartState, Phase, TaskState};

/// How long a container's news waits for company.
const BATCH: Duration = Duration::from_secs(1);

#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    #[default]
    Pending,
    Running,
    Stopped,
}

impl Status {
    /// AWS's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::Running => "RUNNING",
            Status::Stopped => "STOPPED",
        }
    }
}

/// What was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub task: Status,
    pub parts: Vec<Status>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    Task(TaskChange),
    Container(PartChange),
}

#[derive(Clone, Debug, PartialEq)]
pub struct TaskChange {
    pub status: Status,
    pub reason: Option<String>,
    pub parts: Vec<PartChange>,
    pub pull_started_at: Option<Time>,
    pub pull_stopped_at: Option<Time>,
    pub execution_stopped_at: Option<Time>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartChange {
    pub part: usize,
    pub status: Status,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
    pub image_digest: Option<String>,
    pub bindings: Vec<Binding>,
}

/// The next thing to tell, and when there may be more.
pub fn report(
    spec: &TaskSpec,
    state: &TaskState,
    told: &Told,
    now: Time,
) -> (Option<Report>, Option<Time>) {
    if state.was_running && told.task < Status::Running {
        return (Some(running(spec, state, told)), None);
    }
    if state.stopped_at.is_some() {
        let due = told.task < Status::Stopped;
        return (due.then(|| Report::Task(change(state, Status::Stopped, told))), None);
    }
    let mut later = None::<Time>;
    for (nth, seen) in state.parts.iter().enumerate() {
        if known(seen) <= told_of(told, nth) {
            continue;
        }
        let due = seen.changed_at.map_or(now, |changed| changed + BATCH);
        if due <= now {
            return (Some(Report::Container(part_change(nth, seen, known(seen)))), None);
        }
        later = Some(later.map_or(due, |other| other.min(due)));
    }
    (None, later)
}

/// The call that says RUNNING. It may come late, when containers have ended already: that is told
/// by a call of its own, so that the control plane sees both times.
fn running(spec: &TaskSpec, state: &TaskState, told: &Told) -> Report {
    let essential: Vec<bool> = spec.parts.iter().map(|part| part.essential).collect();
    let mut change = change(state, Status::Running, told);
    for part in &mut change.parts {
        if essential[part.part] && part.status == Status::Stopped {
            (part.status, part.exit_code, part.reason) = (Status::Running, None, None);
        }
    }
    change.reason = None;
    change.execution_stopped_at = None;
    Report::Task(change)
}

fn known(seen: &PartState) -> Status {
    match seen.phase {
        Phase::Stopped => Status::Stopped,
        _ if seen.started_at.is_some() => Status::Running,
        _ => Status::Pending,
    }
}

fn told_of(told: &Told, part: usize) -> Status {
    told.parts.get(part).copied().unwrap_or_default()
}

fn change(state: &TaskState, status: Status, told: &Told) -> TaskChange {
    let parts = state.parts.iter().enumerate();
    let news = parts.filter(|(nth, seen)| known(seen) > told_of(told, *nth));
    TaskChange {
        status,
        reason: state.reason.clone(),
        parts: news.map(|(nth, seen)| part_change(nth, seen, known(seen))).collect(),
        pull_started_at: state.pull_started_at,
        pull_stopped_at: state.pull_stopped_at,
        execution_stopped_at: state.execution_stopped_at,
    }
}

fn part_change(part: usize, seen: &PartState, status: Status) -> PartChange {
    let ended = status == Status::Stopped;
    PartChange {
        part,
        status,
        exit_code: seen.exit_code.filter(|_| ended),
        reason: seen.reason.clone().filter(|_| ended),
        image_digest: seen.image_digest.clone(),
        bindings: seen.bindings.clone(),
    }
}

impl Told {
    /// A report was accepted.
    pub fn accept(&mut self, report: &Report, parts: usize) {
        self.parts.resize(parts.max(self.parts.len()), Status::Pending);
        let mut learn = |change: &PartChange| {
            if let Some(told) = self.parts.get_mut(change.part) {
                *told = change.status.max(*told);
            }
        };
        match report {
            Report::Container(change) => learn(change),
            Report::Task(change) => {
                change.parts.iter().for_each(&mut learn);
                self.task = self.task.max(change.status);
            }
        }
    }
}
