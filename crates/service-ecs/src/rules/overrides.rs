//! What a call changes of the task definition for its tasks.

use aws_protocol::ApiError;
use core_types::AccountId;
use model_ecs::{self as api, errors};

use super::task_definition::{containers_of, name_of, role_arn, sizes};

/// AWS: this many characters, the JSON's own counted too.
const LONGEST: usize = 8192;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// Overrides that fit the definition, in the form that is stored and shown.
pub fn checked(
    definition: &api::TaskDefinition,
    given: Option<api::TaskOverride>,
    account: AccountId,
) -> Result<Option<api::TaskOverride>, ApiError> {
    let Some(mut overrides) = given else { return Ok(None) };
    if aws_protocol::stored::to_json(&overrides).len() > LONGEST {
        return Err(invalid(format!("Container Overrides length must be at most {LONGEST}")));
    }
    if overrides.inference_accelerator_overrides.as_ref().is_some_and(|list| !list.is_empty()) {
        // AWS: Elastic Inference is gone, and so is the parameter.
        return Err(invalid("Unsupported field 'inferenceAcceleratorOverrides'."));
    }
    let size = |result: Result<Option<u32>, ApiError>| {
        result.map_err(|error| invalid(error.message)).map(|n| n.map(|n| n.to_string()))
    };
    overrides.cpu = size(sizes::task_cpu(overrides.cpu.as_deref()))?;
    overrides.memory = size(sizes::task_memory(overrides.memory.as_deref()))?;
    overrides.task_role_arn = role_arn(overrides.task_role_arn, account)?;
    overrides.execution_role_arn = role_arn(overrides.execution_role_arn, account)?;
    if let Some(storage) = &overrides.ephemeral_storage {
        let size = storage.size_in_gib.unwrap_or_default();
        if !(21..=200).contains(&size) {
            return Err(invalid("EphemeralStorage size should be between 21 and 200."));
        }
    }
    let memory = overrides.memory.as_deref().or(definition.memory.as_deref());
    let memory: Option<i32> = memory.and_then(|memory| memory.parse().ok());
    let mut seen: Vec<&str> = Vec::new();
    for container in overrides.container_overrides.iter().flatten() {
        let name = container.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            return Err(invalid("Container Overrides name cannot be empty."));
        }
        if !containers_of(definition).iter().any(|there| name_of(there) == name) {
            return Err(invalid(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
        if seen.contains(&name) {
            return Err(invalid(format!("Duplicate override for container named {name}.")));
        }
        seen.push(name);
        check_container(container, name, memory)?;
    }
    let empty = overrides == api::TaskOverride::default();
    Ok(Some(overrides).filter(|_| !empty))
}

fn check_container(
    container: &api::ContainerOverride,
    name: &str,
    task_memory: Option<i32>,
) -> Result<(), ApiError> {
    if container.cpu.is_some_and(|cpu| cpu < 0) {
        return Err(invalid(format!("Invalid 'cpu' setting for container '{name}'.")));
    }
    for (what, value) in
        [("memory", container.memory), ("memoryReservation", container.memory_reservation)]
    {
        if value.is_some_and(|value| value < 4) {
            return Err(invalid(format!("Invalid '{what}' setting for container '{name}'.")));
        }
        if let (Some(value), Some(task)) = (value, task_memory)
            && value > task
        {
            return Err(invalid(format!(
                "'{what}' setting for container '{name}' is greater than for task."
            )));
        }
    }
    let nameless = |pair: &api::KeyValuePair| pair.name.as_deref().unwrap_or_default().is_empty();
    if container.environment.iter().flatten().any(nameless) {
        return Err(invalid("Environment variable name cannot be empty."));
    }
    Ok(())
}

/// The override of a container, should it have one.
pub fn of<'o>(
    overrides: Option<&'o api::TaskOverride>,
    container: &str,
) -> Option<&'o api::ContainerOverride> {
    let mut all = overrides?.container_overrides.iter().flatten();
    all.find(|one| one.name.as_deref() == Some(container))
}

/// What the call leaves of a container: the definition with the override laid over it.
pub fn effective(
    container: &api::ContainerDefinition,
    over: Option<&api::ContainerOverride>,
) -> api::ContainerDefinition {
    let mut merged = container.clone();
    let Some(over) = over else { return merged };
    merged.command = over.command.clone().or(merged.command);
    merged.cpu = over.cpu.or(merged.cpu);
    merged.memory = over.memory.or(merged.memory);
    merged.memory_reservation = over.memory_reservation.or(merged.memory_reservation);
    merged.resource_requirements =
        over.resource_requirements.clone().or(merged.resource_requirements);
    // AWS: variables are added to the definition's; one of the same name takes its place.
    for pair in over.environment.iter().flatten() {
        let all = merged.environment.get_or_insert_default();
        match all.iter_mut().find(|there| there.name == pair.name) {
            Some(there) => there.value = pair.value.clone(),
            None => all.push(pair.clone()),
        }
    }
    if let Some(files) = over.environment_files.as_ref().filter(|files| !files.is_empty()) {
        merged.environment_files.get_or_insert_default().extend(files.iter().cloned());
    }
    merged
}

/// A definition as its task runs it.
pub fn merged(
    definition: &api::TaskDefinition,
    overrides: Option<&api::TaskOverride>,
) -> Vec<api::ContainerDefinition> {
    let all = containers_of(definition).iter();
    all.map(|container| effective(container, of(overrides, name_of(container)))).collect()
}
