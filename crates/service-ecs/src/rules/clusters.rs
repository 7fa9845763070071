//! How clusters are named, found and set up.

use aws_protocol::ApiError;
use core_state::State;
use core_step::Call;
use core_types::Arn;
use model_ecs::{self as api, errors};

use crate::rows::cluster::{Cluster, ClusterKey, ClusterStatus, arn_of};

/// AWS: every action that takes a cluster means this one when none is named.
pub const DEFAULT: &str = "default";

/// The name inside a cluster's short name or ARN.
pub fn name_of(given: Option<&str>) -> &str {
    match given {
        None | Some("") => DEFAULT,
        Some(text) => {
            Arn::parse(text).ok().and_then(|arn| arn.resource_of("cluster")).unwrap_or(text)
        }
    }
}

/// The key of a cluster named in a call. An ARN of another account or region names no cluster of
/// this one, so its account and region count.
pub fn key_of(call: &Call, given: Option<&str>) -> ClusterKey {
    let mut scope = call.scope();
    if let Some(arn) = given.and_then(|text| Arn::parse(text).ok()) {
        if let (Ok(account), Ok(region)) = (arn.account.parse(), arn.region.parse()) {
            scope = core_types::Scope::new(account, region);
        }
    }
    (scope, name_of(given).into())
}

/// The ARN that a permission for the named cluster is asked on, whether it exists or not.
pub fn demanded_arn(call: &Call, given: Option<&str>) -> String {
    let (scope, name) = key_of(call, given);
    arn_of(scope, &name)
}

/// An ACTIVE cluster, or AWS's error.
pub fn find_cluster<'s>(
    state: &'s State,
    call: &Call,
    given: Option<&str>,
) -> Result<&'s Cluster, ApiError> {
    let key = key_of(call, given);
    let in_account = key.0.account == call.account();
    let cluster = state.get::<Cluster>(&key).filter(|_| in_account);
    match cluster {
        None => Err(errors::cluster_not_found_exception("Cluster not found.")),
        // AWS: a deleted cluster is still there to describe, and names its own error elsewhere.
        Some(cluster) if cluster.status == ClusterStatus::Inactive => {
            Err(errors::cluster_not_found_exception("The referenced cluster was inactive."))
        }
        Some(cluster) => Ok(cluster),
    }
}

/// AWS: up to 255 letters, digits, hyphens and underscores.
pub fn check_name(name: &str) -> Result<(), ApiError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 255 || !name.bytes().all(good) {
        return Err(errors::invalid_parameter_exception("Invalid cluster name"));
    }
    Ok(())
}

/// Settings with the default in the place of what was not given.
///
/// AWS: `containerInsights` is always there, `disabled` unless the account's default says more.
pub fn settings_with_defaults(
    given: Vec<api::ClusterSetting>,
    insights: &str,
) -> Result<Vec<api::ClusterSetting>, ApiError> {
    for setting in &given {
        check_setting(setting)?;
    }
    if given.iter().any(|s| s.name.as_ref().is_some_and(|n| *n == "containerInsights")) {
        return Ok(given);
    }
    let mut settings = given;
    settings.push(api::ClusterSetting {
        name: Some("containerInsights".into()),
        value: Some(insights.to_owned()),
    });
    Ok(settings)
}

pub fn check_setting(setting: &api::ClusterSetting) -> Result<(), ApiError> {
    let name = setting.name.as_ref().map(|n| n.as_str()).unwrap_or_default();
    if name != "containerInsights" {
        return Err(errors::invalid_parameter_exception(format!(
            "Invalid setting name: {name}. Valid values are: containerInsights"
        )));
    }
    let value = setting.value.as_deref().unwrap_or_default();
    if !matches!(value, "enabled" | "disabled" | "enhanced") {
        return Err(errors::invalid_parameter_exception(format!(
            "Invalid value for setting containerInsights: {value}. Valid values are: enhanced, \
             enabled, disabled"
        )));
    }
    Ok(())
}
