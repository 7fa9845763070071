//! Who decides on a service's versions, and how that goes from one to another.
//!
//! The PRIMARY task set becomes the service's deployment, or the deployment the PRIMARY task set.
//! It keeps its id, by which its tasks know it: none of them is started or stopped for the change.

use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::Tx;
use model_ecs::{self as api, errors};

use super::service_settings as settings;
use super::{deployment_settings, deployments, services, task_sets};
use crate::rows::service::{Controller, Deployment, Rollout, Service};
use crate::rows::service_history::ServiceRevision;
use crate::rows::task_set::TaskSet;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// Percent.
pub const WHOLE: f64 = 100.0;

const MANY_SETS: &str = "Updating the deployment controller is not supported when there are \
     multiple tasksets in the service. Please ensure your service has only one taskset and try \
     again.";
const NO_PRIMARY: &str = "Updating the deployment controller requires a primary taskset in the \
     service. Please ensure your service has a primary taskset and try again.";
const UNDER_WAY: &str = "Updating the deployment controller is not supported during an ongoing \
     service deployment. Please wait for the deployment to complete and try again.";
const NO_BALANCER: &str = "Updating the deployment controller to CODE_DEPLOY requires a load \
     balancer in the service. Please ensure your service has a load balancer and try again.";
const CONNECT_NEEDS_ECS: &str = "Service Connect feature is only supported with ECS (rolling \
     update) deployment controller. Update to ECS deployment controller and try again.";
const CONNECT_BARS_EXTERNAL: &str =
    "The EXTERNAL deployment controller type is not supported for services using Service Connect.";

/// What UpdateService asks for may be asked of this controller, or of the one that it brings; where
/// it brings one, the service goes over to it.
pub fn update(
    tx: &mut Tx<'_>,
    row: &mut Service,
    input: &api::UpdateServiceRequest,
) -> Result<(), ApiError> {
    let given = input.deployment_controller.as_ref().filter(|given| given.r#type.is_some());
    let wanted = match given {
        Some(_) => settings::controller(given, row.daemon)?,
        None => row.controller,
    };
    // AWS: what else is asked for is judged by the controller that is to be.
    check_fields(wanted, input)?;
    let changes = wanted != row.controller;
    check_connect(wanted, changes, input.service_connect_configuration.as_ref())?;
    if changes {
        check_configuration(row, wanted, input)?;
        go_over(tx, row, wanted)?;
    }
    Ok(())
}

/// AWS: Service Connect is ECS's alone. `begins`: the controller is new to the service.
pub fn check_connect(
    wanted: Controller,
    begins: bool,
    connect: Option<&api::ServiceConnectConfiguration>,
) -> Result<(), ApiError> {
    let connects = connect.is_some_and(|connect| connect.enabled == Some(true));
    match wanted {
        Controller::External if connects && begins => Err(invalid(CONNECT_BARS_EXTERNAL)),
        Controller::CodeDeploy | Controller::External if connects => {
            Err(invalid(CONNECT_NEEDS_ECS))
        }
        _ => Ok(()),
    }
}

/// AWS: what tasks are made of is changed by who makes task sets, not by UpdateService.
fn check_fields(wanted: Controller, input: &api::UpdateServiceRequest) -> Result<(), ApiError> {
    let (kind, instead) = match wanted {
        Controller::Ecs => return Ok(()),
        Controller::CodeDeploy => ("a CODE_DEPLOY", "AWS CodeDeploy"),
        Controller::External => ("an EXTERNAL", "CreateTaskSet"),
    };
    let of_versions = [
        ("Unable to update task definition", input.task_definition.is_some()),
        ("Unable to update network parameters", input.network_configuration.is_some()),
        ("Unable to update platform version", input.platform_version.is_some()),
        ("Unable to update load balancers", input.load_balancers.is_some()),
        ("Unable to update service registries", input.service_registries.is_some()),
        ("Cannot force a new deployment", input.force_new_deployment == Some(true)),
        ("Unable to update capacity provider strategy", input.capacity_provider_strategy.is_some()),
    ];
    match of_versions.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((what, _)) => Err(invalid(format!(
            "{what} on services with {kind} deployment controller. Use {instead} to trigger a new \
             deployment."
        ))),
    }
}

