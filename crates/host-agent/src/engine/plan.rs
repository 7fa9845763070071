//! The steps that are due. Nothing is planned twice: a step under way is marked in the state, and a
//! signal that was sent has its time there.

use std::time::Duration;

use core_types::Time;

use super::depend::{Standing, standing};
use super::settle::ends;
use super::spec::TaskSpec;
use super::state::{Doing, Network, PartState, Phase, TaskState};

/// A container that a SIGKILL did not end (it sleeps in the kernel) is killed again after this.
const KILL_AGAIN: Duration = Duration::from_secs(10);

/// What the driver is to do. A container is named by its index and its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    PrepareNetwork,
    Pull { part: usize },
    CancelPull { part: usize },
    Create { part: usize, run: u32 },
    Start { part: usize, run: u32 },
    Probe { part: usize, run: u32 },
    Terminate { part: usize, run: u32 },
    Kill { part: usize, run: u32 },
    ReleaseNetwork,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// When to look again even if nothing is observed.
    pub wake_at: Option<Time>,
}

impl Plan {
    fn wake(&mut self, at: Time) {
        self.wake_at = Some(self.wake_at.map_or(at, |other| other.min(at)));
    }
}

/// What is due now in a settled state.
pub fn plan(spec: &TaskSpec, state: &TaskState, now: Time) -> Plan {
    let mut plan = Plan::default();
    if ends(spec, state) {
        stop(spec, state, now, &mut plan);
    } else if state.admitted {
        go_on(spec, state, now, &mut plan);
    }
    plan
}

fn go_on(spec: &TaskSpec, state: &TaskState, now: Time, plan: &mut Plan) {
    if state.network == Network::None {
        plan.steps.push(Step::PrepareNetwork);
    }
    for (nth, (part, seen)) in spec.parts.iter().zip(&state.parts).enumerate() {
        if seen.doing.is_some() {
            continue;
        }
        match seen.phase {
            Phase::New => plan.steps.push(Step::Pull { part: nth }),
            Phase::Pulled => match standing(spec, state, nth, now) {
                Standing::Met if state.network == Network::Ready => {
                    plan.steps.push(Step::Create { part: nth, run: seen.run });
                }
                Standing::Waits(Some(until)) => plan.wake(until),
                _ => {}
            },
            Phase::Created => plan.steps.push(Step::Start { part: nth, run: seen.run }),
            Phase::Running => {
                let due = part.health.as_ref().zip(seen.started_at);
                match due.and_then(|(check, started)| seen.health.due(check, started)) {
                    Some(due) if due <= now => {
                        plan.steps.push(Step::Probe { part: nth, run: seen.run });
                    }
                    Some(due) => plan.wake(due),
                    None => {}
                }
            }
            Phase::Stopped => {}
        }
    }
}

fn stop(spec: &TaskSpec, state: &TaskState, now: Time, plan: &mut Plan) {
    for (nth, seen) in state.parts.iter().enumerate() {
        match (seen.phase, seen.doing) {
            (_, Some(Doing::Pulling)) => plan.steps.push(Step::CancelPull { part: nth }),
            (Phase::Running, None) => {
                // What others depend on outlives them.
                let needed = spec.dependents(nth).any(|n| state.parts[n].phase != Phase::Stopped);
                if !needed {
                    end(seen, nth, spec.parts[nth].stop_timeout, now, plan);
                }
            }
            _ => {}
        }
    }
    if state.all_stopped() && state.network == Network::Ready {
        plan.steps.push(Step::ReleaseNetwork);
    }
}

/// SIGTERM, patience, SIGKILL.
fn end(seen: &PartState, part: usize, patience: Duration, now: Time, plan: &mut Plan) {
    let run = seen.run;
    let Some(term_at) = seen.term_at else {
        plan.steps.push(Step::Terminate { part, run });
        return plan.wake(now + patience);
    };
    let due = match seen.kill_at {
        None => term_at + patience,
        Some(killed) => killed + KILL_AGAIN,
    };
    if now >= due {
        plan.steps.push(Step::Kill { part, run });
        plan.wake(now + KILL_AGAIN);
    } else {
        plan.wake(due);
    }
}

impl TaskState {
    /// A step has begun.
    pub fn begin(&mut self, step: Step, now: Time) {
        match step {
            Step::PrepareNetwork => self.network = Network::Preparing,
            Step::ReleaseNetwork => self.network = Network::Releasing,
            Step::Pull { part } => {
                self.pull_started_at.get_or_insert(now);
                self.parts[part].doing = Some(Doing::Pulling);
            }
            // Told once: the end of the pull is the answer.
            Step::CancelPull { .. } => {}
            Step::Create { part, .. } => self.parts[part].doing = Some(Doing::Creating),
            Step::Start { part, .. } => self.parts[part].doing = Some(Doing::Starting),
            Step::Probe { part, .. } => self.parts[part].health.probing = true,
            Step::Terminate { part, .. } => self.parts[part].term_at = Some(now),
            Step::Kill { part, .. } => self.parts[part].kill_at = Some(now),
        }
    }
}
