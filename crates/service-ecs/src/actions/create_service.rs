//! CreateService: what is wanted is written down; the loop brings it about.

use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::{State, Tx};
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use super::run_task::usual_launch;
use crate::rows::cluster::Cluster;
use crate::rows::service::{Controller, Service, ServiceKey, ServiceStatus};
use crate::rows::service_history::ServiceRevision;
use crate::rows::task::Launch;
use crate::rows::task_definition::TaskDefinition;
use crate::rows::task_set::TaskSet;
use crate::rules::service_settings::{self as settings, Attached};
use crate::rules::{balance, strategy, task_definition, task_definitions};
use crate::rules::{
    clusters, controllers, deployment_settings, deployments, interfaces, launch, placing, services,
    tags, task_sets,
};
use crate::views;

pub struct CreateService;

const LONGEST_TOKEN: usize = 36;
/// AWS: five thousand services a cluster.
const MOST_SERVICES: usize = 5000;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

impl WriteAction for CreateService {
    type Op = api::ops::CreateService;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let cluster = input.cluster.as_deref();
        let name = input.service_name.as_deref();
        let given = input.tags.as_deref();
        let mut demand = services::demand(view, call, "ecs:CreateService", cluster, name)
            .request_tags(tags::pairs(given.unwrap_or_default()));
        if let Some(definition) = input.task_definition.as_deref() {
            demand = with_definition(demand, view, call, definition);
        }
        demand = with_settings(
            demand,
            call,
            input.enable_execute_command,
            input.capacity_provider_strategy.as_deref(),
            input.service_connect_configuration.as_ref(),
            input.volume_configurations.as_deref(),
        );
        let mut demands = vec![demand];
        let key = clusters::key_of(call, cluster);
        let arn = services::told_arn(&key, name.unwrap_or_default());
        demands.extend(tags::demand_on_create(view, call, "CreateService", arn, given));
        if let Ok(Some(role)) = task_definition::role_arn(input.role.clone(), call.account()) {
            let pass = Demand::on("iam:PassRole", role);
            demands.push(pass.with("iam:PassedToService", "ecs.amazonaws.com"));
        }
        demands.into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let name = input.service_name.as_deref().unwrap_or_default();
        services::check_name(name)?;
        let token = input.client_token.as_deref().filter(|token| !token.is_empty());
        let printable = |b: u8| (33..=126).contains(&b);
        if token.is_some_and(|token| token.len() > LONGEST_TOKEN || !token.bytes().all(printable)) {
            return Err(invalid("clientToken cannot be longer than 36 characters."));
        }
        let cluster = clusters::find_cluster(tx, call, input.cluster.as_deref())?.clone();
        let key: ServiceKey = (cluster.key.clone(), name.into());
        let token: Option<(Arc<str>, u64)> =
            token.map(|token| (token.into(), launch::fingerprint(&input)));
        if let Some(there) = tx.get::<Service>(&key) {
            check_again(there, token.as_ref())?;
            if there.status == ServiceStatus::Active {
                return Ok(answer(tx, &key));
            }
            services::forget(tx, &key);
        }
        let mut there = tx.by::<crate::rows::service::ServicesIn>(&cluster.key);
        if there.nth(MOST_SERVICES - 1).is_some() {
            return Err(errors::limit_exceeded_exception("Too many services in the cluster."));
        }
        drop(there);
        let (mut row, revision) = checked(call, tx, &cluster, key.clone(), &input)?;
        row.client_token = token;
        if let Some(mut revision) = revision {
            let number = deployments::number(tx.dice);
            revision.key.1 = number;
            // AWS: CodeDeploy finds a first task set, with all of the service's tasks.
            if row.controller.has_task_sets() {
                let set = task_sets::begun(tx, &revision, controllers::WHOLE);
                tx.put(TaskSet { primary: true, ..set });
            } else {
                deployments::begin(tx, &mut row, number);
            }
            tx.put(revision);
        }
        tx.put(row);
        Ok(answer(tx, &key))
    }
}

/// AWS: only the same call again, under its token, is the same service.
fn check_again(there: &Service, token: Option<&(Arc<str>, u64)>) -> Result<(), ApiError> {
    match there.status {
        ServiceStatus::Inactive => Ok(()),
        ServiceStatus::Draining => {
            Err(invalid("Unable to Start a service that is still Draining."))
        }
        ServiceStatus::Active if token.is_some() && there.client_token.as_ref() == token => Ok(()),
        ServiceStatus::Active => Err(invalid("Creation of service was not idempotent.")),
    }
}

fn answer(tx: &Tx<'_>, key: &ServiceKey) -> api::CreateServiceResponse {
    let row = tx.get::<Service>(key).expect("it was there or was put");
    api::CreateServiceResponse { service: Some(views::service(tx, row, true)) }
}

