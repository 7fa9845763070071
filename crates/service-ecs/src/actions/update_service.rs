//! UpdateService: some fields change at once, others begin a new deployment.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use super::create_service::{check_parses, with_definition, with_settings};
use crate::rows::cluster::Cluster;
use crate::rows::service::{Controller, Service};
use crate::rows::service_history::ServiceRevision;
use crate::rows::task::Launch;
use crate::rows::task_definition::TaskDefinition;
use crate::rules::service_settings::{self as settings, Attached};
use crate::rules::{
    balance, clusters, controllers, deployment_settings, deployments, interfaces, launch, services,
};
use crate::views;

pub struct UpdateService;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

impl WriteAction for UpdateService {
    type Op = api::ops::UpdateService;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let (cluster, service) = (input.cluster.as_deref(), input.service.as_deref());
        let mut demand = services::demand(view, call, "ecs:UpdateService", cluster, service);
        if let Some(definition) = input.task_definition.as_deref() {
            demand = with_definition(demand, view, call, definition);
        }
        with_settings(
            demand,
            call,
            input.enable_execute_command,
            input.capacity_provider_strategy.as_deref(),
            input.service_connect_configuration.as_ref(),
            input.volume_configurations.as_deref(),
        )
        .into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(tx, call, input.cluster.as_deref())?.clone();
        let row = services::find_active(tx, call, &cluster.key, input.service.as_deref())?;
        let mut row = row.clone();
        controllers::update(tx, &mut row, &input)?;
        attached(&input).check()?;
        change(&mut row, &input)?;
        if row.controller == Controller::Ecs {
            roll(call, tx, &cluster, &mut row, &input)?;
        }
        let key = row.key.clone();
        tx.put(row);
        let row = tx.get::<Service>(&key).expect("it was just put");
        Ok(api::UpdateServiceResponse { service: Some(views::service(tx, row, true)) })
    }
}

fn attached(input: &api::UpdateServiceRequest) -> Attached<'_> {
    Attached {
        // AWS: it is said once, when the service is created.
        launch_type: None,
        load_balancers: input.load_balancers.as_deref(),
        registries: input.service_registries.as_deref(),
        connect: input.service_connect_configuration.as_ref(),
        volumes: input.volume_configurations.as_deref(),
        lattice: input.vpc_lattice_configurations.as_deref(),
        gateways: input.gateway_connectors.as_deref(),
        monitoring: input.monitoring.as_ref(),
    }
}

/// What changes at once, without a deployment.
fn change(row: &mut Service, input: &api::UpdateServiceRequest) -> Result<(), ApiError> {
    match input.desired_count {
        Some(_) if row.daemon => return Err(settings::daemon_desired_count()),
        Some(count) => {
            let before = row.desired_count;
            row.desired_count = settings::desired_count(count)?;
            deployments::grow(row, before);
        }
        None => {}
    }
    if let Some(given) = &input.deployment_configuration {
        let merged = deployment_settings::merged(&row.configuration, given);
        row.configuration =
            deployment_settings::configuration(Some(merged), row.daemon, row.controller)?;
    }
    if input.health_check_grace_period_seconds.is_some() {
        row.grace_seconds = settings::grace(input.health_check_grace_period_seconds)?;
    }
    if let Some(enabled) = input.enable_execute_command {
        row.exec_enabled = enabled;
    }
    if let Some(enabled) = input.enable_ecs_managed_tags {
        row.managed_tags = enabled;
    }
    if input.propagate_tags.is_some() {
        row.propagate = settings::propagate(input.propagate_tags.as_ref())?;
    }
    // AWS: an empty list takes away what there was.
    if let Some(given) = &input.placement_constraints {
        row.constraints = given.clone();
    }
    if let Some(given) = &input.placement_strategy {
        // AWS: an empty object does so, too.
        let nothing = api::PlacementStrategy::default();
        row.strategy = given.iter().filter(|one| **one != nothing).cloned().collect();
    }
    let given = input.availability_zone_rebalancing.as_ref();
    row.rebalancing = balance::wanted(row, given, row.rebalancing)?;
    Ok(())
}

