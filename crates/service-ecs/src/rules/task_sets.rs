//! How task sets are named and found.

use aws_protocol::ApiError;
use core_state::{State, Tx};
use core_step::{Call, Demand};
use core_types::{Arn, Time};
use model_ecs::{self as api, errors};

use super::{clusters, deployments, services, tags};
use crate::rows::service::{Deployment, Service, ServiceKey};
use crate::rows::service_history::ServiceRevision;
use crate::rows::task::Launch;
use crate::rows::task_set::{TaskSet, arn_of};

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// The task sets of a service, in the order of their ids.
pub fn all<'s>(state: &'s State, key: &ServiceKey) -> impl Iterator<Item = &'s TaskSet> {
    let of = key.clone();
    let rows = state.scan::<TaskSet>((key.clone(), "".into()));
    rows.take_while(move |row| row.key.0 == of)
}

/// The id inside an ARN, or the id itself.
pub fn id_of(given: &str) -> &str {
    let rest = Arn::parse(given).ok().and_then(|arn| arn.resource_of("task-set"));
    rest.and_then(|rest| rest.splitn(3, '/').nth(2)).unwrap_or(given)
}

/// A service whose versions are task sets, or AWS's error.
pub fn find_service<'s>(
    state: &'s State,
    call: &Call,
    cluster: Option<&str>,
    service: Option<&str>,
) -> Result<&'s Service, ApiError> {
    let cluster = clusters::find_cluster(state, call, cluster)?.key.clone();
    let row = services::find_active(state, call, &cluster, service)?;
    // AWS: CodeDeploy does its work by these calls, too.
    match row.controller.has_task_sets() {
        true => Ok(row),
        false => Err(invalid(
            "TaskSet operations are only supported on services with an EXTERNAL deployment \
             controller.",
        )),
    }
}

/// A new task set of a version, with a share of its service's tasks in percent.
pub fn begun(tx: &mut Tx<'_>, revision: &ServiceRevision, percent: f64) -> TaskSet {
    let deployment = deployments::started(tx, revision.key.1, "".into());
    standing(&revision.key.0, revision.launch, deployment, percent, tx.now())
}

/// A deployment of a service as a task set, its id and its tasks with it.
pub fn standing(
    service: &ServiceKey,
    launch: Launch,
    deployment: Deployment,
    percent: f64,
    now: Time,
) -> TaskSet {
    TaskSet {
        key: (service.clone(), deployment.id.clone()),
        primary: false,
        draining: false,
        deployment,
        launch,
        percent,
        external_id: None,
        tags: Vec::new(),
        client_token: None,
        created_at: now,
        updated_at: now,
        waiting: false,
        told: None,
        steady_at: None,
        batch_at: None,
        stability_at: now,
    }
}

pub fn find<'s>(
    state: &'s State,
    service: &ServiceKey,
    given: Option<&str>,
) -> Result<&'s TaskSet, ApiError> {
    let given = given.unwrap_or_default();
    if given.is_empty() {
        return Err(invalid("TaskSet can not be blank."));
    }
    let row = state.get::<TaskSet>(&(service.clone(), id_of(given).into()));
    let missing = || errors::task_set_not_found_exception("The specified task set was not found.");
    row.ok_or_else(missing)
}

/// AWS: a share is given in percent, from 0 to 100.
pub fn check_scale(given: Option<&api::Scale>) -> Result<f64, ApiError> {
    let Some(given) = given else { return Ok(100.0) };
    if given.unit.as_ref().is_some_and(|unit| unit.as_str() != "PERCENT") {
        return Err(invalid("unit should be one of [PERCENT]"));
    }
    let value = given.value.unwrap_or(100.0);
    match (0.0..=100.0).contains(&value) {
        true => Ok(value),
        false => Err(invalid("The scale's value must be between 0.0 and 100.0.")),
    }
}

/// The permission for an action on a task set, or on any of a service.
pub fn demand(
    state: &State,
    call: &Call,
    action: &'static str,
    (cluster, service): (Option<&str>, Option<&str>),
    set: Option<&str>,
) -> Demand {
    let key = clusters::key_of(call, cluster);
    let service = service.unwrap_or_default();
    let found = services::look_up(state, call, &key, service).ok().flatten();
    let name = found.map_or(service, Service::name);
    let of: ServiceKey = (key.clone(), name.into());
    let id = set.map_or("*", id_of);
    let row = state.get::<TaskSet>(&(of.clone(), id.into()));
    Demand::on(action, arn_of(&of, id))
        .with("ecs:cluster", clusters::demanded_arn(call, cluster))
        .with("ecs:service", services::told_arn(&key, service))
        .resource_tags(tags::pairs(row.map(|row| row.tags.as_slice()).unwrap_or_default()))
}