/// The service as it is to be, with everything checked that does not depend on the places.
fn checked(
    call: &Call,
    tx: &Tx<'_>,
    cluster: &Cluster,
    key: ServiceKey,
    input: &api::CreateServiceRequest,
) -> Result<(Service, Option<ServiceRevision>), ApiError> {
    let daemon = settings::scheduling(input.scheduling_strategy.as_ref())?;
    let controller = settings::controller(input.deployment_controller.as_ref(), daemon)?;
    let desired_count = desired_count(input.desired_count, daemon, controller)?;
    controllers::check_connect(controller, true, input.service_connect_configuration.as_ref())?;
    if controller == Controller::External {
        check_external(input)?;
    }
    attached(input).check()?;
    let given = input.deployment_configuration.clone();
    let configuration = deployment_settings::configuration(given, daemon, controller)?;
    let tags = input.tags.clone().unwrap_or_default();
    tags::check_tags(&tags)?;
    let revision = match controller {
        Controller::Ecs | Controller::CodeDeploy => {
            Some(revision(call, tx, cluster, &key, input, daemon)?)
        }
        Controller::External => None,
    };
    check_role(tx, input, revision.as_ref())?;
    let launch = revision.as_ref().map_or(Launch::Ec2, |revision| revision.launch);
    let (constraints, strategy) = placement(tx, input, revision.as_ref(), launch, daemon)?;
    let mut row = Service {
        key,
        status: ServiceStatus::Active,
        daemon,
        controller,
        desired_count,
        created_at: tx.now(),
        created_by: call.caller.arn.clone(),
        role_arn: task_definition::role_arn(input.role.clone(), call.account())?,
        configuration,
        constraints,
        strategy,
        grace_seconds: settings::grace(input.health_check_grace_period_seconds)?,
        managed_tags: input.enable_ecs_managed_tags.unwrap_or_default(),
        exec_enabled: input.enable_execute_command.unwrap_or_default(),
        propagate: settings::propagate(input.propagate_tags.as_ref())?,
        rebalancing: false,
        uneven: false,
        extra: 0,
        tags,
        client_token: None,
        deployments: Vec::new(),
        launch,
        launch_type: revision.as_ref().filter(|one| one.providers.is_empty()).map(|_| launch),
        next_event: 0,
        waiting: false,
        told: None,
        steady_at: None,
        batch_at: None,
        look_at: None,
        forget_at: None,
    };
    // AWS: where it can be, it is, unless it was asked not to be.
    row.rebalancing = balance::wanted(&row, input.availability_zone_rebalancing.as_ref(), true)?;
    Ok((row, revision))
}

fn desired_count(
    given: Option<i32>,
    daemon: bool,
    controller: Controller,
) -> Result<u32, ApiError> {
    match (given, daemon, controller) {
        (Some(_), true, _) => Err(settings::daemon_desired_count()),
        (None, true, _) | (None, _, Controller::External) => Ok(0),
        (Some(count), ..) => settings::desired_count(count),
        (None, ..) => Err(invalid("desiredCount is required for the REPLICA scheduling strategy.")),
    }
}

fn attached(input: &api::CreateServiceRequest) -> Attached<'_> {
    Attached {
        launch_type: input.launch_type.as_ref(),
        load_balancers: input.load_balancers.as_deref(),
        registries: input.service_registries.as_deref(),
        connect: input.service_connect_configuration.as_ref(),
        volumes: input.volume_configurations.as_deref(),
        lattice: input.vpc_lattice_configurations.as_deref(),
        gateways: input.gateway_connectors.as_deref(),
        monitoring: input.monitoring.as_ref(),
    }
}

/// AWS: what a task set says cannot be said of its service.
fn check_external(input: &api::CreateServiceRequest) -> Result<(), ApiError> {
    let given = [
        ("taskDefinition", input.task_definition.is_some()),
        ("launchType", input.launch_type.is_some()),
        ("capacityProviderStrategy", input.capacity_provider_strategy.is_some()),
        ("networkConfiguration", input.network_configuration.is_some()),
        ("platformVersion", input.platform_version.is_some()),
    ];
    if input.load_balancers.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(invalid("LoadBalancers must be empty or null."));
    }
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((what, _)) => Err(invalid(format!(
            "{what} cannot be specified for a service with the EXTERNAL deployment controller."
        ))),
    }
}

