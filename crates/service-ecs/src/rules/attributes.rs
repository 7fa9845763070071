//! Attributes of container instances: names, values, limits, and who may set which.

use aws_protocol::ApiError;
use core_state::State;
use core_step::Call;
use core_types::Id128;
use model_ecs::{self as api, errors};

use super::instances;
use crate::rows::cluster::ClusterKey;
use crate::rows::container_instance::{ContainerInstance, InstanceStatus};

/// AWS: ten custom attributes an instance, and ten a call.
pub const MOST: usize = 10;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

pub fn check_target_type(given: Option<&api::TargetType>) -> Result<(), ApiError> {
    match given.map(|kind| kind.as_str()) {
        None | Some("container-instance") => Ok(()),
        Some(_) => Err(invalid("targetType must be container-instance")),
    }
}

/// AWS: what the service and the agent say of an instance is theirs.
fn is_reserved(name: &str) -> bool {
    name.starts_with("ecs.") || name.starts_with("com.amazonaws.")
}

/// What an agent that comes back has told by now. AWS: it tells the attributes of its configuration
/// when it registers first, and never again; they stay until a user deletes them.
pub fn told_again(mut new: Vec<api::Attribute>, old: &[api::Attribute]) -> Vec<api::Attribute> {
    for attribute in old {
        let name = attribute.name.as_deref().unwrap_or_default();
        if !is_reserved(name) && !new.iter().any(|other| other.name == attribute.name) {
            new.push(attribute.clone());
        }
    }
    new
}

/// A name and value that users may set.
pub fn check(attribute: &api::Attribute) -> Result<(), ApiError> {
    check_target_type(attribute.target_type.as_ref())?;
    let name = attribute.name.as_deref().unwrap_or_default();
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_./\\".contains(&b);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(good) {
        return Err(invalid(format!("Invalid attribute name: {name}")));
    }
    if is_reserved(name) {
        return Err(invalid(format!("The attribute name {name} is reserved.")));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.@:/\\ ".contains(c);
    match attribute.value.as_deref() {
        None => Ok(()),
        Some(value) => {
            let trimmed = value.trim() == value;
            let long = value.is_empty() || value.chars().count() > 128;
            if long || !trimmed || !value.chars().all(good) {
                return Err(invalid(format!("Invalid attribute value: {value}")));
            }
            Ok(())
        }
    }
}

/// The instance that an attribute is for.
pub fn target(
    state: &State,
    call: &Call,
    cluster: &ClusterKey,
    attribute: &api::Attribute,
) -> Result<Id128, ApiError> {
    let given = attribute.target_id.as_deref().unwrap_or_default();
    let row: Option<&ContainerInstance> = instances::look_up(state, call, cluster, given);
    let row = row.filter(|row| row.status != InstanceStatus::Inactive);
    row.map(|row| row.id).ok_or_else(|| {
        errors::target_not_found_exception(format!("Could not find target with ID {given}"))
    })
}

/// AWS: an attribute in an answer names its instance by the ARN.
pub fn shown(row: &ContainerInstance, attribute: &api::Attribute) -> api::Attribute {
    api::Attribute {
        name: attribute.name.clone(),
        value: attribute.value.clone(),
        target_id: Some(row.arn()),
        target_type: None,
    }
}
