//! Early success criteria: a rolling deployment that is complete before all of its tasks are there.
//!
//! What comes after the success is no deployment any more: the rest of the newest version's tasks
//! start as those of any service do, and nothing goes back.

use aws_protocol::ApiError;
use core_rollout::{Census, Criteria, Stage};
use core_state::State;
use model_ecs::{self as api, errors};

use crate::rows::service::{Controller, Rollout, Service};
use crate::rows::service_history::DeploymentRecord;

const CLEANUPS: [&str; 2] = ["BLOCKING", "DEFERRED"];

fn enabled(all: &api::DeploymentConfiguration) -> Option<&api::DeploymentEarlySuccessCriteria> {
    all.early_success_criteria.as_ref().filter(|early| early.enable == Some(true))
}

/// What may be asked for; `all` has its defaults in it. What is not enabled is only kept.
pub fn check(
    all: &api::DeploymentConfiguration,
    strategy: &str,
    controller: Controller,
) -> Result<(), ApiError> {
    let invalid = |text: String| Err(errors::invalid_parameter_exception(text));
    let Some(early) = enabled(all) else { return Ok(()) };
    if controller != Controller::Ecs {
        return invalid(
            "Early success criteria are only supported with ECS deployment controller. Update to \
             ECS deployment controller and try again."
                .to_owned(),
        );
    }
    if strategy != "ROLLING" {
        return invalid(format!("earlySuccessCriteria is not valid for the {strategy} strategy."));
    }
    let cleanup = early.source_service_revision_cleanup.as_ref().map(|cleanup| cleanup.as_str());
    let (Some(percent), Some(cleanup)) = (early.healthy_percent, cleanup) else {
        return invalid(
            "healthyPercent and sourceServiceRevisionCleanup must be specified when \
             earlySuccessCriteria is enabled."
                .to_owned(),
        );
    };
    if !CLEANUPS.contains(&cleanup) {
        return invalid(
            "sourceServiceRevisionCleanup should be one of [BLOCKING,DEFERRED]".to_owned(),
        );
    }
    let minimum = all.minimum_healthy_percent.unwrap_or_default();
    match (minimum..=100).contains(&percent) {
        true => Ok(()),
        false => invalid(format!(
            "healthyPercent must be between minimumHealthyPercent ({minimum}) and 100."
        )),
    }
}

/// What the newest deployment is to have done. The way back is not early: it is there to make the
/// service whole again.
pub fn criteria(state: &State, row: &Service) -> Option<Criteria> {
    let key = (row.key.clone(), row.primary()?.record.clone());
    let record = state.get::<DeploymentRecord>(&key)?;
    let early = enabled(&record.configuration).filter(|_| record.rollback.is_none())?;
    let cleanup = early.source_service_revision_cleanup.as_ref();
    Some(Criteria {
        percent: early.healthy_percent.unwrap_or(100).unsigned_abs(),
        alone: cleanup.is_none_or(|cleanup| cleanup.as_str() != "DEFERRED"),
    })
}

/// Whether the newest deployment has come as far as it must to be complete, now or earlier, but for
/// tasks of older versions: those go then.
pub fn is_proven(state: &State, row: &Service, census: &Census) -> bool {
    let (Some(criteria), Some(primary)) = (criteria(state, row), row.primary()) else {
        return false;
    };
    match primary.rollout {
        Rollout::Completed => true,
        Rollout::Failed => false,
        Rollout::InProgress => {
            let stage = super::shifts::rolling(state, row).map(|(_, progress)| progress.at.stage);
            // AWS: they stay until the deployment has baked; with DEFERRED until it is complete.
            let baked = stage.is_none_or(|stage| stage == Stage::CleanUp);
            criteria.alone && baked && criteria.are_met(row.desired_count, census)
        }
    }
}

/// Whether nothing is left to wait for, although not all is there.
pub fn is_fulfilled(state: &State, row: &Service, census: &Census) -> bool {
    let criteria = criteria(state, row);
    criteria.is_some_and(|criteria| criteria.are_fulfilled(row.desired_count, census))
}
