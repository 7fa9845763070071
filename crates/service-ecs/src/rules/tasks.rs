//! How calls find tasks.

use aws_protocol::ApiError;
use core_state::State;
use core_step::{Call, Demand};
use core_types::{Arn, Id128};
use model_ecs::{self as api, errors};

use super::{clusters, tags};
use crate::rows::capacity_provider::CapacityProvider;
use crate::rows::cluster::ClusterKey;
use crate::rows::task::{Task, arn_of};

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// The id inside a task's ARN, long or short, or the id itself; or what AWS says of the text.
pub fn id_of(call: &Call, cluster: &ClusterKey, given: &str) -> Result<Option<Id128>, ApiError> {
    let Ok(arn) = Arn::parse(given) else {
        let length = given.len();
        if length != 32 && length != 36 {
            return Err(invalid("taskId length should be one of [32,36]"));
        }
        return Ok(given.parse().ok());
    };
    let Some(rest) = arn.resource_of("task").filter(|_| arn.service == "ecs") else {
        return Err(invalid("Invalid identifier: The identifier is not a task."));
    };
    let scope = call.scope();
    if arn.account.parse() != Ok(scope.account) || arn.region.parse() != Ok(scope.region) {
        return Ok(None);
    }
    match rest.split_once('/') {
        None => Ok(rest.parse().ok()),
        Some((name, _)) if *name != *cluster.1 => Err(invalid(format!(
            "Invalid identifier: Identifier is for cluster {name}. Your cluster is {}",
            cluster.1
        ))),
        Some((_, id)) => Ok(id.parse().ok()),
    }
}

/// AWS: what runs on managed instances has a launch type of its own.
pub fn launch_type(state: &State, row: &Task) -> api::LaunchType {
    let name = row.extras.as_ref().and_then(|extras| extras.capacity_provider.clone());
    let provider = name.and_then(|name| state.get::<CapacityProvider>(&(row.cluster.0, name)));
    match provider.is_some_and(|provider| provider.managed_instances.is_some()) {
        true => api::LaunchType::MANAGED_INSTANCES,
        false => row.launch.wire(),
    }
}

/// A task of a cluster, however it stands.
pub fn look_up<'s>(
    state: &'s State,
    call: &Call,
    cluster: &ClusterKey,
    given: &str,
) -> Result<Option<&'s Task>, ApiError> {
    let row = id_of(call, cluster, given)?.and_then(|id| state.get::<Task>(&id));
    Ok(row.filter(|row| row.cluster == *cluster))
}

/// The same, or AWS's error.
pub fn find<'s>(
    state: &'s State,
    call: &Call,
    cluster: &ClusterKey,
    given: Option<&str>,
) -> Result<&'s Task, ApiError> {
    let given = given.unwrap_or_default();
    if given.is_empty() {
        return Err(invalid("Task can not be blank."));
    }
    let row = look_up(state, call, cluster, given)?;
    row.ok_or_else(|| invalid("The referenced task was not found."))
}

/// The ARN that a permission or a failure is told with, whether it exists or not.
pub fn told_arn(call: &Call, cluster: &ClusterKey, given: &str) -> String {
    match id_of(call, cluster, given) {
        _ if given.starts_with("arn:") => given.to_owned(),
        Ok(Some(id)) => arn_of(cluster, id),
        _ => cluster.0.arn("ecs", format_args!("task/{}/{given}", cluster.1)),
    }
}

pub fn missing(call: &Call, cluster: &ClusterKey, given: &str) -> api::Failure {
    api::Failure {
        arn: Some(told_arn(call, cluster, given)),
        reason: Some("MISSING".to_owned()),
        ..Default::default()
    }
}

/// The permission for an action on a task.
pub fn demand(
    state: &State,
    call: &Call,
    action: &'static str,
    cluster: Option<&str>,
    given: &str,
) -> Demand {
    let key = clusters::key_of(call, cluster);
    let row = look_up(state, call, &key, given).ok().flatten();
    Demand::on(action, told_arn(call, &key, given))
        .with("ecs:cluster", clusters::demanded_arn(call, cluster))
        .resource_tags(tags::pairs(row.map(Task::tags).unwrap_or_default()))
}

/// A list of tasks that a call names: neither empty nor longer than AWS allows.
pub fn check_names(names: &[String], most: usize) -> Result<(), ApiError> {
    if names.is_empty() {
        return Err(invalid("Tasks cannot be empty."));
    }
    if names.len() > most {
        return Err(invalid(format!("Tasks cannot have more than {most} elements.")));
    }
    Ok(())
}
