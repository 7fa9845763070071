//! Alarms that watch over a deployment: one that goes into ALARM while it is under way ends it.

use std::time::Duration;

use aws_protocol::ApiError;
use core_state::State;
use core_types::Scope;
use model_ecs::{self as api, errors};

use super::deployments::Why;
use crate::rows::alarm::{Alarm, watched};
use crate::rows::service::Service;
use crate::rows::service_history::DeploymentRecord;

/// AWS's limits of an alarm's name, and of how many a deployment watches.
const LONGEST_NAME: usize = 255;
const MOST: usize = 100;
/// No wait of a deployment's is longer than a day.
const LONGEST_SPAN: u32 = 24 * 3600;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// AWS: the alarms need not be there yet.
pub fn check(given: Option<&api::DeploymentAlarms>) -> Result<(), ApiError> {
    let Some(given) = given else { return Ok(()) };
    let names = given.alarm_names.as_deref().unwrap_or_default();
    if given.enable == Some(true) && names.is_empty() {
        return Err(invalid("alarmNames must be specified when alarms are enabled."));
    }
    if names.len() > MOST {
        return Err(invalid(format!("alarmNames can have at most {MOST} items.")));
    }
    match names.iter().find(|name| name.is_empty() || name.chars().count() > LONGEST_NAME) {
        None => Ok(()),
        Some(_) => Err(invalid("An alarm's name has between 1 and 255 characters.")),
    }
}

/// Whether an alarm is in ALARM.
pub fn rings(state: &State, scope: Scope, name: &str) -> bool {
    let there = state.get::<Alarm>(&(scope, name.into()));
    there.is_some_and(|alarm| alarm.since.is_some())
}

/// How long they are listened to once all tasks are there, where nobody has said so.
///
/// AWS: the bake time of a rolling update comes of its alarms' configuration: the longest of the
/// spans over which they look.
pub fn longest_span(
    state: &State,
    row: &Service,
    configuration: &api::DeploymentConfiguration,
) -> Duration {
    let span = |name: &String| {
        let there = state.get::<Alarm>(&(row.key.0.0, name.as_str().into()));
        there.map_or(0, |alarm| alarm.span)
    };
    Duration::from_secs(
        watched(configuration).iter().map(span).max().unwrap_or_default().min(LONGEST_SPAN).into(),
    )
}

/// Those of them that are in ALARM.
pub fn ringing(
    state: &State,
    row: &Service,
    configuration: &api::DeploymentConfiguration,
) -> Vec<String> {
    let scope = row.key.0.0;
    watched(configuration).iter().filter(|name| rings(state, scope, name)).cloned().collect()
}

/// Those that end a deployment now. AWS: where one rings as the deployment begins, all are ignored
/// until it is over, so that a deployment can mend what rings.
pub fn triggered(state: &State, row: &Service, record: &DeploymentRecord) -> Vec<String> {
    match record.alarms_ignored {
        true => Vec::new(),
        false => ringing(state, row, &record.configuration),
    }
}

pub fn why(back: bool) -> Why {
    let status = match back {
        true => "Service deployment rolled back because an alarm was detected.",
        false => "Service deployment stopped because an alarm was detected.",
    };
    Why {
        reason: "ECS deployment failed: alarm detected.".to_owned(),
        back: "ECS deployment failed: alarm detected: rolling back to deploymentId".to_owned(),
        event: "deployment failed: alarm detected.".to_owned(),
        status: status.to_owned(),
    }
}
