//! RunTask: placement happens inside the action, so what is answered is where the tasks are.

use std::sync::Arc;

use aws_protocol::ApiError;
use core_placement::{Ask, Pool, Reason, Refused, split};
use core_state::{State, Tx};
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use core_types::Id128;
use model_ecs::{self as api, errors};

use crate::rows::cluster::{Cluster, ClusterKey};
use crate::rows::container_instance::{ContainerInstance, InstancesIn};
use crate::rows::run_token::RunToken;
use crate::rows::task::{Launch, Task};
use crate::rules::launch::{self, Given, Prepared};
use crate::rules::strategy::{self, BUILT_IN};
use crate::rules::{clusters, placing, pools, roles, setbacks, tags, timing, waiting};
use crate::views;

pub struct RunTask;

/// AWS: ten tasks a call.
const MOST: i32 = 10;
const LONGEST_TOKEN: usize = 64;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

fn given(input: &Input<api::ops::RunTask>) -> Given {
    Given {
        task_definition: input.task_definition.clone(),
        overrides: input.overrides.clone(),
        group: input.group.clone(),
        started_by: input.started_by.clone(),
        tags: input.tags.clone().unwrap_or_default(),
        propagate_tags: input.propagate_tags.clone(),
        managed_tags: input.enable_ecs_managed_tags.unwrap_or_default(),
        exec_enabled: input.enable_execute_command.unwrap_or_default(),
        network: input.network_configuration.clone(),
        volumes: input.volume_configurations.clone().unwrap_or_default(),
        reference_id: input.reference_id.clone(),
        platform_version: input.platform_version.clone(),
    }
}

impl WriteAction for RunTask {
    type Op = api::ops::RunTask;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let cluster = clusters::demanded_arn(call, input.cluster.as_deref());
        let given = given(input);
        let mut demands = launch::demands(view, call, "ecs:RunTask", cluster, &given);
        let (scope, name) = clusters::key_of(call, input.cluster.as_deref());
        let items = input.capacity_provider_strategy.iter().flatten();
        let providers: Vec<String> = items
            .filter_map(|item| Some(views::provider_arn(scope, item.capacity_provider.as_deref()?)))
            .collect();
        if !providers.is_empty() {
            let first = demands.remove(0);
            demands.insert(0, first.with_all("ecs:capacity-provider", providers));
        }
        let arn = scope.arn("ecs", format_args!("task/{name}/*"));
        demands.extend(tags::demand_on_create(view, call, "RunTask", arn, Some(&given.tags)));
        demands.into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let count = input.count.unwrap_or(1);
        if !(1..=MOST).contains(&count) {
            return Err(invalid("Count should be between 1 and 10."));
        }
        let token = input.client_token.clone().filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| token.len() > LONGEST_TOKEN) {
            return Err(invalid("clientToken cannot be longer than 64 characters."));
        }
        let launch_type = input.launch_type.as_ref().map(|launch| launch.as_str());
        let items = input.capacity_provider_strategy.clone().unwrap_or_default();
        if launch_type.is_some() && !items.is_empty() {
            return Err(invalid(
                "Specify either Launch Type or Capacity Provider Strategy, but not both.",
            ));
        }
        let cluster = clusters::find_cluster(tx, call, input.cluster.as_deref())?.clone();
        let fingerprint = fingerprint(&input);
        if let Some(token) = &token
            && let Some(there) = tx.get::<RunToken>(&(cluster.key.clone(), token.as_str().into()))
        {
            return repeated(tx, there, fingerprint);
        }
        let shares = shares(tx, &cluster, launch_type, items, count)?;
        let prepared = launch::prepare(tx, call, &cluster.key, shares[0].launch, given(&input))?;
        roles::check(tx, tx.now(), &prepared)?;
        let asked = Asked {
            constraints: input.placement_constraints.unwrap_or_default(),
            strategy: input.placement_strategy.unwrap_or_default(),
        };
        let (ids, failures) = place(tx, &prepared, &shares, &asked)?;
        if let Some(token) = token {
            let forget_at = Some(tx.now() + timing::CLIENT_TOKENS_KEPT);
            let key = (cluster.key, token.into());
            tx.put(RunToken { key, fingerprint, tasks: ids.clone(), forget_at });
        }
        Ok(answer(tx, &ids, failures))
    }
}

struct Asked {
    constraints: Vec<api::PlacementConstraint>,
    strategy: Vec<api::PlacementStrategy>,
}

/// How many of the tasks go to one kind of capacity.
struct Share {
    launch: Launch,
    provider: Option<Arc<str>>,
    count: usize,
}

