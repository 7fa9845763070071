//! Tags on IAM's resources.

use std::sync::Arc;

use aws_protocol::ApiError;
use core_step::Demand;
use model_iam::{self as api, errors};

use crate::rows::entity::Tags;

/// AWS: fifty tags a resource.
const MOST: usize = 50;

/// Tags from a request. The model has checked lengths and characters.
pub fn parse(given: Option<&[api::Tag]>) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    merge(&mut tags, given.unwrap_or_default())?;
    Ok(tags)
}

/// Set tags over those that are there.
///
/// AWS: keys keep their case but are the same tag without regard to it.
pub fn merge(tags: &mut Tags, given: &[api::Tag]) -> Result<(), ApiError> {
    for (nth, (key, value)) in pairs(given).enumerate() {
        if pairs(given).take(nth).any(|(other, _)| other.eq_ignore_ascii_case(key)) {
            return Err(errors::invalid_input_exception(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return Err(errors::invalid_input_exception(
                "Tag keys that start with 'aws:' are reserved for system use.",
            ));
        }
        remove(tags, key);
        tags.insert(key.into(), value.into());
    }
    if tags.len() > MOST {
        return Err(errors::limit_exceeded_exception(
            "The number of tags has reached the maximum limit.",
        ));
    }
    Ok(())
}

pub fn remove(tags: &mut Tags, key: &str) {
    let there: Option<Arc<str>> = tags.keys().find(|k| k.eq_ignore_ascii_case(key)).cloned();
    if let Some(there) = there {
        tags.remove(&there);
    }
}

/// `(key, value)` pairs for condition keys.
pub fn pairs(tags: &[api::Tag]) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().map(|tag| (tag.key.as_deref().unwrap_or(""), tag.value.as_deref().unwrap_or("")))
}

/// `aws:RequestTag/…` and `aws:TagKeys` of what a request would set.
pub fn demanded(demand: Demand, given: Option<&[api::Tag]>) -> Demand {
    demand.request_tags(pairs(given.unwrap_or_default()))
}

pub fn shown(tags: &Tags) -> Vec<api::Tag> {
    let tag = |(key, value): (&Arc<str>, &Arc<str>)| api::Tag {
        key: Some(key.to_string()),
        value: Some(value.to_string()),
    };
    tags.iter().map(tag).collect()
}
