//! Network interfaces of tasks in `awsvpc` mode: the one place where subnets and security groups
//! are asked for. They belong to EC2's slice; until it is here no subnet exists, and AWS's error
//! says so.

use aws_protocol::ApiError;
use model_ecs::{self as api, errors};

use super::task_definition::is_mode;

/// AWS: sixteen subnets and five security groups.
const MOST_SUBNETS: usize = 16;
const MOST_GROUPS: usize = 5;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// A network configuration that fits the definition, its subnets there.
pub fn check(
    definition: &api::TaskDefinition,
    given: Option<&api::NetworkConfiguration>,
) -> Result<(), ApiError> {
    let given = given.and_then(|given| given.awsvpc_configuration.as_ref());
    let Some(given) = given else {
        return match is_mode(definition, "awsvpc") {
            true => Err(invalid(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            )),
            false => Ok(()),
        };
    };
    if !is_mode(definition, "awsvpc") {
        return Err(invalid(
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ));
    }
    let subnets = given.subnets.as_deref().unwrap_or_default();
    if subnets.is_empty() {
        return Err(invalid("subnets can not be empty."));
    }
    if subnets.len() > MOST_SUBNETS {
        return Err(invalid("subnets can have at most 16 items."));
    }
    if given.security_groups.as_ref().is_some_and(|groups| groups.len() > MOST_GROUPS) {
        return Err(invalid("securityGroups can have at most 5 items."));
    }
    Err(invalid(format!(
        "Error retrieving subnet information for [{0}]: The subnet ID '{0}' does not exist \
         (ErrorCode: InvalidSubnetID.NotFound)",
        subnets[0]
    )))
}
