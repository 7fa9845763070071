//! Tags on log groups.

use std::collections::BTreeMap;

use aws_protocol::ApiError;
use core_state::State;
use core_step::Call;
use core_types::Arn;
use model_logs::errors;

use super::groups::{identified, invalid};
use crate::rows::group::LogGroup;

pub type Tags = BTreeMap<String, String>;

/// AWS: fifty tags a group.
const MOST: usize = 50;

pub fn check(tags: &Tags) -> Result<(), ApiError> {
    if tags.len() > MOST {
        return Err(errors::too_many_tags_exception(format!(
            "The resource can have at most {MOST} tags."
        )));
    }
    match tags.keys().find(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        Some(_) => Err(invalid("Tag keys that begin with aws: are reserved for AWS.")),
        None => Ok(()),
    }
}

/// Tags after setting some.
pub fn merged(old: &Tags, new: Option<Tags>) -> Result<Tags, ApiError> {
    let new = new.unwrap_or_default();
    check(&new)?;
    let mut tags = old.clone();
    tags.extend(new);
    check(&tags)?;
    Ok(tags)
}

pub fn pairs(tags: &Tags) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

/// What `TagResource` and its like name: always by ARN.
pub fn find<'s>(state: &'s State, call: &Call, arn: &str) -> Result<&'s LogGroup, ApiError> {
    match Arn::parse(arn) {
        Ok(_) => identified(state, call, arn),
        Err(_) => Err(invalid("The resourceArn is not a valid ARN.")),
    }
}
