//! What a deployment may be asked to be: defaults, limits, and which settings go together.

use aws_protocol::ApiError;
use model_ecs::{self as api, errors};

use super::shifts::{CANARY, LINEAR};
use super::{alarms, early, hooks};
use crate::rows::service::Controller;

/// AWS: no wait of a deployment's is longer than a day.
const LONGEST_BAKE: i32 = 24 * 60;
const MOST_FAILURES: i32 = 10_000;
/// AWS: a breaker opens when half of the desired count has failed.
const USUAL_THRESHOLD: i32 = 50;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

fn strategy_of(all: &api::DeploymentConfiguration) -> &str {
    all.strategy.as_ref().map_or("ROLLING", |strategy| strategy.as_str())
}

/// A configuration with AWS's defaults in it.
pub fn configuration(
    given: Option<api::DeploymentConfiguration>,
    daemon: bool,
    controller: Controller,
) -> Result<api::DeploymentConfiguration, ApiError> {
    let mut all = given.unwrap_or_default();
    let (minimum, maximum) = if daemon { (0, 100) } else { (100, 200) };
    all.minimum_healthy_percent.get_or_insert(minimum);
    all.maximum_percent.get_or_insert(maximum);
    all.strategy.get_or_insert(api::DeploymentStrategy::ROLLING);
    all.bake_time_in_minutes.get_or_insert(0);
    let breaker = all.deployment_circuit_breaker.get_or_insert_default();
    breaker.enable.get_or_insert(false);
    breaker.rollback.get_or_insert(false);
    breaker.reset_on_healthy_task.get_or_insert(true);
    let threshold = breaker.threshold_configuration.get_or_insert_default();
    threshold.r#type.get_or_insert(api::ThresholdType::BOUNDED_PERCENT);
    threshold.value.get_or_insert(USUAL_THRESHOLD);
    match strategy_of(&all) {
        "CANARY" => {
            let canary = all.canary_configuration.get_or_insert_default();
            canary.canary_percent.get_or_insert(CANARY.0);
            canary.canary_bake_time_in_minutes.get_or_insert(CANARY.1);
        }
        "LINEAR" => {
            let linear = all.linear_configuration.get_or_insert_default();
            linear.step_percent.get_or_insert(LINEAR.0);
            linear.step_bake_time_in_minutes.get_or_insert(LINEAR.1);
        }
        _ => {}
    }
    check(&all, daemon, controller)?;
    Ok(all)
}

/// What is not given stays; what is of another strategy alone does not.
pub fn merged(
    old: &api::DeploymentConfiguration,
    new: &api::DeploymentConfiguration,
) -> api::DeploymentConfiguration {
    let mut all = new.clone();
    all.minimum_healthy_percent = all.minimum_healthy_percent.or(old.minimum_healthy_percent);
    all.maximum_percent = all.maximum_percent.or(old.maximum_percent);
    all.strategy = all.strategy.or_else(|| old.strategy.clone());
    let breaker = old.deployment_circuit_breaker.clone();
    all.deployment_circuit_breaker = match (all.deployment_circuit_breaker, breaker) {
        // AWS: so do the members of a breaker that is given.
        (Some(new), Some(old)) => Some(api::DeploymentCircuitBreaker {
            reset_on_healthy_task: new.reset_on_healthy_task.or(old.reset_on_healthy_task),
            threshold_configuration: new.threshold_configuration.or(old.threshold_configuration),
            ..new
        }),
        (new, old) => new.or(old),
    };
    all.alarms = all.alarms.or_else(|| old.alarms.clone());
    all.bake_time_in_minutes = all.bake_time_in_minutes.or(old.bake_time_in_minutes);
    all.lifecycle_hooks = all.lifecycle_hooks.or_else(|| old.lifecycle_hooks.clone());
    if strategy_of(&all) == strategy_of(old) {
        let (canary, linear) = (&old.canary_configuration, &old.linear_configuration);
        all.canary_configuration = all.canary_configuration.or_else(|| canary.clone());
        all.linear_configuration = all.linear_configuration.or_else(|| linear.clone());
        let early = &old.early_success_criteria;
        all.early_success_criteria = all.early_success_criteria.or_else(|| early.clone());
    }
    all
}

fn check(
    all: &api::DeploymentConfiguration,
    daemon: bool,
    controller: Controller,
) -> Result<(), ApiError> {
    check_bounds(all, daemon)?;
    let strategy = strategy_of(all);
    if !api::DeploymentStrategy::VALUES.contains(&strategy) {
        return Err(invalid("strategy should be one of [ROLLING,BLUE_GREEN,LINEAR,CANARY]"));
    }
    if strategy != "ROLLING" && daemon {
        return Err(invalid(format!(
            "The {strategy} deployment strategy is not supported for services using the DAEMON \
             scheduling strategy."
        )));
    }
    if controller != Controller::Ecs {
        check_other_controller(all, strategy)?;
    }
    check_shift(all, strategy)?;
    bake("bakeTimeInMinutes", all.bake_time_in_minutes)?;
    let hooks = all.lifecycle_hooks.as_deref().unwrap_or_default();
    hooks::check(hooks)?;
    alarms::check(all.alarms.as_ref())?;
    if daemon && !hooks.is_empty() {
        return Err(errors::unsupported_feature_exception(
            "deploymentConfiguration.lifecycleHooks with the DAEMON scheduling strategy is not \
             available here.",
        ));
    }
    early::check(all, strategy, controller)?;
    check_threshold(all)
}

