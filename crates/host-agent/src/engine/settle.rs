//! Conclusions that need no step: restarts, dependencies that can never be met, containers of a
//! stopping task that were never started, and what all of it means for the task.

use core_types::Time;

use super::depend::{Standing, standing};
use super::health::Health;
use super::spec::{Part, TaskSpec};
use super::state::{Failure, Network, PartState, Phase, TaskState};

/// AWS: a container that was never started because of another is told to have ended as if by SIGTERM.
const NEVER_STARTED: i32 = 143;

/// Draw every conclusion; afterwards a second call changes nothing.
pub fn settle(spec: &TaskSpec, state: &mut TaskState, now: Time) {
    // Each round moves a container on, and a container can only be restarted, given up and ended; after
    // the last of them the task itself ends.
    for _ in 0..=3 * spec.parts.len() + 1 {
        let before = state.clone();
        restart(spec, state);
        if ends(spec, state) {
            abandon(state, now);
        } else {
            give_up(spec, state, now);
        }
        conclude(spec, state, now);
        if *state == before {
            return;
        }
    }
    debug_assert!(false, "a state that does not settle: {state:?}");
}

/// Whether the task is on its way to its end.
pub(super) fn ends(spec: &TaskSpec, state: &TaskState) -> bool {
    let essential_ended = spec
        .parts
        .iter()
        .zip(&state.parts)
        .any(|(part, state)| part.essential && state.phase == Phase::Stopped);
    state.stop_wanted || state.reason.is_some() || essential_ended || state.all_stopped()
}

/// A container with a restart policy begins again where it can begin again.
fn restart(spec: &TaskSpec, state: &mut TaskState) {
    if state.stop_wanted || state.reason.is_some() {
        return;
    }
    // A restart must not revive what another essential container's end has doomed.
    let mut both = spec.parts.iter().zip(&state.parts);
    let gone = |part: &Part, state: &PartState| {
        part.essential && state.phase == Phase::Stopped && !may_restart(part, state)
    };
    if both.any(|(part, state)| gone(part, state)) {
        return;
    }
    for (part, state) in spec.parts.iter().zip(&mut state.parts) {
        if may_restart(part, state) {
            state.run += 1;
            state.phase = Phase::Pulled;
            (state.exit_code, state.reason, state.finished_at) = (None, None, None);
            state.health = Health::default();
        }
    }
}

/// AWS: whoever did not run for the attempt period, or ended with an ignored code, stays ended.
fn may_restart(part: &Part, state: &PartState) -> bool {
    let (Some(policy), Some(code)) = (&part.restart, state.exit_code) else { return false };
    let (Some(started), Some(finished)) = (state.started_at, state.finished_at) else {
        return false;
    };
    state.phase == Phase::Stopped
        && state.term_at.is_none()
        && finished.since(started) >= policy.attempt_period
        && !policy.ignored_exit_codes.contains(&code)
}

/// What does not run yet when the task ends never will.
fn abandon(state: &mut TaskState, now: Time) {
    for part in &mut state.parts {
        if part.phase < Phase::Running && part.doing.is_none() {
            part.end(now, now);
        }
    }
}

/// Containers whose dependencies can never be met.
fn give_up(spec: &TaskSpec, state: &mut TaskState, now: Time) {
    for target in 0..spec.parts.len() {
        if state.parts[target].phase >= Phase::Created || state.parts[target].doing.is_some() {
            continue;
        }
        if let Standing::Never(why) = standing(spec, state, target, now) {
            let part = &mut state.parts[target];
            part.reason = Some(Failure::new(Failure::START, why).to_string());
            part.exit_code = Some(NEVER_STARTED);
            part.end(now, now);
        }
    }
}

fn conclude(spec: &TaskSpec, state: &mut TaskState, now: Time) {
    let started = |part: &PartState| part.started_at.is_some() || part.phase == Phase::Stopped;
    let any = state.parts.iter().any(|part| part.started_at.is_some());
    if any && state.parts.iter().all(started) && !ends(spec, state) {
        state.was_running = true;
    }
    let stopped = state.all_stopped();
    if stopped && state.execution_stopped_at.is_none() {
        let last = state.parts.iter().filter_map(|part| part.finished_at).max();
        state.execution_stopped_at = last.or(Some(now));
    }
    let pulled = state.parts.iter().all(|part| part.reached >= Phase::Pulled);
    if pulled && state.pull_started_at.is_some() && state.pull_stopped_at.is_none() {
        state.pull_stopped_at = Some(now);
    }
    let released = matches!(state.network, Network::None | Network::Released);
    if stopped && released && state.stopped_at.is_none() {
        state.stopped_at = Some(now);
    }
}
