//! Groups and streams as calls name them.

use aws_protocol::ApiError;
use core_state::State;
use core_step::Call;
use core_types::Arn;
use model_logs::errors;

use crate::rows::group::LogGroup;
use crate::rows::stream::LogStream;

pub const STANDARD: &str = "STANDARD";
/// AWS: lines of such groups are kept for two days, whatever is asked.
pub const DELIVERY: &str = "DELIVERY";
pub const DELIVERY_DAYS: u32 = 2;

/// AWS: the only numbers of days that a retention may have.
const RETENTIONS: [i32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

pub fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

pub fn no_group() -> ApiError {
    errors::resource_not_found_exception("The specified log group does not exist.")
}

pub fn no_stream() -> ApiError {
    errors::resource_not_found_exception("The specified log stream does not exist.")
}

/// The group's name in a name or an ARN, with or without AWS's `:*`.
pub fn name_in(identifier: &str) -> &str {
    match Arn::parse(identifier) {
        Ok(arn) => {
            let name = arn.resource.strip_prefix("log-group:").unwrap_or(arn.resource);
            name.strip_suffix(":*").unwrap_or(name)
        }
        Err(_) => identifier,
    }
}

/// The group of a name.
pub fn find<'s>(state: &'s State, call: &Call, name: &str) -> Result<&'s LogGroup, ApiError> {
    crate::ops::group_named(state, call.scope(), name).ok_or_else(no_group)
}

/// The group of a name or an ARN.
pub fn identified<'s>(
    state: &'s State,
    call: &Call,
    identifier: &str,
) -> Result<&'s LogGroup, ApiError> {
    if identifier.starts_with("arn:") {
        let arn = Arn::parse(identifier).map_err(|_| invalid("Invalid logGroupIdentifier"))?;
        if arn.service != "logs" || !arn.resource.starts_with("log-group:") {
            return Err(invalid("Invalid logGroupIdentifier"));
        }
        let scope = call.scope();
        let here =
            arn.account.parse() == Ok(scope.account) && arn.region.parse() == Ok(scope.region);
        if !here {
            return Err(no_group());
        }
    }
    find(state, call, name_in(identifier))
}

/// What a call gives of the two ways to name a group.
pub fn given<'a>(name: Option<&'a str>, identifier: Option<&'a str>) -> &'a str {
    name.or(identifier).unwrap_or_default()
}

/// AWS: a group is named in one of two ways, not in both.
pub fn one_of<'s>(
    state: &'s State,
    call: &Call,
    name: Option<&str>,
    identifier: Option<&str>,
) -> Result<&'s LogGroup, ApiError> {
    match (name, identifier) {
        (Some(name), None) => find(state, call, name),
        (None, Some(identifier)) => identified(state, call, identifier),
        (Some(_), Some(_)) => {
            Err(invalid("LogGroup name and LogGroup ARN are mutually exclusive parameters."))
        }
        (None, None) => Err(invalid("Please provide either logGroupName or logGroupIdentifier")),
    }
}

pub fn find_stream<'s>(
    state: &'s State,
    group: &LogGroup,
    name: &str,
) -> Result<&'s LogStream, ApiError> {
    state.get::<LogStream>(&(group.id, name.into())).ok_or_else(no_stream)
}

pub fn check_retention(days: i32) -> Result<u32, ApiError> {
    match u32::try_from(days) {
        Ok(known) if RETENTIONS.contains(&days) => Ok(known),
        _ => Err(invalid(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy \
             constraint: Member must satisfy enum value set: {RETENTIONS:?}"
        ))),
    }
}

/// AWS: groups of the DELIVERY class have a retention of their own.
pub fn check_retention_may_change(group: &LogGroup) -> Result<(), ApiError> {
    match group.class == DELIVERY {
        true => Err(invalid("The retention policy of a DELIVERY log group cannot be changed.")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_what_identifies() {
        let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/web";
        assert_eq!(name_in(arn), "/ecs/web");
        assert_eq!(name_in(&format!("{arn}:*")), "/ecs/web");
        assert_eq!(name_in("/ecs/web"), "/ecs/web");
    }

    #[test]
    fn retentions_are_those_of_aws() {
        assert_eq!(check_retention(14).unwrap(), 14);
        for wrong in [0, -1, 2, 9999] {
            assert!(check_retention(wrong).unwrap_err().is("InvalidParameterException"));
        }
    }
}
