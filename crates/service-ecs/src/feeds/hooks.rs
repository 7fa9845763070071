//! Webhooks that are to be called now: where, and what each is told. Whoever calls them looks here
//! after every change, and reports what came of it.

use std::sync::Arc;

use core_rollout::Stage;
use core_state::{Change, State};
use serde_json::{Map, Value, json};

use crate::rows::service::ServiceKey;
use crate::rows::service::arn_of;
use crate::rows::service_history::{CallsDue, DeploymentRecord, revision_arn};
use crate::rules::shifts;

/// A call, and by what its answer is known.
#[derive(Clone, Debug, PartialEq)]
pub struct HookCall {
    /// The service and its deployment.
    pub deployment: (ServiceKey, Arc<str>),
    pub hook: Arc<str>,
    pub number: u32,
    pub url: Arc<str>,
    /// JSON.
    pub body: String,
}

/// Whether a change may bring a call, or take one back.
pub fn is_concerned(change: &Change) -> bool {
    change.row::<DeploymentRecord>().is_some()
}

/// All calls that are due.
pub fn due(state: &State, each: &mut dyn FnMut(HookCall)) {
    for record in state.by::<CallsDue>(&()) {
        let hooks = record.progress.iter().flat_map(|progress| &progress.hooks);
        for hook in hooks.filter(|hook| hook.due) {
            let Some(url) = &hook.target else { continue };
            let body = payload(record, &hook.execution, hook.details.as_ref()).to_string();
            each(HookCall {
                deployment: record.key.clone(),
                hook: hook.id.clone(),
                number: hook.calls,
                url: url.clone(),
                body,
            });
        }
    }
}

/// As AWS tells a function. The weights are those of the stage: of users where their traffic moves,
/// of tests where theirs does, and else none.
fn payload(record: &DeploymentRecord, execution: &str, details: Option<&Value>) -> Value {
    let ((cluster, name), _) = &record.key;
    let stage = record.progress.as_ref().map(|progress| progress.at.stage);
    let weights = |of: fn(&shifts::Weight) -> f64, stages: &[Stage]| {
        let mut all = Map::new();
        for weight in
            shifts::weights(record).iter().filter(|_| stage.is_some_and(|s| stages.contains(&s)))
        {
            all.insert(revision_arn(&record.key.0, weight.revision), number(of(weight)));
        }
        Value::Object(all)
    };
    let users = [Stage::PreProductionTrafficShift, Stage::ProductionTrafficShift];
    let mut told = json!({
        "executionId": execution,
        "lifecycleStage": stage.map(Stage::as_str),
        "resourceArn": record.arn(),
        "executionDetails": {
            "serviceArn": arn_of(cluster, name),
            "targetServiceRevisionArn": revision_arn(&record.key.0, record.target),
            "testTrafficWeights": weights(|weight| weight.test, &[Stage::TestTrafficShift]),
            "productionTrafficWeights": weights(|weight| weight.production, &users),
        },
    });
    if let Some(details) = details {
        told["hookDetails"] = details.clone();
    }
    told
}

/// AWS: whole percents are written as whole numbers.
fn number(percent: f64) -> Value {
    match percent.fract() == 0.0 {
        true => json!(percent as i64),
        false => json!(percent),
    }
}
