//! Places for a service's tasks: by its newest revision, in AWS's order, and in AWS's words where
//! there is none.

use core_placement::{Ask, Field, Reason, Refused, Strategy, split};
use core_state::{State, Tx};
use core_types::Id128;
use model_ecs as api;

use super::launch::{self, Prepared};
use super::pictures::Seen;
use super::setbacks::{self, Setback};
use super::{interfaces, placing, pools, tags, waiting};
use crate::rows::container_instance::{ContainerInstance, InstanceStatus};
use crate::rows::service::{Deployment, Propagate, Service};
use crate::rows::service_history::ServiceRevision;
use crate::rows::task::{Launch, TasksOn};
use crate::rows::task_definition::TaskDefinition;

/// AWS: the attribute that every instance has.
pub const ZONE: &str = "ecs.availability-zone";

/// What the service's next tasks are, and where they may go.
#[derive(Clone)]
pub struct Next {
    pub prepared: Prepared,
    pub ask: Ask,
    pub revision: ServiceRevision,
    /// What was there when the service was asked for, and is not any more.
    fault: Option<String>,
}

/// Of the newest version. None where its task definition is gone.
pub fn next(state: &State, row: &Service) -> Option<Next> {
    next_of(state, row, row.primary()?)
}

/// The same of any of its versions.
pub fn next_of(state: &State, row: &Service, deployment: &Deployment) -> Option<Next> {
    let revision = (row.key.clone(), deployment.revision);
    let revision = state.get::<ServiceRevision>(&revision)?.clone();
    let scope = row.key.0.0;
    let key = (scope, revision.family.clone(), revision.revision);
    let definition = state.get_shared::<TaskDefinition>(&key)?.clone();
    let asked = interfaces::check(state, scope, &definition.definition, revision.network.as_ref());
    let (interface, fault) = match asked {
        Ok(interface) => (interface, None),
        Err(error) => (None, Some(error.message)),
    };
    let zones = interface.as_ref().map(interfaces::Wanted::zones).unwrap_or_default();
    let need = launch::need(&definition.definition, None, revision.launch, zones, row.exec_enabled);
    let prepared = Prepared {
        cluster: row.key.0.clone(),
        launch: revision.launch,
        overrides: None,
        need,
        interface,
        group: None,
        service: Some(row.key.1.clone()),
        daemon: None,
        started_by: Some(deployment.id.clone()),
        exec_enabled: row.exec_enabled,
        tags: task_tags(row, &definition),
        reference_id: None,
        platform_version: revision.platform_version.clone(),
        definition,
    };
    let constraints = placing::constraints(&prepared.definition.definition, &row.constraints);
    let ask = Ask {
        group: prepared.group(),
        need: prepared.need.clone(),
        constraints: constraints.expect("they were checked when they were given"),
        strategy: strategy(row, revision.launch),
    };
    Some(Next { prepared, ask, revision, fault })
}

/// AWS: without a strategy a service's tasks are spread over the zones, and in each over its
/// instances.
pub fn strategy(row: &Service, launch: Launch) -> Vec<Strategy> {
    let own = placing::strategies(&row.strategy).expect("it was checked when it was given");
    match own.is_empty() || launch == Launch::Fargate {
        true => vec![
            Strategy::Spread(Field::Attribute(ZONE.to_owned())),
            Strategy::Spread(Field::Instance),
        ],
        false => own,
    }
}

fn task_tags(row: &Service, definition: &TaskDefinition) -> Vec<api::Tag> {
    let mut all = match row.propagate {
        Propagate::None => Vec::new(),
        Propagate::Service => row.tags.clone(),
        Propagate::TaskDefinition => definition.tags.clone(),
    };
    if row.managed_tags {
        let pair = |key: &str, value: &str| api::Tag {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        };
        all.retain(|tag| !tag.key.as_deref().unwrap_or_default().starts_with("aws:"));
        all.truncate(tags::MOST.saturating_sub(2));
        all.push(pair("aws:ecs:clusterName", &row.key.0.1));
        all.push(pair("aws:ecs:serviceName", row.name()));
    }
    all
}

/// What came of an attempt to start tasks.
#[derive(Default)]
pub struct Started {
    pub tasks: Vec<Id128>,
    /// Why not all of them were.
    pub problem: Option<Setback>,
    /// Why some of them wait.
    pub waits: Option<Setback>,
}

impl Started {
    /// What came of older tasks that were to come again: no place for them is no lack of the newest.
    pub fn join(&mut self, again: Started) {
        self.tasks.extend(again.tasks);
        self.waits = self.waits.take().or(again.problem).or(again.waits);
    }
}

impl Next {
    /// Nothing yet; and nothing more, where something it needs is gone.
    fn started(&self) -> Started {
        Started {
            problem: self.fault.as_deref().map(setbacks::misconfigured),
            ..Started::default()
        }
    }
}

/// Start up to so many tasks, by the shares of the capacity providers where there are any. What has
/// no place waits for one, where its provider is scaled.
pub fn start(tx: &mut Tx<'_>, row: &Service, next: &Next, count: usize) -> Started {
    start_if(tx, row, next, count, true)
}