/// AWS: a breaker, alarms and strategies other than ROLLING keep a service with ECS.
fn check_configuration(
    row: &Service,
    wanted: Controller,
    input: &api::UpdateServiceRequest,
) -> Result<(), ApiError> {
    let given = input.deployment_configuration.clone().unwrap_or_default();
    let all = deployment_settings::merged(&row.configuration, &given);
    deployment_settings::configuration(Some(all), row.daemon, wanted).map(drop)
}

fn go_over(tx: &mut Tx<'_>, row: &mut Service, wanted: Controller) -> Result<(), ApiError> {
    // AWS: CodeDeploy moves a load balancer's traffic, so there has to be one. None can be here.
    if wanted == Controller::CodeDeploy {
        return Err(invalid(NO_BALANCER));
    }
    if row.controller.has_task_sets() {
        let set = only_set(tx, row)?;
        if wanted == Controller::Ecs {
            become_deployment(tx, row, set);
        }
    } else {
        let deployment = only_deployment(row)?.clone();
        become_set(tx, row, deployment);
    }
    row.controller = wanted;
    Ok(())
}

/// The one task set that there is, which is PRIMARY; or AWS's error. One that drains is one, too.
fn only_set(tx: &Tx<'_>, row: &Service) -> Result<TaskSet, ApiError> {
    let mut sets = task_sets::all(tx, &row.key);
    match (sets.next(), sets.next()) {
        (_, Some(_)) => Err(invalid(MANY_SETS)),
        (Some(set), None) if set.primary => Ok(set.clone()),
        _ => Err(invalid(NO_PRIMARY)),
    }
}

/// The one deployment that there is, which is over; or AWS's error.
fn only_deployment(row: &Service) -> Result<&Deployment, ApiError> {
    match &*row.deployments {
        // AWS's deployments are task sets, too.
        [_, _, ..] => Err(invalid(MANY_SETS)),
        [one] if one.rollout == Rollout::InProgress => Err(invalid(UNDER_WAY)),
        [one] => Ok(one),
        [] => Err(invalid(NO_PRIMARY)),
    }
}

fn become_deployment(tx: &mut Tx<'_>, row: &mut Service, set: TaskSet) {
    tx.delete::<TaskSet>(&set.key);
    let key = (row.key.clone(), set.deployment.revision);
    let old = tx.get::<ServiceRevision>(&key).expect("a task set brings a revision").clone();
    if !services::remembers(tx, &row.key, key.1) {
        tx.delete::<ServiceRevision>(&key);
    }
    // What task sets bring is not resolved, and those of its tasks that run tell nothing any more.
    let revision = deployments::number(tx.dice);
    let new = old.anew((row.key.clone(), revision), tx.now());
    tx.put(ServiceRevision { images_settled: true, ..new });
    // AWS: what an EXTERNAL service was created with says nothing of where its tasks go.
    if row.launch_type.is_none() && old.providers.is_empty() {
        row.launch_type = Some(set.launch);
    }
    row.launch = set.launch;
    (row.waiting, row.told) = (set.waiting, set.told);
    (row.steady_at, row.batch_at) = (set.steady_at, set.batch_at);
    let deployment = Deployment { revision, ..set.deployment };
    deployments::take_over(tx, row, deployment, set.steady_at.is_some());
}

fn become_set(tx: &mut Tx<'_>, row: &mut Service, deployment: Deployment) {
    row.deployments.clear();
    (row.uneven, row.extra) = (false, 0);
    let record: Arc<str> = "".into();
    // One that was given up starts tasks again: nobody but its new owner gives task sets up.
    let deployment = Deployment { record, rollout: Rollout::InProgress, ..deployment };
    let (steady_at, created_at) = (row.steady_at.take(), deployment.created_at);
    let set = task_sets::standing(&row.key, row.launch, deployment, WHOLE, tx.now());
    tx.put(TaskSet {
        primary: true,
        created_at,
        waiting: row.waiting,
        told: row.told.take(),
        steady_at,
        batch_at: row.batch_at.take(),
        stability_at: steady_at.unwrap_or(set.stability_at),
        ..set
    });
}
