//! How capacity providers are named, checked and found.

use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::State;
use core_step::{Call, Demand};
use core_types::{Arn, Scope};
use model_ecs::{self as api, errors};

use super::strategy::{BUILT_IN, provider_name};
use super::tags;
use crate::rows::capacity_provider::CapacityProvider;
use crate::rows::container_instance::PROVIDER;
use crate::views;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// AWS: up to 255 letters, digits, hyphens and underscores, and no name of AWS's own.
pub fn check_name(name: &str) -> Result<(), ApiError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let lower = name.to_ascii_lowercase();
    let reserved = ["aws", "ecs", "fargate"].iter().any(|prefix| lower.starts_with(prefix));
    if name.is_empty() || name.len() > 255 || !name.bytes().all(good) || reserved {
        return Err(invalid(
            "The specified capacity provider name is invalid. Up to 255 characters are allowed, \
             including letters (upper and lowercase), numbers, underscores (_), and hyphens (-). \
             The name cannot be prefixed with \"aws\", \"ecs\", or \"fargate\". Specify a valid \
             name and try again.",
        ));
    }
    Ok(())
}

/// The capacity provider that a machine is of, by one of these attributes of its.
pub fn of_machine(attributes: &[api::Attribute]) -> Result<Option<Arc<str>>, ApiError> {
    let mut all = attributes.iter();
    let Some(one) = all.find(|one| one.name.as_deref() == Some(PROVIDER)) else { return Ok(None) };
    let name = provider_name(one.value.as_deref().unwrap_or_default());
    check_name(name)?;
    Ok(Some(name.into()))
}

/// The permission for an action on a provider.
pub fn demand(state: &State, call: &Call, action: &'static str, given: &str) -> Demand {
    let key = (call.scope(), provider_name(given).into());
    let row = state.get::<CapacityProvider>(&key);
    let there = row.map(|row| row.tags.as_slice()).unwrap_or_default();
    Demand::on(action, views::provider_arn(call.scope(), given)).resource_tags(tags::pairs(there))
}

/// What policies may say of the tags that a provider's instances get.
pub fn with_propagation(
    mut demand: Demand,
    propagate: Option<&api::PropagateMITags>,
    to_instances: Option<bool>,
) -> Demand {
    if let Some(from) = propagate {
        demand = demand.with("ecs:propagate-tags", from.as_str());
    }
    if let Some(to_instances) = to_instances {
        let key = "ecs:instance-metadata-tags-propagation";
        demand = demand.with(key, to_instances.to_string());
    }
    demand
}

/// AWS: whoever lets ECS manage instances must be allowed to hand it the role for that.
pub fn pass_role(arn: Option<&str>) -> Demand {
    let arn = arn.unwrap_or_default();
    Demand::on("iam:PassRole", arn).with("iam:PassedToService", "ecs.amazonaws.com")
}

/// A provider of the account's own that stands.
pub fn find<'s>(
    state: &'s State,
    scope: Scope,
    given: &str,
) -> Result<&'s CapacityProvider, ApiError> {
    let name = provider_name(given);
    if BUILT_IN.contains(&name) {
        return Err(errors::client_exception(
            "The specified capacity provider is managed by AWS and cannot be changed or deleted.",
        ));
    }
    let row = state.get::<CapacityProvider>(&(scope, name.into())).filter(|row| row.active);
    row.ok_or_else(|| {
        errors::client_exception(
            "The specified capacity provider does not exist. Specify a valid name or ARN and try \
             again.",
        )
    })
}

