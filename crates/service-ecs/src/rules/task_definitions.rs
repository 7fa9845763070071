//! How calls find task definitions.

use aws_protocol::ApiError;
use core_state::State;
use core_step::{Call, Demand};
use model_ecs::errors;

use super::task_definition::{Reference, refuse, sizes};
use crate::rows::task_definition::{Down, NewestFirst, Status, TaskDefinition, arn_of};

/// The latest ACTIVE revision of a family.
pub fn latest<'s>(state: &'s State, call: &Call, family: &str) -> Option<&'s TaskDefinition> {
    let first = (call.scope(), Status::Active, Down::At(family.into(), u32::MAX));
    let (key, row) = state.by_range::<NewestFirst>(first).next()?;
    let here = key.0 == call.scope() && key.1 == Status::Active;
    (here && &*row.key.1 == family).then_some(row)
}

/// What a reference names, whatever its status.
pub fn look_up<'s>(
    state: &'s State,
    call: &Call,
    reference: &Reference<'_>,
) -> Option<&'s TaskDefinition> {
    if reference.elsewhere {
        return None;
    }
    match reference.revision {
        None => latest(state, call, reference.family),
        Some(revision) => state.get(&(call.scope(), reference.family.into(), revision)),
    }
}

/// The task definition that a call names, or AWS's error for describing it.
pub fn find_described<'s>(
    state: &'s State,
    call: &Call,
    given: &str,
) -> Result<&'s TaskDefinition, ApiError> {
    let reference = Reference::of_call(given, call);
    let found = reference.and_then(|reference| look_up(state, call, &reference));
    found.ok_or_else(|| refuse("Unable to describe task definition."))
}

/// A reference that must name a revision.
pub fn revision_of<'a>(call: &Call, given: &'a str) -> Result<(Reference<'a>, u32), ApiError> {
    if given.is_empty() {
        return Err(refuse("taskDefinition should not be null or empty."));
    }
    let Some(reference) = Reference::of_call(given, call) else {
        if let Some((_, revision)) = given.rsplit_once(':')
            && !given.starts_with("arn:")
        {
            return Err(errors::invalid_parameter_exception(format!(
                "Invalid revision number. Number: {revision}"
            )));
        }
        return Err(errors::invalid_parameter_exception(
            "The specified task definition identifier is invalid. Specify a valid name or ARN \
             and try again.",
        ));
    };
    match reference.revision {
        Some(revision) => Ok((reference, revision)),
        None => Err(refuse("Revision is missing.")),
    }
}

/// The ARN that a permission on a named task definition is asked on.
pub fn demanded_arn(call: &Call, given: &str) -> String {
    if given.starts_with("arn:") {
        return given.to_owned();
    }
    match Reference::of_call(given, call) {
        Some(Reference { family, revision: Some(revision), .. }) => {
            arn_of(call.scope(), family, revision)
        }
        _ => call.scope().arn("ecs", format_args!("task-definition/{given}")),
    }
}

/// What policies may say of a task's size.
pub fn with_sizes(mut demand: Demand, cpu: Option<&str>, memory: Option<&str>) -> Demand {
    if let Ok(Some(cpu)) = sizes::task_cpu(cpu) {
        demand = demand.with("ecs:task-cpu", cpu.to_string());
    }
    if let Ok(Some(memory)) = sizes::task_memory(memory) {
        demand = demand.with("ecs:task-memory", memory.to_string());
    }
    demand
}

/// AWS: whoever names a role for tasks must be allowed to pass it to them.
pub fn pass_role(arn: String) -> Demand {
    Demand::on("iam:PassRole", arn).with("iam:PassedToService", "ecs-tasks.amazonaws.com")
}