/// Begin a deployment where one is asked for, or where what tasks are made of has changed.
fn roll(
    call: &Call,
    tx: &mut Tx<'_>,
    cluster: &Cluster,
    row: &mut Service,
    input: &api::UpdateServiceRequest,
) -> Result<(), ApiError> {
    let old = deployments::revision_of(tx, row).expect("a rolled service has a revision").clone();
    let new = revision(call, tx, cluster, row, &old, input)?;
    settings::check_placement(&row.constraints, &row.strategy, new.launch, row.daemon)?;
    check_parses(tx, &row.constraints, &row.strategy, Some(&new))?;
    let revision = match (new.is_like(&old), input.force_new_deployment == Some(true)) {
        (true, false) => return Ok(()),
        _ => {
            let number = deployments::number(tx.dice);
            let key = (row.key.clone(), number);
            tx.put(ServiceRevision { key, ..new.clone() });
            number
        }
    };
    row.launch = new.launch;
    deployments::begin(tx, row, revision);
    Ok(())
}

type Capacity = (Launch, Vec<api::CapacityProviderStrategyItem>);

/// AWS: an empty strategy goes back to the launch type with which the service was created; where it
/// had none, to the cluster's strategy.
fn capacity(
    cluster: &Cluster,
    row: &Service,
    old: &ServiceRevision,
    items: &[api::CapacityProviderStrategyItem],
) -> Result<Capacity, ApiError> {
    match row.launch_type {
        _ if items.is_empty() && old.providers.is_empty() => Ok((old.launch, Vec::new())),
        Some(launch) if items.is_empty() => Ok((launch, Vec::new())),
        None if items.is_empty() && cluster.default_strategy.is_empty() => Err(invalid(
            "No launch type to fall back to for empty capacity provider strategy. Your service was \
             not created with a launch type.",
        )),
        _ => settings::capacity(cluster, old.launch, None, Some(items.to_vec()), row.daemon),
    }
}

/// The old revision with what is given in its place.
fn revision(
    call: &Call,
    tx: &Tx<'_>,
    cluster: &Cluster,
    row: &Service,
    old: &ServiceRevision,
    input: &api::UpdateServiceRequest,
) -> Result<ServiceRevision, ApiError> {
    // AWS: a new deployment resolves the images' names anew.
    let mut new = old.anew(old.key.clone(), tx.now());
    if input.task_definition.is_some() {
        let found = launch::find_definition(tx, call, input.task_definition.as_deref())?;
        (new.family, new.revision) = (found.key.1.clone(), found.key.2);
    }
    if let Some(items) = &input.capacity_provider_strategy {
        (new.launch, new.providers) = capacity(cluster, row, old, items)?;
        let other = (new.launch, &new.providers) != (old.launch, &old.providers);
        if other && input.force_new_deployment != Some(true) {
            return Err(invalid(
                "When switching from launch type to capacity provider strategy on an existing \
                 service, or making a change to a capacity provider strategy on a service that is \
                 already using one, you must force a new deployment.",
            ));
        }
    }
    if input.network_configuration.is_some() {
        new.network = launch::network(input.network_configuration.clone());
        launch::check_network(new.network.as_ref(), new.launch)?;
    }
    if input.platform_version.is_some() {
        new.platform_version = input.platform_version.clone();
        launch::check_platform(new.platform_version.as_deref(), new.launch)?;
    }
    if input.service_connect_configuration.is_some() {
        new.connect = input.service_connect_configuration.clone();
    }
    let key = (row.key.0.0, new.family.clone(), new.revision);
    let definition = tx.get::<TaskDefinition>(&key);
    let definition = definition.ok_or_else(|| invalid("TaskDefinition not found."))?;
    launch::check_compatible(&definition.definition, new.launch)?;
    if input.task_definition.is_some() || input.network_configuration.is_some() {
        interfaces::check(tx, cluster.key.0, &definition.definition, new.network.as_ref())?;
    }
    Ok(new)
}
