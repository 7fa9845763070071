//! Lifecycle hooks: what may be asked for, how one begins and ends, and what a webhook's answer
//! means. A webhook stands where AWS has a Lambda function, and is told and answers the same.

use std::time::Duration;

use aws_protocol::ApiError;
use core_rollout::{Course, Hooks, Stage};
use core_state::Tx;
use core_types::Time;
use model_ecs::{self as api, errors};
use serde_json::Value;

use crate::rows::progress::{Hook, HookStatus, Progress};

/// AWS: ten pause hooks and ten of Lambda a service.
const MOST: usize = 10;
/// AWS: a day for all, fourteen for a pause.
const USUAL_TIMEOUT: i32 = 24 * 60;
const LONGEST_PAUSE: i32 = 14 * 24 * 60;
/// A URL is no longer than what proxies take.
const LONGEST_TARGET: usize = 2048;
/// What a hook is told of itself, as JSON.
const LARGEST_DETAILS: usize = 16 << 10;
/// AWS: a hook that is not done is called again after half a minute, unless it says when.
const CALLED_AGAIN: u64 = 30;
const LONGEST_DELAY: u64 = 24 * 3600;
/// A call that does not get through is made again, a little later each time.
const TRIES: u32 = 3;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

fn is_pause(hook: &api::DeploymentLifecycleHook) -> bool {
    hook.target_type.as_ref().is_some_and(|kind| kind.as_str() == "PAUSE")
}

/// What a service may ask for.
pub fn check(hooks: &[api::DeploymentLifecycleHook]) -> Result<(), ApiError> {
    let pauses = hooks.iter().filter(|hook| is_pause(hook)).count();
    if pauses > MOST || hooks.len() - pauses > MOST {
        return Err(invalid("You can configure at most 10 pause hooks and 10 Lambda hooks."));
    }
    hooks.iter().try_for_each(check_one)
}

fn check_one(hook: &api::DeploymentLifecycleHook) -> Result<(), ApiError> {
    let kind = hook.target_type.as_ref().map_or("AWS_LAMBDA", |kind| kind.as_str());
    if !api::DeploymentLifecycleHookTargetType::VALUES.contains(&kind) {
        return Err(invalid("Invalid targetType. Valid values are: AWS_LAMBDA, PAUSE"));
    }
    let stages = hook.lifecycle_stages.as_deref().unwrap_or_default();
    if stages.is_empty() {
        return Err(invalid("lifecycleStages must be specified for a lifecycle hook."));
    }
    for stage in stages {
        if !api::DeploymentLifecycleHookStage::VALUES.contains(&stage.as_str()) {
            return Err(invalid(format!("Invalid lifecycle stage: {}", stage.as_str())));
        }
        let moves = matches!(stage.as_str(), "TEST_TRAFFIC_SHIFT" | "PRODUCTION_TRAFFIC_SHIFT");
        if kind == "PAUSE" && moves {
            return Err(invalid("Invalid lifecycle stage provided for Pause Hook"));
        }
    }
    let details = hook.hook_details.as_ref();
    if details.is_some_and(|details| !details.is_object()) {
        return Err(invalid("hookDetails must be a JSON object."));
    }
    if details.is_some_and(|details| details.to_string().len() > LARGEST_DETAILS) {
        return Err(invalid("hookDetails is too large."));
    }
    let timeout = hook.timeout_configuration.as_ref();
    let longest = if kind == "PAUSE" { LONGEST_PAUSE } else { USUAL_TIMEOUT };
    let minutes = timeout.and_then(|timeout| timeout.timeout_in_minutes);
    if minutes.is_some_and(|minutes| !(1..=longest).contains(&minutes)) {
        return Err(invalid(format!("timeoutInMinutes must be between 1 and {longest}.")));
    }
    let action = timeout.and_then(|timeout| timeout.action.as_ref());
    if action.is_some_and(|action| !matches!(action.as_str(), "CONTINUE" | "ROLLBACK")) {
        return Err(invalid("Invalid action. Valid values are: ROLLBACK, CONTINUE"));
    }
    match kind {
        "PAUSE" if hook.hook_target_arn.is_some() || hook.role_arn.is_some() => {
            Err(invalid("hookTargetArn and roleArn are not applicable for PAUSE hooks."))
        }
        "PAUSE" => Ok(()),
        _ => check_target(hook.hook_target_arn.as_deref().unwrap_or_default()),
    }
}

