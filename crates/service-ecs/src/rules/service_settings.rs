//! What a service may be asked for: defaults, limits, and which settings go together.

use aws_protocol::ApiError;
use core_rollout::threshold;
use model_ecs::{self as api, errors};

use super::strategy::{self, BUILT_IN};
use crate::rows::cluster::Cluster;
use crate::rows::service::{Controller, Propagate, Service};
use crate::rows::task::Launch;

/// AWS: five thousand tasks a service, a quota that can be raised; no further than this.
const MOST_TASKS: i32 = 10_000;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// What is not here yet, said by its name.
fn absent(what: &str) -> ApiError {
    errors::unsupported_feature_exception(format!("{what} is not available here."))
}

pub fn desired_count(given: i32) -> Result<u32, ApiError> {
    match given {
        0..=MOST_TASKS => Ok(given.unsigned_abs()),
        _ => Err(invalid(format!("desiredCount must be between 0 and {MOST_TASKS}."))),
    }
}

pub fn daemon_desired_count() -> ApiError {
    invalid(
        "The daemon scheduling strategy does not support a desired count for services. Remove the \
         desired count value and try again",
    )
}

/// REPLICA or DAEMON: whether it is the latter.
pub fn scheduling(given: Option<&api::SchedulingStrategy>) -> Result<bool, ApiError> {
    match given.map(|given| given.as_str()) {
        None | Some("REPLICA") => Ok(false),
        Some("DAEMON") => Ok(true),
        Some(_) => Err(invalid("schedulingStrategy should be one of [REPLICA, DAEMON]")),
    }
}

pub fn controller(
    given: Option<&api::DeploymentController>,
    daemon: bool,
) -> Result<Controller, ApiError> {
    let kind = given.and_then(|given| given.r#type.as_ref()).map(|kind| kind.as_str());
    let controller = match kind {
        None | Some("ECS") => return Ok(Controller::Ecs),
        Some("EXTERNAL") => Controller::External,
        Some("CODE_DEPLOY") => Controller::CodeDeploy,
        Some(_) => return Err(invalid("type should be one of [ECS, CODE_DEPLOY, EXTERNAL]")),
    };
    match daemon {
        true => Err(invalid(format!(
            "The {} deployment controller type is not supported for services using the DAEMON \
             scheduling strategy.",
            controller.wire().as_str()
        ))),
        false => Ok(controller),
    }
}

pub fn propagate(given: Option<&api::PropagateTags>) -> Result<Propagate, ApiError> {
    match given.map(|from| from.as_str()) {
        None | Some("" | "NONE") => Ok(Propagate::None),
        Some("SERVICE") => Ok(Propagate::Service),
        Some("TASK_DEFINITION") => Ok(Propagate::TaskDefinition),
        Some(_) => Err(invalid("propagateTags should be one of [TASK_DEFINITION,SERVICE,NONE]")),
    }
}

/// How many failures a deployment may have, and whether the breaker minds.
pub fn breaker(row: &Service) -> (bool, u32) {
    let breaker = row.configuration.deployment_circuit_breaker.as_ref();
    let enabled = breaker.is_some_and(|breaker| breaker.enable == Some(true));
    let given = breaker.and_then(|breaker| breaker.threshold_configuration.as_ref());
    let Some(given) = given else { return (enabled, threshold(row.desired_count)) };
    let value = u32::try_from(given.value.unwrap_or_default()).unwrap_or_default();
    let share = u64::from(row.desired_count) * u64::from(value);
    let share = u32::try_from(share.div_ceil(100)).unwrap_or(u32::MAX);
    let most = match given.r#type.as_ref().map(|kind| kind.as_str()) {
        Some("COUNT") => value,
        Some("UNBOUNDED_PERCENT") => share.max(1),
        _ => share.clamp(3, 200),
    };
    (enabled, most)
}

/// AWS: the call's launch type, or its strategy, or the cluster's default strategy, or what is usual.
pub fn capacity(
    cluster: &Cluster,
    usual: Launch,
    launch_type: Option<&api::LaunchType>,
    items: Option<Vec<api::CapacityProviderStrategyItem>>,
    daemon: bool,
) -> Result<(Launch, Vec<api::CapacityProviderStrategyItem>), ApiError> {
    let items = items.unwrap_or_default();
    if launch_type.is_some() && !items.is_empty() {
        return Err(invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. \
             Remove one and try again.",
        ));
    }
    let launch = match launch_type.map(|launch| launch.as_str()) {
        Some("EC2") => Some(Launch::Ec2),
        Some("FARGATE") => Some(Launch::Fargate),
        Some("EXTERNAL") => Some(Launch::External),
        Some(_) => return Err(invalid("launch type should be one of [EC2,FARGATE,EXTERNAL]")),
        None => None,
    };
    if let Some(launch) = launch {
        if daemon && launch == Launch::Fargate {
            return Err(invalid(
                "The daemon scheduling strategy is not supported with the FARGATE launch type.",
            ));
        }
        return Ok((launch, Vec::new()));
    }
    let items = match items.is_empty() {
        true => cluster.default_strategy.clone(),
        false => strategy::check_strategy(&cluster.capacity_providers, items)?,
    };
    if items.is_empty() {
        return Ok((usual, items));
    }
    if daemon {
        return Err(invalid(
            "Specifying a capacity provider strategy is not supported when you create a service \
             using the DAEMON scheduling strategy.",
        ));
    }
    // AWS: of a single provider the weight does not matter.
    if items.len() > 1 && items.iter().all(|item| item.weight.unwrap_or_default() == 0) {
        return Err(invalid(
            "The specified capacity provider strategy must contain at least one capacity provider \
             with a weight greater than 0.",
        ));
    }
    let name = items[0].capacity_provider.as_deref().unwrap_or_default();
    Ok((if BUILT_IN.contains(&name) { Launch::Fargate } else { Launch::Ec2 }, items))
}

