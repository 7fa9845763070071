//! What is observed of a task, and how an observation changes it.
//!
//! What is being done right now (`doing`) is not kept over a restart of the agent: after one, the
//! runtime is asked what exists, and whatever is missing is planned again.

use core_types::Time;
use serde::{Deserialize, Serialize};

use super::health::{Health, Probe};
use super::spec::TaskSpec;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskState {
    pub parts: Vec<PartState>,
    /// The host has room for it.
    pub admitted: bool,
    pub network: Network,
    /// The control plane wants it stopped.
    pub stop_wanted: bool,
    /// Why it ends, where it ends by itself.
    pub reason: Option<String>,
    /// Every container ran, or had run, at one time.
    pub was_running: bool,
    pub pull_started_at: Option<Time>,
    pub pull_stopped_at: Option<Time>,
    pub execution_stopped_at: Option<Time>,
    pub stopped_at: Option<Time>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    #[default]
    None,
    Preparing,
    Ready,
    Releasing,
    Released,
}

/// How far a container's present run has come. A restart falls back to `Pulled`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Phase {
    #[default]
    New,
    Pulled,
    Created,
    Running,
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Pulling,
    Creating,
    Starting,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    pub address: String,
    pub container_port: u16,
    pub host_port: u16,
    /// The last container port where this is a whole range; the host's is as long.
    #[serde(default)]
    pub last: Option<u16>,
    pub protocol: String,
}

impl Binding {
    /// Each container port with the host's.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, u16)> {
        let host = self.host_port;
        let ports = self.container_port..=self.last.unwrap_or(self.container_port);
        ports.zip(host..)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartState {
    pub phase: Phase,
    /// The furthest phase of any run.
    pub reached: Phase,
    #[serde(skip)]
    pub doing: Option<Doing>,
    /// Restarts so far.
    pub run: u32,
    pub image_digest: Option<String>,
    /// Since when it is known what the image's name means, where the name itself does not say so.
    pub resolved_at: Option<Time>,
    pub bindings: Vec<Binding>,
    pub created_at: Option<Time>,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub exit_code: Option<i32>,
    /// `CannotPullContainerError: …`
    pub reason: Option<String>,
    pub term_at: Option<Time>,
    pub kill_at: Option<Time>,
    pub health: Health,
    /// When `reached` last grew.
    pub changed_at: Option<Time>,
}

/// What did not work, under the real agent's name for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub name: &'static str,
    pub text: String,
}

impl Failure {
    pub const PULL: &'static str = "CannotPullContainerError";
    pub const CREATE: &'static str = "CannotCreateContainerError";
    pub const START: &'static str = "CannotStartContainerError";
    pub const RESOURCE: &'static str = "ResourceInitializationError";
    pub const TIMEOUT: &'static str = "ContainerRuntimeTimeoutError";
    pub const OOM: &'static str = "OutOfMemoryError";
    pub const VANISHED: &'static str = "ContainerVanishedError";

    pub fn new(name: &'static str, text: impl Into<String>) -> Failure {
        Failure { name, text: text.into() }
    }

    /// AWS: what was there by the agent's memory and is not.
    pub fn vanished() -> Failure {
        Failure::new(Failure::VANISHED, "No container matching saved ID found")
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.text)
    }
}

/// What was observed. A container is named by its index and, where runs differ, by its run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Admitted,
    StopWanted,
    NetworkReady,
    NetworkFailed(Failure),
    NetworkReleased,
    /// What the image's name means; its pull goes on.
    Resolved {
        part: usize,
        digest: String,
    },
    Pulled {
        part: usize,
        digest: Option<String>,
    },
    Created {
        part: usize,
        run: u32,
        bindings: Vec<Binding>,
    },
    Started {
        part: usize,
        run: u32,
        at: Time,
    },
    /// Pulling, creating or starting it did not work.
    Failed {
        part: usize,
        failure: Failure,
    },
    /// The pull was given up because the task is to stop.
    PullCancelled {
        part: usize,
    },
    Exited {
        part: usize,
        run: u32,
        exit_code: i32,
        oom: bool,
        at: Time,
    },
    /// The runtime does not know a container that ran.
    Vanished {
        part: usize,
        run: u32,
    },
    Probed {
        part: usize,
        run: u32,
        probe: Probe,
    },
}

impl TaskState {
    pub fn new(spec: &TaskSpec) -> TaskState {
        let parts = vec![PartState::default(); spec.parts.len()];
        TaskState { parts, ..TaskState::default() }
    }

