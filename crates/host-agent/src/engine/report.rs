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
/// How long a digest waits for the task to run, whose report carries it. Others wait for it, so that
/// is short.
const SOON: Duration = Duration::from_millis(250);

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
    /// Whose image's digest.
    #[serde(default)]
    pub digests: Vec<bool>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    Task(TaskChange),
    Container(PartChange),
    /// What images' names mean, before they are here: containers, and digests.
    ///
    /// AWS: the control plane lets the other tasks of a service's version run just that.
    Digests(Vec<(usize, String)>),
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
    let digests = untold_digests(state, told);
    let mut later = digests.iter().filter_map(|(_, seen)| seen.resolved_at).min();
    later = later.map(|at| at + SOON);
    if later.is_some_and(|due| due <= now) {
        let digest = |(nth, seen): (usize, &PartState)| Some((nth, seen.image_digest.clone()?));
        return (Some(Report::Digests(digests.into_iter().filter_map(digest).collect())), None);
    }
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

/// Containers whose image's digest is known, and not known to the control plane.
fn untold_digests<'s>(state: &'s TaskState, told: &Told) -> Vec<(usize, &'s PartState)> {
    let parts = state.parts.iter().enumerate();
    let news = |(nth, seen): &(usize, &PartState)| is_news(seen, *nth, told);
    parts.filter(news).collect()
}

fn is_news(seen: &PartState, part: usize, told: &Told) -> bool {
    let known = seen.resolved_at.is_some() && seen.image_digest.is_some();
    known && !told.digests.get(part).copied().unwrap_or_default()
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
    let news =
        parts.filter(|(nth, seen)| known(seen) > told_of(told, *nth) || is_news(seen, *nth, told));
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
        self.digests.resize(self.parts.len(), false);
        // AWS: the call for a container alone has no place for a digest.
        let digests: Vec<usize> = match report {
            Report::Container(_) => Vec::new(),
            Report::Digests(all) => all.iter().map(|(part, _)| *part).collect(),
            Report::Task(change) => {
                let told = change.parts.iter().filter(|part| part.image_digest.is_some());
                told.map(|part| part.part).collect()
            }
        };
        for part in digests {
            if let Some(told) = self.digests.get_mut(part) {
                *told = true;
            }
        }
        let mut learn = |change: &PartChange| {
            if let Some(told) = self.parts.get_mut(change.part) {
                *told = change.status.max(*told);
            }
        };
        match report {
            Report::Container(change) => learn(change),
            Report::Digests(_) => {}
            Report::Task(change) => {
                change.parts.iter().for_each(&mut learn);
                self.task = self.task.max(change.status);
            }
        }
    }
}
