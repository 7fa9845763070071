//! Tags on ECS resources: limits and merging.

use aws_protocol::ApiError;
use core_state::State;
use core_step::{Call, Demand};
use model_ecs::{self as api, errors};

/// AWS: fifty tags a resource.
pub const MOST: usize = 50;

pub fn check_tags(tags: &[api::Tag]) -> Result<(), ApiError> {
    let invalid = |text: &str| Err(errors::invalid_parameter_exception(text));
    if tags.len() > MOST {
        return invalid("Too many tags. The maximum number of tags that can be applied is 50.");
    }
    for (nth, tag) in tags.iter().enumerate() {
        let key = tag.key.as_deref().unwrap_or_default();
        let value = tag.value.as_deref().unwrap_or_default();
        if key.is_empty() || key.chars().count() > 128 {
            return invalid("Tag keys must be between 1 and 128 characters long.");
        }
        if value.chars().count() > 256 {
            return invalid("Tag values must be at most 256 characters long.");
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return invalid("Tag keys that start with 'aws:' are reserved for system use.");
        }
        let good = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c);
        if !key.chars().all(good) || !value.chars().all(good) {
            return invalid("Tag keys and values may hold letters, digits, spaces and _.:/=+-@");
        }
        if tags[..nth].iter().any(|other| other.key == tag.key) {
            return invalid(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            );
        }
    }
    Ok(())
}

/// Tags after setting `new`: a key that is there is overwritten in place.
pub fn merged(old: &[api::Tag], new: &[api::Tag]) -> Result<Vec<api::Tag>, ApiError> {
    let mut tags = old.to_vec();
    for tag in new {
        match tags.iter_mut().find(|t| t.key == tag.key) {
            Some(there) => there.value = tag.value.clone(),
            None => tags.push(tag.clone()),
        }
    }
    check_tags(&tags)?;
    Ok(tags)
}

/// `(key, value)` pairs for condition keys.
pub fn pairs(tags: &[api::Tag]) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().map(|tag| (tag.key.as_deref().unwrap_or(""), tag.value.as_deref().unwrap_or("")))
}

/// AWS: creating something with tags also asks for `ecs:TagResource` on it, unless the account
/// has switched `tagResourceAuthorization` off.
pub fn demand_on_create(
    state: &State,
    call: &Call,
    action: &'static str,
    arn: String,
    given: Option<&[api::Tag]>,
) -> Option<Demand> {
    let given = given.filter(|tags| !tags.is_empty())?;
    if super::settings::effective_for(state, call, "tagResourceAuthorization") == "off" {
        return None;
    }
    let demand = Demand::on("ecs:TagResource", arn).with("ecs:CreateAction", action);
    Some(demand.request_tags(pairs(given)))
}