/// AWS: the call's launch type, or its strategy, or the cluster's default strategy, or EC2.
fn shares(
    state: &State,
    cluster: &Cluster,
    launch_type: Option<&str>,
    items: Vec<api::CapacityProviderStrategyItem>,
    count: i32,
) -> Result<Vec<Share>, ApiError> {
    let count = usize::try_from(count).unwrap_or_default();
    let whole = |launch| Ok(vec![Share { launch, provider: None, count }]);
    match launch_type {
        Some("EC2") => return whole(Launch::Ec2),
        Some("FARGATE") => return whole(Launch::Fargate),
        Some("EXTERNAL") => return whole(Launch::External),
        Some(_) => return Err(invalid("launch type should be one of [EC2,FARGATE,EXTERNAL]")),
        None => {}
    }
    let items = match items.is_empty() {
        true => cluster.default_strategy.clone(),
        false => strategy::check_strategy(&cluster.capacity_providers, items)?,
    };
    if items.is_empty() {
        return whole(usual_launch(state, &cluster.key));
    }
    let number = |n: Option<i32>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let weights: Vec<_> =
        items.iter().map(|item| (number(item.base), number(item.weight))).collect();
    // AWS: of a single provider the weight does not matter.
    if items.len() > 1 && weights.iter().all(|(_, weight)| *weight == 0) {
        return Err(invalid(
            "The specified capacity provider strategy must contain at least one capacity provider \
             with a weight greater than 0.",
        ));
    }
    let counts = split(&weights, count);
    let all = items.iter().zip(counts).filter(|(_, count)| *count > 0).map(|(item, count)| {
        let name = item.capacity_provider.as_deref().unwrap_or_default();
        let launch = match BUILT_IN.contains(&name) {
            true => Launch::Fargate,
            false => Launch::Ec2,
        };
        Share { launch, provider: Some(name.into()), count }
    });
    Ok(all.collect())
}

/// AWS: EC2. Where all hosts of a cluster are elsewhere that could only fail, so it means them.
pub fn usual_launch(state: &State, cluster: &ClusterKey) -> Launch {
    let mut hosts = state.by::<InstancesIn>(cluster).map(ContainerInstance::is_external).peekable();
    match hosts.peek().is_some() && hosts.all(|external| external) {
        true => Launch::External,
        false => Launch::Ec2,
    }
}

type Placing = (Vec<Id128>, Vec<api::Failure>);

fn place(
    tx: &mut Tx<'_>,
    prepared: &Prepared,
    shares: &[Share],
    asked: &Asked,
) -> Result<Placing, ApiError> {
    let fargate = prepared.launch == Launch::Fargate;
    if fargate && !asked.constraints.is_empty() {
        return Err(invalid("Placement constraints are not supported with FARGATE launch type."));
    }
    if fargate && !asked.strategy.is_empty() {
        return Err(invalid("Placement strategies are not supported with FARGATE launch type."));
    }
    let ask = prepared.ask(&asked.constraints, &asked.strategy)?;
    let (mut ids, mut failures) = (Vec::new(), Vec::new());
    for share in shares {
        let provider = share.provider.as_deref().filter(|_| !fargate);
        let from = (&prepared.cluster, prepared.launch, provider);
        let cluster = &prepared.cluster;
        let (placement, (empty, refused)) =
            pools::place(tx, from, (&ask, share.count), |pool, placement| {
                (pool.is_empty(), told(cluster, &ask, pool, &placement.refused))
            });
        let placed = placement.placed;
        let all = placed.iter();
        ids.extend(all.map(|placed| prepared.start(tx, placed, share.provider.as_ref())));
        let short = share.count - placed.len();
        let also = (&asked.constraints[..], &asked.strategy[..]);
        let waiting = waiting::start(tx, prepared, share.provider.as_ref(), short, also);
        if empty && !fargate && waiting.is_empty() {
            return Err(invalid(setbacks::nobody(share.provider.is_some())));
        }
        let short = short - waiting.len();
        ids.extend(waiting);
        if short > 0 {
            match fargate {
                true => failures.push(no_capacity()),
                false => failures.extend(refused),
            }
        }
    }
    Ok((ids, failures))
}

/// AWS: what drains is not asked, unless nothing else is there.
fn told(cluster: &ClusterKey, ask: &Ask, pool: &Pool, refused: &[Refused]) -> Vec<api::Failure> {
    let active = |one: &&Refused| one.reason != Reason::Inactive;
    let some = refused.iter().any(|one| active(&one));
    let told = refused.iter().filter(|one| !some || active(one));
    told.map(|one| placing::failure(cluster, ask, pool.get(one.instance), one)).collect()
}

fn no_capacity() -> api::Failure {
    api::Failure {
        reason: Some(
            "Capacity is unavailable at this time. Please try again later or in a different \
             availability zone"
                .to_owned(),
        ),
        ..Default::default()
    }
}

fn answer(tx: &Tx<'_>, ids: &[Id128], failures: Vec<api::Failure>) -> api::RunTaskResponse {
    let rows = ids.iter().filter_map(|id| tx.get::<Task>(id));
    let tasks = rows.map(|row| views::task(tx, row, true)).collect();
    api::RunTaskResponse { tasks: Some(tasks), failures: Some(failures) }
}

/// The same call again has the same answer; another one under its token is refused.
fn repeated(
    tx: &Tx<'_>,
    there: &RunToken,
    fingerprint: u64,
) -> Result<api::RunTaskResponse, ApiError> {
    if there.fingerprint == fingerprint {
        return Ok(answer(tx, &there.tasks, Vec::new()));
    }
    let text = "The RunTask request could not be processed due to conflicts. The provided \
                clientToken is already in use with a different RunTask request. The resourceIds \
                are the existing task ARNs which are already associated with the clientToken.";
    let arns = there.tasks.iter().map(|id| crate::rows::task::arn_of(&there.key.0, *id));
    Err(errors::conflict_exception(text).with_detail(api::ConflictException {
        message: Some(text.to_owned()),
        resource_ids: Some(arns.collect()),
    }))
}

/// FNV-1a over the request as it would be stored: enough to tell requests under one token apart.
fn fingerprint(input: &api::RunTaskRequest) -> u64 {
    let text = aws_protocol::stored::to_json(input);
    let bytes: &[u8] = text.as_ref();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
