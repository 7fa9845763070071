//! Protection of tasks against being stopped by their service.

use aws_protocol::ApiError;
use core_state::State;
use core_step::{Call, Demand};
use core_types::Time;
use model_ecs as api;

use super::tasks;
use crate::rows::cluster::ClusterKey;
use crate::rows::task::Task;
use crate::views;

/// AWS: the permission is asked on each task.
pub fn demands(
    state: &State,
    call: &Call,
    action: &'static str,
    cluster: Option<&str>,
    names: &[String],
) -> Vec<Demand> {
    if names.is_empty() {
        return vec![tasks::demand(state, call, action, cluster, "*")];
    }
    let names = names.iter().take(100);
    names.map(|name| tasks::demand(state, call, action, cluster, name)).collect()
}

/// A task that can be protected, or why it cannot. AWS: only a service's tasks are stopped by
/// anyone but their owner.
pub fn find<'s>(
    state: &'s State,
    call: &Call,
    cluster: &ClusterKey,
    name: &str,
) -> Result<Result<&'s Task, api::Failure>, ApiError> {
    let Some(row) = tasks::look_up(state, call, cluster, name)?.filter(|row| !row.is_stopped())
    else {
        return Ok(Err(tasks::missing(call, cluster, name)));
    };
    Ok(match row.service {
        Some(_) => Ok(row),
        None => Err(api::Failure {
            arn: Some(row.arn()),
            reason: Some("TASK_NOT_VALID".to_owned()),
            detail: Some("The specified task is not part of an Amazon ECS service.".to_owned()),
        }),
    })
}

pub fn shown(row: &Task, now: Time) -> api::ProtectedTask {
    let until = row.extras.as_ref().and_then(|extras| extras.protected_until);
    let until = until.filter(|until| *until > now);
    api::ProtectedTask {
        task_arn: Some(row.arn()),
        protection_enabled: Some(until.is_some()),
        expiration_date: until.and_then(views::timestamp),
    }
}