/// The same of tasks that are started for where there is room for them: they never wait.
pub fn start_now(tx: &mut Tx<'_>, row: &Service, next: &Next, count: usize) -> Started {
    start_if(tx, row, next, count, false)
}

fn start_if(tx: &mut Tx<'_>, row: &Service, next: &Next, count: usize, may_wait: bool) -> Started {
    let mut started = next.started();
    if started.problem.is_some() {
        return started;
    }
    for (provider, count) in shares(tx, row, next, count) {
        let launch = next.revision.launch;
        let from = (&row.key.0, launch, provider.as_deref());
        let (placement, problem) = pools::place(tx, from, (&next.ask, count), |pool, found| {
            let short = found.placed.len() < count;
            let provider = provider.as_deref();
            short.then(|| {
                setbacks::no_place(pool, &next.ask.need, &found.refused, (launch, provider))
            })
        });
        let provider = provider.map(Into::into);
        for placed in &placement.placed {
            started.tasks.push(next.prepared.start(tx, placed, provider.as_ref()));
        }
        let short = count - placement.placed.len();
        let waits = if may_wait { short } else { 0 };
        let waiting = waiting::start(tx, &next.prepared, provider.as_ref(), waits, (&[], &[]));
        let limited = may_wait && waiting::is_scaled(tx, &next.prepared, provider.as_ref());
        if waiting.len() < short {
            let problem = if limited { Some(setbacks::too_many_wait()) } else { problem.clone() };
            started.problem = started.problem.or(problem);
        }
        if !waiting.is_empty() {
            started.waits = started.waits.or(problem);
        }
        started.tasks.extend(waiting);
    }
    started
}

/// Start one task on each of these hosts that has room, until so many are started.
pub fn start_on(
    tx: &mut Tx<'_>,
    row: &Service,
    next: &Next,
    (hosts, most): (&[Id128], usize),
) -> Started {
    let mut started = next.started();
    if started.problem.is_some() {
        return started;
    }
    let launch = next.revision.launch;
    let placed = pools::place_on(
        tx,
        (&row.key.0, launch),
        &next.ask,
        (hosts, most),
        |pool, host, reason| {
            let refused = [Refused { instance: host, reason }];
            let problem = || setbacks::no_place(pool, &next.ask.need, &refused, (launch, None));
            started.problem.get_or_insert_with(problem);
        },
    );
    for placed in &placed {
        started.tasks.push(next.prepared.start(tx, placed, None));
    }
    started
}

/// Whether an instance is of one of the capacity providers that a version's tasks are started on.
pub fn provides(next: &Next, instance: &ContainerInstance) -> bool {
    let (providers, own) = (&next.revision.providers, instance.capacity_provider.as_deref());
    let named = |item: &api::CapacityProviderStrategyItem| item.capacity_provider.as_deref() == own;
    // Fargate's machines are of no provider, and are all its providers'.
    providers.is_empty() || next.revision.launch == Launch::Fargate || providers.iter().any(named)
}

/// Whether a daemon shall be on a host: what it has left does not matter, what it is does.
pub fn suits(state: &State, row: &Service, ask: &Ask, host: Id128) -> bool {
    let instance = state.get::<ContainerInstance>(&host);
    let instance = instance.filter(|one| pools::takes(state, &row.key.0, row.launch, one));
    instance.is_some_and(|one| {
        matches!(
            ask.refusal(&placing::instance(state, one)),
            None | Some(
                Reason::Cpu | Reason::Memory | Reason::Port { .. } | Reason::Gpu | Reason::Agent
            )
        )
    }) || kept(state, row, instance)
}

/// One that waits for a managed daemon takes no tasks, and keeps those that it has.
fn kept(state: &State, row: &Service, instance: Option<&ContainerInstance>) -> bool {
    let waits =
        |one: &&ContainerInstance| one.status == InstanceStatus::Active && one.awaits.is_some();
    instance.filter(waits).is_some_and(|one| {
        let mut tasks = state.by::<TasksOn>(&one.id);
        tasks.any(|task| task.service.as_ref() == Some(&row.key.1) && !task.is_stopped())
    })
}

/// Providers, and how many of the next tasks each gets so that all together are as the strategy
/// says.
fn shares(state: &State, row: &Service, next: &Next, count: usize) -> Vec<(Option<String>, usize)> {
    let revision = &next.revision;
    if revision.providers.is_empty() {
        return vec![(None, count)];
    }
    let (seen, by) = (Seen::of(state, row), next.prepared.started_by.as_ref());
    let there = |provider: &str| seen.started(by, provider);
    let number = |n: Option<i32>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let weights = revision.providers.iter().map(|one| (number(one.base), number(one.weight)));
    let targets = split(&weights.collect::<Vec<_>>(), there("").0 + count);
    let mut left = count;
    let all = revision.providers.iter().zip(targets).map(|(item, target)| {
        let name = item.capacity_provider.clone().unwrap_or_default();
        let share = target.saturating_sub(there(&name).1).min(left);
        left -= share;
        (Some(name), share)
    });
    all.filter(|(_, share)| *share > 0).collect()
}