/// A provider over an Auto Scaling group, with AWS's defaults.
pub fn group_provider(
    mut given: api::AutoScalingGroupProvider,
) -> Result<api::AutoScalingGroupProvider, ApiError> {
    let group = given.auto_scaling_group_arn.as_deref().unwrap_or_default();
    let arn = Arn::parse(group);
    let good = match arn {
        Ok(arn) => arn.service == "autoscaling" && arn.resource.starts_with("autoScalingGroup:"),
        // AWS: a group's name is taken too.
        Err(_) => !group.is_empty() && group.len() <= 255 && !group.starts_with("arn:"),
    };
    if !good {
        return Err(invalid(
            "The specified Auto Scaling group ARN is invalid. Specify a valid ARN and try again.",
        ));
    }
    given.managed_scaling = Some(scaling(given.managed_scaling.unwrap_or_default(), None)?);
    given.managed_termination_protection.get_or_insert(api::ManagedTerminationProtection::DISABLED);
    given.managed_draining.get_or_insert(api::ManagedDraining::ENABLED);
    check_group(&given)?;
    Ok(given)
}

/// What an update makes of it: what is not given stays.
pub fn updated_group(
    mut there: api::AutoScalingGroupProvider,
    given: api::AutoScalingGroupProviderUpdate,
) -> Result<api::AutoScalingGroupProvider, ApiError> {
    if let Some(new) = given.managed_scaling {
        there.managed_scaling = Some(scaling(new, there.managed_scaling.as_ref())?);
    }
    let protection = given.managed_termination_protection;
    there.managed_termination_protection = protection.or(there.managed_termination_protection);
    there.managed_draining = given.managed_draining.or(there.managed_draining);
    check_group(&there)?;
    Ok(there)
}

fn scaling(
    given: api::ManagedScaling,
    there: Option<&api::ManagedScaling>,
) -> Result<api::ManagedScaling, ApiError> {
    let there = there.cloned().unwrap_or_default();
    let fill = |given: Option<i32>, there: Option<i32>, default| given.or(there).or(Some(default));
    // AWS: scaling that is asked for by its settings alone stays off.
    let status = given.status.or(there.status).unwrap_or(api::ManagedScalingStatus::DISABLED);
    let made = api::ManagedScaling {
        status: Some(status),
        target_capacity: fill(given.target_capacity, there.target_capacity, 100),
        minimum_scaling_step_size: fill(
            given.minimum_scaling_step_size,
            there.minimum_scaling_step_size,
            1,
        ),
        maximum_scaling_step_size: fill(
            given.maximum_scaling_step_size,
            there.maximum_scaling_step_size,
            10_000,
        ),
        instance_warmup_period: fill(
            given.instance_warmup_period,
            there.instance_warmup_period,
            300,
        ),
    };
    let steps = (made.minimum_scaling_step_size, made.maximum_scaling_step_size);
    let (Some(low), Some(high)) = steps else { unreachable!("both were filled in") };
    if !(1..=10_000).contains(&low) || !(1..=10_000).contains(&high) || low > high {
        return Err(invalid("The minimum or maximum scaling step size value is invalid."));
    }
    if !made.target_capacity.is_some_and(|target| (1..=100).contains(&target)) {
        return Err(invalid(
            "The target capacity value is invalid. It must be greater than 0 and less than or \
             equal to 100.",
        ));
    }
    if !made.instance_warmup_period.is_some_and(|period| (0..=10_000).contains(&period)) {
        return Err(invalid("The instance warmup period must be between 0 and 10000."));
    }
    Ok(made)
}

fn check_group(provider: &api::AutoScalingGroupProvider) -> Result<(), ApiError> {
    let scaling = provider.managed_scaling.as_ref().and_then(|scaling| scaling.status.as_ref());
    let scaling = scaling.map(|status| status.as_str());
    let protection = provider.managed_termination_protection.as_ref().map(|value| value.as_str());
    let draining = provider.managed_draining.as_ref().map(|value| value.as_str());
    for (what, value) in [
        ("managedScaling.status", scaling),
        ("managedTerminationProtection", protection),
        ("managedDraining", draining),
    ] {
        if !matches!(value, Some("ENABLED" | "DISABLED")) {
            return Err(invalid(format!("{what} should be one of [ENABLED, DISABLED]")));
        }
    }
    if protection == Some("ENABLED") && scaling != Some("ENABLED") {
        return Err(invalid(
            "The managed termination protection setting for the capacity provider is invalid. To \
             enable managed termination protection for a capacity provider, managed scaling must \
             be enabled.",
        ));
    }
    Ok(())
}