    /// Steps that were under way when the agent ended are under way no more.
    pub fn forget_doing(&mut self) {
        match self.network {
            Network::Preparing => self.network = Network::None,
            Network::Releasing => self.network = Network::Ready,
            _ => {}
        }
        for part in &mut self.parts {
            part.doing = None;
            part.health.probing = false;
            // Whether a signal was sent is not known; sending it once more does no harm.
            part.kill_at = None;
        }
    }

    /// Every container has ended and none will be restarted.
    pub fn all_stopped(&self) -> bool {
        self.parts.iter().all(|part| part.phase == Phase::Stopped)
    }

    /// Take in an observation. Late and repeated ones change nothing.
    pub fn apply(&mut self, spec: &TaskSpec, event: Event, now: Time) {
        match event {
            Event::Admitted => self.admitted = true,
            Event::StopWanted => self.stop_wanted = true,
            Event::NetworkReady => self.network = Network::Ready,
            Event::NetworkFailed(failure) => {
                // What was made of it is taken away like a whole one.
                self.network = Network::Ready;
                self.reason.get_or_insert(failure.to_string());
            }
            Event::NetworkReleased => self.network = Network::Released,
            Event::Resolved { part, digest } => self.on_part(part, |state| {
                state.image_digest.get_or_insert(digest);
                state.resolved_at.get_or_insert(now);
            }),
            Event::Pulled { part, digest } => self.on_part(part, |state| {
                state.image_digest = digest;
                state.come_from(Phase::New, Phase::Pulled, Doing::Pulling, now);
            }),
            Event::Created { part, run, bindings } => self.on_run(part, run, |state| {
                state.bindings = bindings;
                state.created_at = state.created_at.or(Some(now));
                state.come_from(Phase::Pulled, Phase::Created, Doing::Creating, now);
            }),
            Event::Started { part, run, at } => self.on_run(part, run, |state| {
                if state.phase < Phase::Running {
                    state.started_at = Some(at);
                    state.health = Health { since: Some(at), ..Health::default() };
                }
                state.doing = None;
                state.rise(Phase::Running, now);
            }),
            Event::Failed { part, failure } => {
                self.on_part(part, |state| state.fail(&failure, now))
            }
            Event::PullCancelled { part } => self.on_part(part, |state| {
                if state.doing == Some(Doing::Pulling) {
                    state.doing = None;
                }
            }),
            Event::Exited { part, run, exit_code, oom, at } => self.on_run(part, run, |state| {
                if state.phase == Phase::Stopped {
                    return;
                }
                state.exit_code = Some(exit_code);
                if oom {
                    let text = "Container killed due to memory usage";
                    state.reason = Some(Failure::new(Failure::OOM, text).to_string());
                }
                state.end(at, now);
            }),
            Event::Vanished { part, run } => self.on_run(part, run, |state| {
                if state.phase >= Phase::Created && state.phase < Phase::Stopped {
                    state.fail(&Failure::vanished(), now);
                }
            }),
            Event::Probed { part, run, probe } => {
                let check = spec.parts.get(part).and_then(|part| part.health.clone());
                self.on_run(part, run, |state| {
                    state.health.probing = false;
                    if let (Some(check), Some(started), Phase::Running) =
                        (check, state.started_at, state.phase)
                    {
                        state.health.record(&check, started, probe, now);
                    }
                });
            }
        }
    }

    fn on_part(&mut self, part: usize, change: impl FnOnce(&mut PartState)) {
        if let Some(state) = self.parts.get_mut(part) {
            change(state);
        }
    }

    fn on_run(&mut self, part: usize, run: u32, change: impl FnOnce(&mut PartState)) {
        self.on_part(part, |state| {
            if state.run == run {
                change(state);
            }
        });
    }
}

impl PartState {
    fn come_from(&mut self, from: Phase, to: Phase, doing: Doing, now: Time) {
        if self.doing == Some(doing) {
            self.doing = None;
        }
        if self.phase == from {
            self.rise(to, now);
        }
    }

    pub(super) fn rise(&mut self, to: Phase, now: Time) {
        if to > self.phase {
            self.phase = to;
        }
        if self.phase > self.reached {
            self.reached = self.phase;
            self.changed_at = Some(now);
        }
    }

    fn fail(&mut self, failure: &Failure, now: Time) {
        if self.phase != Phase::Stopped {
            self.reason.get_or_insert_with(|| failure.to_string());
            self.end(now, now);
        }
    }

    /// It runs no more; whether it will again is decided by `settle`.
    pub(super) fn end(&mut self, at: Time, now: Time) {
        self.doing = None;
        self.health.probing = false;
        self.finished_at = Some(at);
        self.phase = Phase::Stopped;
        self.changed_at = Some(now);
    }
}