/// Where AWS takes a function's ARN, a URL is taken here.
fn check_target(target: &str) -> Result<(), ApiError> {
    if target.is_empty() {
        return Err(invalid("hookTargetArn must be specified for AWS_LAMBDA hooks."));
    }
    if target.starts_with("arn:") {
        return Err(errors::unsupported_feature_exception(
            "Lambda functions are not available here: a lifecycle hook's hookTargetArn is the http \
             or https URL of a webhook.",
        ));
    }
    let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let printable = target.bytes().all(|b| b.is_ascii_graphic());
    match host {
        Some(host) if host.contains('@') => {
            Err(invalid("hookTargetArn must not carry a user's name or password."))
        }
        Some(host) if !host.is_empty() && printable && target.len() <= LONGEST_TARGET => Ok(()),
        _ => Err(invalid(format!("Invalid hookTargetArn: {target}"))),
    }
}

/// The hooks of a stage that is entered now. AWS: on the way back only functions are called, at the
/// stages that move traffic.
pub fn begin(
    tx: &mut Tx<'_>,
    configuration: &api::DeploymentConfiguration,
    at: &core_rollout::Progress,
) -> Vec<Hook> {
    let all = configuration.lifecycle_hooks.as_deref().unwrap_or_default();
    let moves = matches!(at.stage, Stage::TestTrafficShift | Stage::ProductionTrafficShift);
    let asked = |hook: &&api::DeploymentLifecycleHook| {
        let stages = hook.lifecycle_stages.as_deref().unwrap_or_default();
        stages.iter().any(|stage| stage.as_str() == at.stage.as_str())
            && (at.course == Course::Forward || (moves && !is_pause(hook)))
    };
    let now = tx.now();
    let mut begun = Vec::new();
    for given in all.iter().filter(asked) {
        let pause = is_pause(given);
        let kind = if pause { "pause" } else { "lambda" };
        let timeout = given.timeout_configuration.clone().unwrap_or_default();
        let minutes = timeout.timeout_in_minutes.unwrap_or(USUAL_TIMEOUT).unsigned_abs();
        begun.push(Hook {
            id: format!("ecs-{kind}-{}", tx.dice.base62(43)).into(),
            execution: tx.dice.uuid().into(),
            target: given.hook_target_arn.as_deref().filter(|_| !pause).map(Into::into),
            status: if pause { HookStatus::AwaitingAction } else { HookStatus::InProgress },
            expires_at: now + Duration::from_secs(u64::from(minutes) * 60),
            rolls_back: timeout.action.is_none_or(|action| action.as_str() != "CONTINUE"),
            details: given.hook_details.clone().filter(|_| !pause),
            calls: u32::from(!pause),
            due: !pause,
            call_at: None,
            failures: 0,
            reason: None,
        });
    }
    begun
}

/// Nobody waits for them any more.
pub fn forget(hooks: &mut [Hook]) {
    for hook in hooks {
        (hook.due, hook.call_at) = (false, None);
    }
}

pub fn has_failed(hook: &Hook) -> bool {
    hook.status == HookStatus::Failed || (hook.status == HookStatus::TimedOut && hook.rolls_back)
}

/// How those of a stage do together. AWS: they run side by side; one that fails is enough.
pub fn together(hooks: &[Hook]) -> Hooks {
    if hooks.iter().any(has_failed) {
        return Hooks::Failed;
    }
    let paused = hooks.iter().any(|hook| hook.status == HookStatus::AwaitingAction);
    match hooks.iter().any(|hook| hook.status.is_open()) {
        true => Hooks::Awaited { paused },
        false => Hooks::Passed,
    }
}

/// What time alone does: patience ends, and calls fall due.
pub fn keep_time(progress: &mut Progress, now: Time) {
    for hook in progress.hooks.iter_mut().filter(|hook| hook.status.is_open()) {
        if hook.expires_at <= now {
            hook.status = HookStatus::TimedOut;
            let target = hook.target.as_deref();
            hook.reason = target.map(|url| format!("Lifecycle hook target {url} timed out."));
            (hook.due, hook.call_at) = (false, None);
        } else if hook.call_at.is_some_and(|at| at <= now) {
            (hook.due, hook.call_at) = (true, None);
            hook.calls = hook.calls.saturating_add(1);
        }
    }
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was answered with success, and this body.
    Told(Vec<u8>),
    /// It got no answer, or none that means anything: another try may do better.
    Unreached(String),
    /// It was refused, or may not be made at all: no other try will do better.
    Refused(String),
}