fn check_bounds(all: &api::DeploymentConfiguration, daemon: bool) -> Result<(), ApiError> {
    let minimum = all.minimum_healthy_percent.unwrap_or_default();
    let maximum = all.maximum_percent.unwrap_or_default();
    if daemon && maximum > 100 {
        return Err(invalid(
            "The daemon scheduling strategy does not support values above 100 for maximumPercent \
             on a deployment configuration. Change the maximumPercent value to 100, and try again",
        ));
    }
    if !(0..=100).contains(&minimum) {
        return Err(invalid("minimumHealthyPercent must be between 0 and 100."));
    }
    if !(100..=100_000).contains(&maximum) {
        return Err(invalid("maximumPercent must be at least 100."));
    }
    if minimum == 100 && maximum == 100 {
        return Err(invalid(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block \
             deployments.",
        ));
    }
    Ok(())
}

/// AWS: task sets are deployed by whoever makes them.
fn check_other_controller(
    all: &api::DeploymentConfiguration,
    strategy: &str,
) -> Result<(), ApiError> {
    let only = |what: &str| {
        Err(invalid(format!(
            "{what} only supported with ECS deployment controller. Update to ECS deployment \
             controller and try again."
        )))
    };
    if strategy != "ROLLING" {
        return only(&format!("The {strategy} deployment strategy is"));
    }
    if all.alarms.as_ref().is_some_and(|alarms| alarms.enable == Some(true)) {
        return only("Alarm based rollback feature is");
    }
    // Task sets go through no stages: nobody would call a hook, and nothing would bake.
    if all.lifecycle_hooks.as_ref().is_some_and(|hooks| !hooks.is_empty()) {
        return only("Deployment lifecycle hooks are");
    }
    if all.bake_time_in_minutes.is_some_and(|minutes| minutes > 0) {
        return only("Bake time is");
    }
    let breaker = all.deployment_circuit_breaker.as_ref();
    match breaker.is_some_and(|breaker| breaker.enable == Some(true)) {
        true => only("Deployment circuit breaker feature is"),
        false => Ok(()),
    }
}

fn check_shift(all: &api::DeploymentConfiguration, strategy: &str) -> Result<(), ApiError> {
    if all.canary_configuration.is_some() && strategy != "CANARY" {
        return Err(invalid(format!(
            "canaryConfiguration is not valid for the {strategy} strategy."
        )));
    }
    if all.linear_configuration.is_some() && strategy != "LINEAR" {
        return Err(invalid(format!(
            "linearConfiguration is not valid for the {strategy} strategy."
        )));
    }
    if let Some(canary) = &all.canary_configuration {
        percent("canaryPercent", canary.canary_percent, 0.1)?;
        bake("canaryBakeTimeInMinutes", canary.canary_bake_time_in_minutes)?;
    }
    if let Some(linear) = &all.linear_configuration {
        percent("stepPercent", linear.step_percent, 3.0)?;
        bake("stepBakeTimeInMinutes", linear.step_bake_time_in_minutes)?;
    }
    Ok(())
}

/// AWS: multiples of 0.1.
fn percent(what: &str, given: Option<f64>, least: f64) -> Result<(), ApiError> {
    let value = given.unwrap_or(100.0);
    let tenths = value * 10.0;
    let whole = (tenths - tenths.round()).abs() < 1e-6;
    match (least..=100.0).contains(&value) && whole {
        true => Ok(()),
        false => {
            Err(invalid(format!("{what} must be a multiple of 0.1 between {least:.1} and 100.0.")))
        }
    }
}

fn bake(what: &str, minutes: Option<i32>) -> Result<(), ApiError> {
    match (0..=LONGEST_BAKE).contains(&minutes.unwrap_or_default()) {
        true => Ok(()),
        false => Err(invalid(format!("{what} must be between 0 and {LONGEST_BAKE}."))),
    }
}

fn check_threshold(all: &api::DeploymentConfiguration) -> Result<(), ApiError> {
    let breaker = all.deployment_circuit_breaker.as_ref();
    let Some(given) = breaker.and_then(|breaker| breaker.threshold_configuration.as_ref()) else {
        return Ok(());
    };
    let value = given.value.unwrap_or_default();
    let most = match given.r#type.as_ref().map(|kind| kind.as_str()) {
        Some("COUNT") => MOST_FAILURES,
        Some("BOUNDED_PERCENT" | "UNBOUNDED_PERCENT") => 100,
        _ => {
            return Err(invalid("type should be one of [COUNT,BOUNDED_PERCENT,UNBOUNDED_PERCENT]"));
        }
    };
    match (1..=most).contains(&value) {
        true => Ok(()),
        false => Err(invalid(format!("The threshold's value must be between 1 and {most}."))),
    }
}