fn revision(
    call: &Call,
    tx: &Tx<'_>,
    cluster: &Cluster,
    key: &ServiceKey,
    input: &api::CreateServiceRequest,
    daemon: bool,
) -> Result<ServiceRevision, ApiError> {
    let definition = launch::find_definition(tx, call, input.task_definition.as_deref())?;
    let items = input.capacity_provider_strategy.clone();
    let usual = usual_launch(tx, &cluster.key);
    let (launch, providers) =
        settings::capacity(cluster, usual, input.launch_type.as_ref(), items, daemon)?;
    launch::check_compatible(&definition.definition, launch)?;
    launch::check_platform(input.platform_version.as_deref(), launch)?;
    launch::check_network(input.network_configuration.as_ref(), launch)?;
    interfaces::check(
        tx,
        cluster.key.0,
        &definition.definition,
        input.network_configuration.as_ref(),
    )?;
    Ok(ServiceRevision {
        key: (key.clone(), 0),
        created_at: tx.now(),
        family: definition.key.1.clone(),
        revision: definition.key.2,
        launch,
        providers,
        network: launch::network(input.network_configuration.clone()),
        platform_version: input.platform_version.clone(),
        connect: input.service_connect_configuration.clone(),
        observed_digests: Vec::new(),
        images_settled: false,
        starts_freely: false,
    })
}

/// AWS: interfaces and task sets need the service-linked role.
fn check_role(
    state: &State,
    input: &api::CreateServiceRequest,
    revision: Option<&ServiceRevision>,
) -> Result<(), ApiError> {
    let linked = revision.is_none_or(|revision| {
        let key = (revision.key.0.0.0, revision.family.clone(), revision.revision);
        let definition = state.get::<TaskDefinition>(&key).map(|row| &row.definition);
        definition.is_some_and(|definition| task_definition::is_mode(definition, "awsvpc"))
    });
    match linked && input.role.as_ref().is_some_and(|role| !role.is_empty()) {
        true => Err(invalid(
            "You cannot specify an IAM role for services that require a service linked role.",
        )),
        false => Ok(()),
    }
}

type Placement = (Vec<api::PlacementConstraint>, Vec<api::PlacementStrategy>);

fn placement(
    state: &State,
    input: &api::CreateServiceRequest,
    revision: Option<&ServiceRevision>,
    launch: Launch,
    daemon: bool,
) -> Result<Placement, ApiError> {
    let constraints = input.placement_constraints.clone().unwrap_or_default();
    let strategy = input.placement_strategy.clone().unwrap_or_default();
    settings::check_placement(&constraints, &strategy, launch, daemon)?;
    check_parses(state, &constraints, &strategy, revision)?;
    Ok((constraints, strategy))
}

/// Refused now what could not be asked later.
pub fn check_parses(
    state: &State,
    constraints: &[api::PlacementConstraint],
    strategy: &[api::PlacementStrategy],
    revision: Option<&ServiceRevision>,
) -> Result<(), ApiError> {
    let nothing = api::TaskDefinition::default();
    let definition = revision.and_then(|revision| {
        let key = (revision.key.0.0.0, revision.family.clone(), revision.revision);
        state.get::<TaskDefinition>(&key)
    });
    let definition = definition.map_or(&nothing, |row| &row.definition);
    placing::constraints(definition, constraints)?;
    placing::strategies(strategy)?;
    Ok(())
}

/// The revision that a permission is asked for: a family's name stands for its newest.
pub fn with_definition(demand: Demand, state: &State, call: &Call, given: &str) -> Demand {
    let found = launch::find_definition(state, call, Some(given)).ok();
    let arn = found.map(|row| row.arn());
    let arn = arn.unwrap_or_else(|| task_definitions::demanded_arn(call, given));
    demand.with("ecs:task-definition", arn)
}

/// The condition keys that CreateService and UpdateService share.
pub fn with_settings(
    demand: Demand,
    call: &Call,
    exec: Option<bool>,
    providers: Option<&[api::CapacityProviderStrategyItem]>,
    connect: Option<&api::ServiceConnectConfiguration>,
    volumes: Option<&[api::ServiceVolumeConfiguration]>,
) -> Demand {
    let mut demand = demand;
    if let Some(exec) = exec {
        demand = demand.with("ecs:enable-execute-command", exec.to_string());
    }
    if let Some(items) = providers.filter(|items| !items.is_empty()) {
        let names = items.iter().filter_map(|item| item.capacity_provider.as_deref());
        let arns =
            names.map(|name| views::provider_arn(call.scope(), strategy::provider_name(name)));
        demand = demand.with_all("ecs:capacity-provider", arns.collect());
    }
    if let Some(connect) = connect {
        let enabled = connect.enabled.unwrap_or_default();
        demand = demand.with("ecs:enable-service-connect", enabled.to_string());
        if let Some(namespace) = &connect.namespace {
            demand = demand.with("ecs:namespace", namespace.clone());
        }
    }
    match volumes {
        None => demand,
        Some(volumes) => demand.with("ecs:enable-ebs-volumes", (!volumes.is_empty()).to_string()),
    }
}