/// Take what came of a hook's call.
pub fn take(hook: &mut Hook, call: u32, answer: &Answer, now: Time) {
    if !hook.due || hook.calls != call || hook.status != HookStatus::InProgress {
        return;
    }
    let target = hook.target.clone().unwrap_or_default();
    hook.due = false;
    let failed = |hook: &mut Hook, reason: String| {
        (hook.status, hook.reason) = (HookStatus::Failed, Some(reason));
    };
    let body = match answer {
        Answer::Told(body) => body,
        Answer::Unreached(why) | Answer::Refused(why) => {
            hook.failures = hook.failures.saturating_add(1);
            let again = matches!(answer, Answer::Unreached(_)) && hook.failures < TRIES;
            match again {
                true => hook.call_at = Some(now + Duration::from_secs(1 << hook.failures)),
                false => failed(
                    hook,
                    format!("ECS was unable to invoke hook target {target} due to {why}"),
                ),
            }
            return;
        }
    };
    hook.failures = 0;
    match parse(body) {
        Ok(Said::Succeeded) => hook.status = HookStatus::Succeeded,
        Ok(Said::Failed) => {
            failed(hook, format!("Lifecycle hook target {target} returned FAILED status."));
        }
        Ok(Said::InProgress { delay, details }) => {
            hook.call_at = Some(now + Duration::from_secs(delay));
            hook.details = merged(hook.details.take(), details);
        }
        Err(why) => {
            failed(
                hook,
                format!("ECS was unable to parse the response from {target} due to {why}"),
            );
        }
    }
}

enum Said {
    Succeeded,
    Failed,
    InProgress { delay: u64, details: Option<Value> },
}

fn parse(body: &[u8]) -> Result<Said, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let status = value.get("hookStatus").filter(|status| !status.is_null());
    match status.map(|status| status.as_str()) {
        None => Err("HookStatus must not be null".to_owned()),
        Some(Some("SUCCEEDED")) => Ok(Said::Succeeded),
        Some(Some("FAILED")) => Ok(Said::Failed),
        Some(Some("IN_PROGRESS")) => {
            let delay = value.get("callBackDelay").and_then(Value::as_u64).unwrap_or(CALLED_AGAIN);
            let details = value.get("hookDetails").filter(|details| details.is_object());
            if details.is_some_and(|details| details.to_string().len() > LARGEST_DETAILS) {
                return Err("hookDetails is too large".to_owned());
            }
            let delay = delay.clamp(1, LONGEST_DELAY);
            Ok(Said::InProgress { delay, details: details.cloned() })
        }
        Some(_) => Err("HookStatus must be one of SUCCEEDED, FAILED, IN_PROGRESS".to_owned()),
    }
}

/// AWS: what a function says is merged into what it was told, and told to it the next time.
fn merged(known: Option<Value>, said: Option<Value>) -> Option<Value> {
    let (mut all, said) = match (known, said) {
        (Some(Value::Object(all)), Some(Value::Object(said))) => (all, said),
        (known, said) => return said.or(known),
    };
    let newest = said.clone();
    all.extend(said);
    let all = Value::Object(all);
    // Told more and more under ever new names, it keeps what was told last.
    let fits = all.to_string().len() <= 2 * LARGEST_DETAILS;
    Some(if fits { all } else { Value::Object(newest) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hook() -> Hook {
        Hook {
            id: "ecs-lambda-a".into(),
            execution: "e".into(),
            target: Some("http://h/".into()),
            status: HookStatus::InProgress,
            expires_at: Time(i64::MAX),
            rolls_back: true,
            details: None,
            calls: 1,
            due: true,
            call_at: None,
            failures: 0,
            reason: None,
        }
    }

    proptest! {
        #[test]
        fn whatever_is_answered_the_hook_is_done_or_called_again(
            body in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                r#"\{"hookStatus": ?("SUCCEEDED"|"FAILED"|"IN_PROGRESS"|1|null)(, "callBackDelay": ?(-1|5|1e99|"x"))?(, "hookDetails": ?(\{"a": 1\}|[0-9]))?\}"#
                    .prop_map(String::into_bytes),
            ],
        ) {
            let mut hook = hook();
            take(&mut hook, 1, &Answer::Told(body), Time(0));
            prop_assert!(!hook.due);
            match hook.status {
                HookStatus::InProgress => prop_assert!(hook.call_at > Some(Time(0))),
                HookStatus::Failed => prop_assert!(hook.reason.is_some()),
                status => prop_assert_eq!(status, HookStatus::Succeeded),
            }
        }
    }

    #[test]
    fn details_are_merged_and_do_not_grow_for_ever() {
        let mut hook = hook();
        for n in 0..20 {
            (hook.due, hook.calls) = (true, n);
            let long = "x".repeat(9000);
            let said = serde_json::json!({"hookStatus": "IN_PROGRESS",
                "hookDetails": {format!("k{n}"): long}});
            take(&mut hook, n, &Answer::Told(said.to_string().into_bytes()), Time(0));
            assert_eq!(hook.status, HookStatus::InProgress);
            let kept = hook.details.as_ref().map(|details| details.to_string().len());
            assert!(kept.is_some_and(|kept| kept <= 2 * LARGEST_DETAILS));
        }
    }
}
