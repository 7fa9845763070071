//! What a container waits for, and when waiting has become pointless.

use core_types::Time;

use super::health::HealthStatus;
use super::spec::{Condition, TaskSpec};
use super::state::{PartState, Phase, TaskState};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Met,
    /// Look again then, where time alone can change it.
    Waits(Option<Time>),
    /// It will never be met, and why.
    Never(String),
}

/// Whether all that a container depends on is as it asks.
pub(super) fn standing(spec: &TaskSpec, state: &TaskState, target: usize, now: Time) -> Standing {
    let part = &spec.parts[target];
    if state.parts[target].run > 0 {
        // A restart asks for nothing anew.
        return Standing::Met;
    }
    let (mut waits, mut until) = (false, None::<Time>);
    for dependency in &part.depends_on {
        let on = &state.parts[dependency.on];
        let (met, pointless) = weigh(on, dependency.condition);
        if met {
            continue;
        }
        let (name, target) = (&spec.parts[dependency.on].name, &part.name);
        if let Some(why) = pointless {
            return Standing::Never(format!(
                "dependency graph: failed to resolve container ordering dependency [{name}] for \
                 target [{target}] as {why}"
            ));
        }
        waits = true;
        let timed = !matches!(dependency.condition, Condition::Create | Condition::Start);
        let limit = spec.parts[dependency.on].start_timeout.filter(|_| timed);
        if let (Some(limit), Some(started)) = (limit, on.started_at) {
            let end = started + limit;
            if now >= end {
                return Standing::Never(format!(
                    "dependency graph: container ordering dependency [{name}] for target \
                     [{target}] has timed out."
                ));
            }
            until = Some(until.map_or(end, |other| other.min(end)));
        }
    }
    if waits { Standing::Waits(until) } else { Standing::Met }
}

/// Whether one condition is met; if not, why it never will be.
fn weigh(on: &PartState, condition: Condition) -> (bool, Option<&'static str>) {
    let ended = on.phase == Phase::Stopped;
    match condition {
        Condition::Create => {
            (on.reached >= Phase::Created, ended.then_some("dependency could not be created."))
        }
        Condition::Start => {
            (on.started_at.is_some(), ended.then_some("dependency could not be started."))
        }
        Condition::Complete => (
            ended && on.exit_code.is_some(),
            ended.then_some("dependency ended without an exit code."),
        ),
        Condition::Success => (
            ended && on.exit_code == Some(0),
            ended.then_some("dependency did not exit successfully."),
        ),
        Condition::Healthy => (
            on.phase == Phase::Running && on.health.status == HealthStatus::Healthy,
            ended.then_some("dependency ended before it was healthy."),
        ),
    }
}