fn is_iam(arn: Option<&str>, kind: &str) -> bool {
    let arn = arn.and_then(|text| Arn::parse(text).ok());
    arn.is_some_and(|arn| arn.service == "iam" && arn.resource_of(kind).is_some())
}

/// A provider of managed instances, checked for what it cannot do without.
pub fn managed_provider(
    given: api::CreateManagedInstancesProviderConfiguration,
) -> Result<api::ManagedInstancesProvider, ApiError> {
    if !is_iam(given.infrastructure_role_arn.as_deref(), "role") {
        return Err(invalid("The specified infrastructure role ARN is invalid."));
    }
    let mut template = given.instance_launch_template.unwrap_or_default();
    if !is_iam(template.ec2_instance_profile_arn.as_deref(), "instance-profile") {
        return Err(invalid("The specified EC2 instance profile ARN is invalid."));
    }
    let network = template.network_configuration.clone().unwrap_or_default();
    if network.subnets.unwrap_or_default().is_empty() {
        return Err(invalid("At least one subnet must be specified in networkConfiguration."));
    }
    template.capacity_option_type.get_or_insert(api::CapacityOptionType::ON_DEMAND);
    let after = given.infrastructure_optimization.as_ref().and_then(|o| o.scale_in_after);
    if after.is_some_and(|seconds| !(-1..=3600).contains(&seconds)) {
        return Err(invalid("scaleInAfter must be between -1 and 3600."));
    }
    Ok(api::ManagedInstancesProvider {
        infrastructure_role_arn: given.infrastructure_role_arn,
        instance_launch_template: Some(template),
        infrastructure_optimization: given.infrastructure_optimization,
        auto_repair_configuration: given.auto_repair_configuration,
        propagate_tags: Some(given.propagate_tags.unwrap_or(api::PropagateMITags::NONE)),
    })
}

/// What an update makes of it: members that are not given stay.
pub fn updated_managed(
    there: api::ManagedInstancesProvider,
    given: api::UpdateManagedInstancesProviderConfiguration,
) -> Result<api::ManagedInstancesProvider, ApiError> {
    let old = there.instance_launch_template.unwrap_or_default();
    let new = given.instance_launch_template.unwrap_or_default();
    let template = api::InstanceLaunchTemplate {
        ec2_instance_profile_arn: new.ec2_instance_profile_arn.or(old.ec2_instance_profile_arn),
        network_configuration: new.network_configuration.or(old.network_configuration),
        storage_configuration: new.storage_configuration.or(old.storage_configuration),
        local_storage_configuration: new
            .local_storage_configuration
            .or(old.local_storage_configuration),
        monitoring: new.monitoring.or(old.monitoring),
        instance_requirements: new.instance_requirements.or(old.instance_requirements),
        capacity_reservations: new.capacity_reservations.or(old.capacity_reservations),
        instance_metadata_tags_propagation: new
            .instance_metadata_tags_propagation
            .or(old.instance_metadata_tags_propagation),
        ..old
    };
    let optimization = given.infrastructure_optimization;
    let repair = given.auto_repair_configuration;
    managed_provider(api::CreateManagedInstancesProviderConfiguration {
        infrastructure_role_arn: given.infrastructure_role_arn.or(there.infrastructure_role_arn),
        instance_launch_template: Some(template),
        infrastructure_optimization: optimization.or(there.infrastructure_optimization),
        auto_repair_configuration: repair.or(there.auto_repair_configuration),
        propagate_tags: given.propagate_tags.or(there.propagate_tags),
    })
}
