//! Daemon task definitions: checked as task definitions are, and found in the same ways.

use aws_protocol::ApiError;
use aws_protocol::stored;
use core_state::State;
use core_step::{Call, Demand};
use core_types::AccountId;
use model_ecs as api;

use super::tags;
use super::task_definition::{Reference, normalised, refuse};
use crate::rows::daemon_task_definition::{DaemonTaskDefinition, NewestDaemons};
use crate::rows::task_definition::Down;

const KIND: &str = "daemon-task-definition";

/// The definition that this registration makes, without its revision and times.
///
/// A daemon's containers are containers with fewer members, spelled alike, so they are checked
/// and filled in as those of a task and then cut down again.
pub fn normalised_daemon(
    given: api::RegisterDaemonTaskDefinitionRequest,
    account: AccountId,
) -> Result<api::DaemonTaskDefinition, ApiError> {
    for (what, mode) in [
        ("ipcMode", given.ipc_mode.as_ref().map(|mode| mode.as_str())),
        ("pidMode", given.pid_mode.as_ref().map(|mode| mode.as_str())),
    ] {
        super::task_definition::check_enum(what, mode, &["none", "shared"])?;
    }
    let containers = given.container_definitions.unwrap_or_default();
    let whole: Vec<api::ContainerDefinition> = containers.iter().map(recast).collect();
    let volumes = given.volumes.as_deref().unwrap_or_default();
    let task = api::RegisterTaskDefinitionRequest {
        family: given.family,
        container_definitions: Some(whole),
        cpu: given.cpu,
        memory: given.memory,
        execution_role_arn: given.execution_role_arn,
        task_role_arn: given.task_role_arn,
        volumes: Some(volumes.iter().map(recast).collect()),
        ..Default::default()
    };
    let task = normalised(task, account)?;
    let containers = task.container_definitions.unwrap_or_default();
    Ok(api::DaemonTaskDefinition {
        family: task.family,
        container_definitions: Some(containers.iter().map(recast).collect()),
        cpu: task.cpu,
        memory: task.memory,
        execution_role_arn: task.execution_role_arn,
        task_role_arn: task.task_role_arn,
        volumes: Some(given.volumes.unwrap_or_default()),
        ipc_mode: given.ipc_mode,
        pid_mode: given.pid_mode,
        ..Default::default()
    })
}

/// A daemon's definition as placement and hosts know definitions.
///
/// AWS: in `shared` mode the daemon joins the host's namespace.
pub fn as_task(
    given: &api::DaemonTaskDefinition,
    account: AccountId,
) -> Result<api::TaskDefinition, ApiError> {
    let shared = |mode: Option<&str>| mode == Some("shared");
    let containers = given.container_definitions.iter().flatten();
    let task = api::RegisterTaskDefinitionRequest {
        family: given.family.clone(),
        container_definitions: Some(containers.map(recast).collect()),
        cpu: given.cpu.clone(),
        memory: given.memory.clone(),
        execution_role_arn: given.execution_role_arn.clone(),
        task_role_arn: given.task_role_arn.clone(),
        volumes: Some(given.volumes.iter().flatten().map(recast).collect()),
        pid_mode: shared(given.pid_mode.as_ref().map(|mode| mode.as_str()))
            .then_some(api::PidMode::HOST),
        ipc_mode: shared(given.ipc_mode.as_ref().map(|mode| mode.as_str()))
            .then_some(api::IpcMode::HOST),
        ..Default::default()
    };
    normalised(task, account)
}

/// A shape as another that has members of the same names; others are left out.
fn recast<A: aws_protocol::Shape, B: aws_protocol::Shape>(shape: &A) -> B {
    stored::from_json(&stored::to_json(shape)).expect("members of one name have one type")
}

/// What a call names: a revision, or a family's latest ACTIVE one.
pub fn look_up<'s>(state: &'s State, call: &Call, given: &str) -> Option<&'s DaemonTaskDefinition> {
    let reference = Reference::parse(given, KIND, call.scope()).filter(|r| !r.elsewhere)?;
    let scope = call.scope();
    if let Some(revision) = reference.revision {
        return state.get(&(scope, reference.family.into(), revision));
    }
    let first = (scope, Some(true), Down::At(reference.family.into(), u32::MAX));
    let (key, row) = state.by_range::<NewestDaemons>(first).next()?;
    let here = key.0 == scope && key.1 == Some(true) && *row.key.1 == *reference.family;
    here.then_some(row)
}

pub fn find<'s>(
    state: &'s State,
    call: &Call,
    given: &str,
) -> Result<&'s DaemonTaskDefinition, ApiError> {
    let missing = || refuse("The specified daemon task definition was not found.");
    look_up(state, call, given).ok_or_else(missing)
}

/// The permission for an action on one.
pub fn demand(state: &State, call: &Call, action: &'static str, given: &str) -> Demand {
    let row = look_up(state, call, given);
    let there = row.map(|row| row.tags.as_slice()).unwrap_or_default();
    let arn = match row {
        Some(row) => row.arn(),
        None if given.starts_with("arn:") => given.to_owned(),
        None => call.scope().arn("ecs", format_args!("{KIND}/{given}")),
    };
    Demand::on(action, arn).resource_tags(tags::pairs(there))
}
