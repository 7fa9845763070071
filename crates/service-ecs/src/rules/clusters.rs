//! How clusters are named, found and set up.

use aws_protocol::ApiError;
use core_state::State;
use core_step::{Call, Demand};
use core_types::Arn;
use model_ecs::{self as api, errors};

use crate::rows::cluster::{Cluster, ClusterKey, ClusterStatus, arn_of};
use crate::rules::tags;

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
    if let Some(arn) = given.and_then(|text| Arn::parse(text).ok())
        && let (Ok(account), Ok(region)) = (arn.account.parse(), arn.region.parse())
    {
        scope = core_types::Scope::new(account, region);
    }
    (scope, name_of(given).into())
}

/// The ARN that a permission for the named cluster is asked on, whether it exists or not.
pub fn demanded_arn(call: &Call, given: Option<&str>) -> String {
    let (scope, name) = key_of(call, given);
    arn_of(scope, &name)
}

/// The permission for an action on a cluster.
pub fn demand(state: &State, call: &Call, action: &'static str, given: Option<&str>) -> Demand {
    let tags =
        look_up(state, call, given).map(|cluster| cluster.tags.as_slice()).unwrap_or_default();
    Demand::on(action, demanded_arn(call, given)).resource_tags(tags::pairs(tags))
}

/// A cluster of the caller's account and region, whatever its status.
pub fn look_up<'s>(state: &'s State, call: &Call, given: Option<&str>) -> Option<&'s Cluster> {
    let key = key_of(call, given);
    state.get::<Cluster>(&key).filter(|_| key.0 == call.scope())
}

/// A cluster of any status, or AWS's error.
pub fn find_any_cluster<'s>(
    state: &'s State,
    call: &Call,
    given: Option<&str>,
) -> Result<&'s Cluster, ApiError> {
    let cluster = look_up(state, call, given);
    cluster.ok_or_else(|| errors::cluster_not_found_exception("Cluster not found."))
}

/// An ACTIVE cluster, or AWS's error.
pub fn find_cluster<'s>(
    state: &'s State,
    call: &Call,
    given: Option<&str>,
) -> Result<&'s Cluster, ApiError> {
    let cluster = find_any_cluster(state, call, given)?;
    // AWS: a deleted cluster is still there to describe, and names its own error elsewhere.
    if cluster.status == ClusterStatus::Inactive {
        return Err(errors::cluster_not_found_exception("The referenced cluster was inactive."));
    }
    Ok(cluster)
}

/// AWS: up to 255 letters, digits, hyphens and underscores.
pub fn check_name(name: &str) -> Result<(), ApiError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 255 || !name.bytes().all(good) {
        return Err(errors::invalid_parameter_exception("Invalid cluster name"));
    }
    Ok(())
}

/// Settings with the account's default in the place of what was not given.
pub fn settings_with_defaults(
    given: Vec<api::ClusterSetting>,
    insights: &str,
) -> Result<Vec<api::ClusterSetting>, ApiError> {
    given.iter().try_for_each(check_setting)?;
    if !given.is_empty() {
        return Ok(given);
    }
    // AWS: `containerInsights` is always there.
    Ok(vec![api::ClusterSetting {
        name: Some("containerInsights".into()),
        value: Some(insights.to_owned()),
    }])
}

pub fn check_setting(setting: &api::ClusterSetting) -> Result<(), ApiError> {
    let name = setting.name.as_ref().map(|n| n.as_str()).unwrap_or_default();
    if name != "containerInsights" {
        return Err(errors::invalid_parameter_exception("Invalid setting 'name'"));
    }
    let value = setting.value.as_deref().unwrap_or_default();
    if !matches!(value, "enabled" | "disabled" | "enhanced") {
        return Err(errors::invalid_parameter_exception("Invalid setting 'value'"));
    }
    Ok(())
}

/// The configuration with what AWS fills in.
pub fn check_configuration(
    given: Option<api::ClusterConfiguration>,
) -> Result<Option<api::ClusterConfiguration>, ApiError> {
    let Some(mut configuration) = given else { return Ok(None) };
    let Some(exec) = &mut configuration.execute_command_configuration else {
        return Ok(Some(configuration));
    };
    let invalid = |text: &str| Err(errors::invalid_parameter_exception(text));
    let logging = exec.logging.as_ref().map(|logging| logging.as_str());
    if logging.is_some_and(|value| !api::ExecuteCommandLogging::VALUES.contains(&value)) {
        return invalid("logging should be one of [NONE, DEFAULT, OVERRIDE]");
    }
    let overrides = logging == Some("OVERRIDE");
    if exec.log_configuration.is_some() && !overrides {
        return invalid("You must set logging to 'OVERRIDE' when you supply a log configuration.");
    }
    let target = exec.log_configuration.as_ref().is_some_and(|log| {
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        given(&log.cloud_watch_log_group_name) || given(&log.s3_bucket_name)
    });
    if overrides && !target {
        return invalid(
            "A CloudWatch log group name or S3 bucket name must be specified when overriding the \
             default log configuration.",
        );
    }
    if let Some(log) = &mut exec.log_configuration {
        log.cloud_watch_encryption_enabled.get_or_insert(false);
        log.s3_encryption_enabled.get_or_insert(false);
    }
    Ok(Some(configuration))
}

/// Service Connect's default namespace. An empty name takes it away.
///
/// AWS: a short name makes the namespace in Cloud Map where it is missing; until that service is
/// there, only the ARN of one can be given.
pub fn check_namespace(
    given: Option<api::ClusterServiceConnectDefaultsRequest>,
) -> Result<Option<api::ClusterServiceConnectDefaults>, ApiError> {
    let Some(namespace) = given.and_then(|given| given.namespace) else { return Ok(None) };
    if namespace.is_empty() {
        return Ok(None);
    }
    let arn = Arn::parse(&namespace).ok();
    let good = arn.is_some_and(|arn| {
        arn.service == "servicediscovery" && arn.resource_of("namespace").is_some()
    });
    if !good {
        return Err(errors::namespace_not_found_exception("Namespace not found."));
    }
    Ok(Some(api::ClusterServiceConnectDefaults { namespace: Some(namespace) }))
}

/// Adds the key that Fargate's ephemeral storage would be encrypted with, for policies.
pub fn with_storage_key(demand: Demand, given: Option<&api::ClusterConfiguration>) -> Demand {
    let storage = given.and_then(|given| given.managed_storage_configuration.as_ref());
    match storage.and_then(|storage| storage.fargate_ephemeral_storage_kms_key_id.as_deref()) {
        Some(key) => demand.with("ecs:fargate-ephemeral-storage-kms-key", key),
        None => demand,
    }
}
