//! CreateTaskSet: a version beside the others, with a share of its service's tasks.

use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use super::create_service::{check_parses, with_definition, with_settings};
use super::run_task::usual_launch;
use crate::rows::cluster::Cluster;
use crate::rows::service::Service;
use crate::rows::service_history::ServiceRevision;
use crate::rows::task_set::TaskSet;
use crate::rules::service_settings::{self as settings, Attached};
use crate::rules::{deployments, interfaces, launch, tags, task_sets};
use crate::views;

pub struct CreateTaskSet;

/// AWS: five task sets a service.
const MOST: usize = 5;
const LONGEST: usize = 255;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

impl WriteAction for CreateTaskSet {
    type Op = api::ops::CreateTaskSet;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let of = (input.cluster.as_deref(), input.service.as_deref());
        let given = input.tags.as_deref();
        let mut demand = task_sets::demand(view, call, "ecs:CreateTaskSet", of, None)
            .request_tags(tags::pairs(given.unwrap_or_default()));
        if let Some(definition) = input.task_definition.as_deref() {
            demand = with_definition(demand, view, call, definition);
        }
        let arn = demand.resource.clone();
        let items = input.capacity_provider_strategy.as_deref();
        let mut demands = vec![with_settings(demand, call, None, items, None, None)];
        demands.extend(tags::demand_on_create(view, call, "CreateTaskSet", arn, given));
        demands.into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let (cluster, service) = (input.cluster.as_deref(), input.service.as_deref());
        let row = task_sets::find_service(tx, call, cluster, service)?.clone();
        let token: Option<(Arc<str>, u64)> = input
            .client_token
            .as_deref()
            .filter(|token| !token.is_empty())
            .map(|token| (token.into(), launch::fingerprint(&input)));
        if token.as_ref().is_some_and(|(token, _)| token.len() > 36) {
            return Err(invalid("clientToken cannot be longer than 36 characters."));
        }
        let there: Vec<&TaskSet> = task_sets::all(tx, &row.key).collect();
        let same = |set: &&&TaskSet| token.is_some() && set.client_token == token;
        if let Some(same) = there.iter().find(same) {
            let shown = views::task_set(tx, same, true);
            return Ok(api::CreateTaskSetResponse { task_set: Some(shown) });
        }
        if there.len() >= MOST {
            return Err(errors::limit_exceeded_exception("Too many task sets in the service."));
        }
        check(&input)?;
        let cluster = tx.get::<Cluster>(&row.key.0).expect("it holds a service").clone();
        let revision = revision(call, tx, &cluster, &row, &input)?;
        let percent = task_sets::check_scale(input.scale.as_ref())?;
        let set = TaskSet {
            external_id: input.external_id.as_deref().map(Into::into),
            tags: input.tags.clone().unwrap_or_default(),
            client_token: token,
            ..task_sets::begun(tx, &revision, percent)
        };
        let key = set.key.clone();
        tx.put(revision);
        tx.put(set);
        let set = tx.get::<TaskSet>(&key).expect("it was just put");
        Ok(api::CreateTaskSetResponse { task_set: Some(views::task_set(tx, set, true)) })
    }
}

fn check(input: &api::CreateTaskSetRequest) -> Result<(), ApiError> {
    tags::check_tags(input.tags.as_deref().unwrap_or_default())?;
    let attached = Attached {
        launch_type: input.launch_type.as_ref(),
        load_balancers: input.load_balancers.as_deref(),
        registries: input.service_registries.as_deref(),
        ..Default::default()
    };
    attached.check()?;
    match input.external_id.as_ref().is_some_and(|id| id.len() > LONGEST) {
        true => Err(invalid("externalId cannot be longer than 255 characters.")),
        false => Ok(()),
    }
}

fn revision(
    call: &Call,
    tx: &mut Tx<'_>,
    cluster: &Cluster,
    row: &Service,
    input: &api::CreateTaskSetRequest,
) -> Result<ServiceRevision, ApiError> {
    let definition = launch::find_definition(tx, call, input.task_definition.as_deref())?;
    let items = input.capacity_provider_strategy.clone();
    let usual = usual_launch(tx, &cluster.key);
    let given = input.launch_type.as_ref();
    let (launch, providers) = settings::capacity(cluster, usual, given, items, false)?;
    launch::check_compatible(&definition.definition, launch)?;
    launch::check_platform(input.platform_version.as_deref(), launch)?;
    launch::check_network(input.network_configuration.as_ref(), launch)?;
    settings::check_placement(&row.constraints, &row.strategy, launch, false)?;
    interfaces::check(
        tx,
        cluster.key.0,
        &definition.definition,
        input.network_configuration.as_ref(),
    )?;
    let revision = ServiceRevision {
        key: (row.key.clone(), deployments::number(tx.dice)),
        created_at: tx.now(),
        family: definition.key.1.clone(),
        revision: definition.key.2,
        launch,
        providers,
        network: launch::network(input.network_configuration.clone()),
        platform_version: input.platform_version.clone(),
        connect: None,
        observed_digests: Vec::new(),
        images_settled: false,
        starts_freely: false,
    };
    check_parses(tx, &row.constraints, &row.strategy, Some(&revision))?;
    Ok(revision)
}
