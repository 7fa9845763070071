//! What becomes of pause hooks, as events' details. Most of it is read off the hook; one that is gone
//! with its stage is told by what became of the deployment.

use core_rollout::Course;
use core_types::Time;
use serde_json::{Value, json};

use super::events::iso;
use crate::rows::cluster;
use crate::rows::progress::{Hook, HookStatus, Progress};
use crate::rows::service::arn_of;
use crate::rows::service_history::DeploymentRecord;

/// Of one change of a deployment, the oldest first.
pub(super) fn details(
    before: Option<&DeploymentRecord>,
    after: &DeploymentRecord,
    now: Time,
) -> Vec<Value> {
    let progress = |row: &DeploymentRecord| row.progress.as_deref().cloned();
    let (was, is) = (before.and_then(progress), progress(after));
    let pauses = |progress: &Option<Progress>| -> Vec<Hook> {
        let all = progress.iter().flat_map(|progress| progress.hooks.clone());
        all.filter(|hook| hook.target.is_none()).collect()
    };
    let (known, there) = (pauses(&was), pauses(&is));
    let mut told = Vec::new();
    if let Some(was) = &was {
        let gone = known.iter().filter(|hook| !there.iter().any(|other| other.id == hook.id));
        for hook in gone.filter(|hook| hook.status.is_open()) {
            let name = ended(hook, is.as_ref(), after, now);
            told.extend(name.map(|name| detail(after, was, hook, name)));
        }
    }
    if let Some(is) = &is {
        for hook in &there {
            let same = known.iter().any(|was| was.id == hook.id && was.status == hook.status);
            let name = name_of(hook.status).filter(|_| !same);
            told.extend(name.map(|name| detail(after, is, hook, name)));
        }
    }
    told
}

fn name_of(status: HookStatus) -> Option<&'static str> {
    match status {
        HookStatus::AwaitingAction => Some("HOOK_AWAITING_ACTION"),
        HookStatus::Succeeded => Some("HOOK_SUCCEEDED"),
        HookStatus::Failed => Some("HOOK_FAILED"),
        HookStatus::TimedOut => Some("HOOK_TIMED_OUT"),
        HookStatus::InProgress => None,
    }
}

/// How one ended that nobody saw end. Of a deployment that something else has ended there is no word.
fn ended(
    hook: &Hook,
    is: Option<&Progress>,
    record: &DeploymentRecord,
    now: Time,
) -> Option<&'static str> {
    let failed = record.reason.as_ref().is_some_and(|reason| reason.contains("hook"));
    match is?.at.course {
        _ if hook.expires_at <= now => Some("HOOK_TIMED_OUT"),
        Course::Forward => Some("HOOK_SUCCEEDED"),
        Course::Back | Course::Held => failed.then_some("HOOK_FAILED"),
    }
}

fn detail(record: &DeploymentRecord, progress: &Progress, hook: &Hook, name: &str) -> Value {
    let (cluster, service) = &record.key.0;
    json!({
        "eventType": if name == "HOOK_FAILED" || name == "HOOK_TIMED_OUT" { "ERROR" } else { "INFO" },
        "eventName": name,
        "hookId": hook.id,
        "hookType": "PAUSE",
        "expiresAt": iso(hook.expires_at),
        "lifecycleStage": progress.at.stage.as_str(),
        "clusterArn": cluster::arn_of(cluster.0, &cluster.1),
        "serviceArn": arn_of(cluster, service),
        "serviceDeploymentArn": record.arn(),
        "updatedAt": iso(record.updated_at),
    })
}