/// Fields whose service is not here yet: refused, so that nobody waits for what will not happen.
#[derive(Default)]
pub struct Attached<'a> {
    pub launch_type: Option<&'a api::LaunchType>,
    pub load_balancers: Option<&'a [api::LoadBalancer]>,
    pub registries: Option<&'a [api::ServiceRegistry]>,
    pub connect: Option<&'a api::ServiceConnectConfiguration>,
    pub volumes: Option<&'a [api::ServiceVolumeConfiguration]>,
    pub lattice: Option<&'a [api::VpcLatticeConfiguration]>,
    pub gateways: Option<&'a [api::GatewayConnector]>,
    pub monitoring: Option<&'a api::MonitoringConfiguration>,
}

impl Attached<'_> {
    pub fn check(&self) -> Result<(), ApiError> {
        if let Some(first) = self.load_balancers.and_then(<[_]>::first) {
            return Err(load_balancer(first));
        }
        if let Some(first) = self.registries.and_then(<[_]>::first) {
            if self.launch_type.is_some_and(|launch| launch.as_str() == "EXTERNAL") {
                return Err(invalid(
                    "Service registries are not supported for external launch type.",
                ));
            }
            let arn = first.registry_arn.as_deref().unwrap_or_default();
            return Err(invalid(format!(
                "The service registry {arn} was not found: service discovery is not available here."
            )));
        }
        if self.connect.is_some_and(|connect| connect.enabled == Some(true)) {
            return Err(absent("serviceConnectConfiguration"));
        }
        let some = |given: bool, what: &str| if given { Err(absent(what)) } else { Ok(()) };
        some(self.volumes.is_some_and(|list| !list.is_empty()), "volumeConfigurations")?;
        some(self.lattice.is_some_and(|list| !list.is_empty()), "vpcLatticeConfigurations")?;
        some(self.gateways.is_some_and(|list| !list.is_empty()), "gatewayConnectors")?;
        let metrics = self.monitoring.and_then(|all| all.metric_configurations.as_ref());
        some(metrics.is_some_and(|list| !list.is_empty()), "monitoring")
    }
}

fn load_balancer(given: &api::LoadBalancer) -> ApiError {
    let target = given.target_group_arn.as_deref();
    match (target, given.load_balancer_name.as_deref()) {
        (Some(_), Some(_)) => {
            invalid("loadBalancerName and targetGroupArn cannot both be specified.")
        }
        (None, None) => invalid("Either loadBalancerName or targetGroupArn must be specified."),
        _ if given.container_name.as_deref().unwrap_or_default().is_empty() => {
            invalid("containerName can not be blank.")
        }
        (Some(arn), None) => invalid(format!(
            "The target group {arn} was not found: load balancers are not available here."
        )),
        (None, Some(name)) => invalid(format!(
            "The load balancer {name} was not found: load balancers are not available here."
        )),
    }
}

/// Where tasks may go: what is asked for must suit the kind of service.
pub fn check_placement(
    constraints: &[api::PlacementConstraint],
    strategy: &[api::PlacementStrategy],
    launch: Launch,
    daemon: bool,
) -> Result<(), ApiError> {
    if launch == Launch::Fargate && !constraints.is_empty() {
        return Err(invalid("Placement constraints are not supported with FARGATE launch type."));
    }
    if launch == Launch::Fargate && !strategy.is_empty() {
        return Err(invalid("Placement strategies are not supported with FARGATE launch type."));
    }
    if daemon && !strategy.is_empty() {
        return Err(invalid(
            "The daemon scheduling strategy does not support placement strategies. Remove the \
             placement strategy and try again",
        ));
    }
    let distinct = |one: &api::PlacementConstraint| {
        one.r#type.as_ref().is_some_and(|kind| kind.as_str() == "distinctInstance")
    };
    if daemon && constraints.iter().any(distinct) {
        return Err(invalid(
            "The daemon scheduling strategy does not support the distinctInstance placement \
             constraint. Remove the placement constraint and try again",
        ));
    }
    Ok(())
}

pub fn grace(given: Option<i32>) -> Result<Option<u32>, ApiError> {
    let negative = |_| invalid("healthCheckGracePeriodSeconds cannot be negative.");
    given.map(u32::try_from).transpose().map_err(negative)
}
