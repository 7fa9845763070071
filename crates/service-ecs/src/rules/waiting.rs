//! Tasks in PROVISIONING that wait for an instance of their capacity provider, which is scaled so
//! that there will be one.
//!
//! AWS: where a provider's scaling is managed, a task that finds no room is not refused. It waits, the
//! oldest first, and stops with the reason that kept it from its place if that takes too long.

use std::sync::Arc;
use std::time::Duration;

use core_placement::{Ask, Pool, Refused};
use core_state::{RowKey, State, Tx};
use core_types::{Id128, Time};
use model_ecs as api;

use super::deployments::revision_of;
use super::launch::{self, Prepared, definition_of};
use super::setbacks::rank;
use super::{capacity, interfaces, life, placing, pools, service_placing, timing};
use crate::rows::service::Service;
use crate::rows::task::{Launch, StopCode, Task};
use crate::rows::waiting::{ProviderKey, Waiting, WaitingIn, WaitingTasks};

/// AWS: a quarter of an hour.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(15 * 60);
/// AWS: five hundred tasks of a cluster.
pub const MOST: usize = 500;

/// What was asked for beside the definition; nothing, for a service's tasks.
pub type Asked<'a> = (&'a [api::PlacementConstraint], &'a [api::PlacementStrategy]);

/// Let as many of the tasks wait as may, if the provider is one that is scaled.
pub fn start(
    tx: &mut Tx<'_>,
    prepared: &Prepared,
    provider: Option<&Arc<str>>,
    count: usize,
    (constraints, strategy): Asked<'_>,
) -> Vec<Id128> {
    let Some(provider) = provider.filter(|_| is_scaled(tx, prepared, provider)) else {
        return Vec::new();
    };
    let there = usize::try_from(tx.sum::<WaitingIn>(&prepared.cluster)).unwrap_or_default();
    let waiting = Waiting {
        until: tx.now() + GIVEN_UP_AFTER,
        constraints: constraints.to_vec(),
        strategy: strategy.to_vec(),
        interface: None,
    };
    let count = count.min(MOST.saturating_sub(there));
    (0..count).map(|_| prepared.wait(tx, provider, waiting.clone())).collect()
}

/// Whether a task that finds no room with a provider waits for more of it.
pub fn is_scaled(state: &State, prepared: &Prepared, provider: Option<&Arc<str>>) -> bool {
    let provider = provider.filter(|_| prepared.launch == Launch::Ec2);
    provider.is_some_and(|name| capacity::settings(state, &prepared.cluster, name).is_some())
}

/// How many tasks of a service wait for providers of its newest version.
pub fn of_service(state: &State, row: &Service) -> usize {
    let Some(revision) = revision_of(state, row) else { return 0 };
    let names = revision.providers.iter().filter_map(|item| item.capacity_provider.as_deref());
    let all = names.flat_map(|name| tasks(state, &(row.key.0.clone(), name.into())));
    all.filter(|task| task.service.as_ref() == Some(&row.key.1)).count()
}

/// What keeps a waiting task from its place now.
pub fn hindrance(state: &State, task: &Task) -> Option<String> {
    let ask = ask(state, task)?;
    let pool = pools::fresh(state, &task.cluster, task.launch, task.provider().map(|of| &**of));
    let refused: Vec<Refused> = pool
        .refusals(&ask)
        .filter_map(|(one, reason)| Some(Refused { instance: one.id, reason: reason? }))
        .collect();
    Some(reason(&pool, &refused))
}

/// The tasks that wait for a provider, the oldest first.
pub fn tasks<'s>(state: &'s State, key: &ProviderKey) -> impl Iterator<Item = &'s Task> + use<'s> {
    let of = key.clone();
    let rows = state.by_range::<WaitingTasks>((key.clone(), Time::least()));
    rows.take_while(move |(at, _)| at.0 == of).map(|(_, task)| task)
}

/// The question of a waiting task's placement. `None`: what it is started from is gone.
pub fn ask(state: &State, task: &Task) -> Option<Ask> {
    let definition = definition_of(state, task)?;
    let extras = task.extras.as_deref()?;
    let waiting = task.waiting()?;
    let service = task.service.as_ref();
    let service =
        service.and_then(|name| state.get::<Service>(&(task.cluster.clone(), name.clone())));
    let constraints = service.map_or(&waiting.constraints, |row| &row.constraints);
    let strategy = match service {
        Some(row) => service_placing::strategy(row, task.launch),
        None => placing::strategies(&waiting.strategy).ok()?,
    };
    let zones = waiting.interface.as_ref().map(interfaces::Wanted::zones);
    Some(Ask {
        group: task.group(),
        need: launch::need(
            definition,
            extras.overrides.as_ref(),
            task.launch,
            zones.unwrap_or_default(),
            task.exec_enabled,
        ),
        constraints: placing::constraints(definition, constraints).ok()?,
        strategy,
    })
}

/// Give those their places that have one now, and those up that have waited for too long.
pub fn place(tx: &mut Tx<'_>, key: &ProviderKey) {
    let now = tx.now();
    let waiting: Vec<Id128> = tasks(tx, key).map(|task| task.id).collect();
    let mut refused: Vec<(Ask, String)> = Vec::new();
    for id in waiting {
        let Some(task) = tx.get::<Task>(&id).cloned() else { continue };
        let Some(ask) = ask(tx, &task) else {
            give_up(tx, &id, "its task definition is gone");
            continue;
        };
        let known = refused.iter().find(|(other, _)| *other == ask);
        let reason = match known.map(|(_, reason)| reason.clone()) {
            Some(reason) => reason,
            None => match place_one(tx, key, task, &ask) {
                None => continue,
                Some(reason) => {
                    refused.push((ask, reason.clone()));
                    reason
                }
            },
        };
        let until = tx.get::<Task>(&id).and_then(Task::waiting).map(|waiting| waiting.until);
        if until.is_some_and(|until| until <= now) {
            give_up(tx, &id, &reason);
        }
    }
}

/// The reason, if there is no place.
fn place_one(tx: &mut Tx<'_>, key: &ProviderKey, task: Task, ask: &Ask) -> Option<String> {
    let from = (&key.0, task.launch, Some(&*key.1));
    let (placement, reason) =
        pools::place(tx, from, (ask, 1), |pool, found| reason(pool, &found.refused));
    let Some(placed) = placement.placed.first() else { return Some(reason) };
    let Some(definition) = definition_of(tx, &task).cloned() else { return Some(reason) };
    let interface = task.waiting().and_then(|waiting| waiting.interface.clone());
    let task = Task { version: task.version + 1, ..task };
    launch::settle(tx, task, &definition, interface.as_ref(), placed);
    None
}

/// AWS's word for why a provider had no place in the end.
fn reason(pool: &Pool, refused: &[Refused]) -> String {
    if pool.is_empty() {
        return "EMPTY CAPACITY PROVIDER".to_owned();
    }
    let closest = refused.iter().map(|one| &one.reason).max_by_key(|reason| rank(reason));
    match closest {
        None | Some(core_placement::Reason::Inactive) => "NO ACTIVE INSTANCES".to_owned(),
        Some(reason) => placing::word(reason).trim_end_matches('.').to_owned(),
    }
}

fn give_up(tx: &mut Tx<'_>, id: &Id128, reason: &str) {
    let (now, kept) = (tx.now(), timing::stopped_tasks_kept(tx));
    let reason = format!("TaskFailedToStart: {reason}");
    tx.edit::<Task>(id, |task| {
        life::want_stopped(task, StopCode::TaskFailedToStart, Some(&reason), now);
        life::finish(task, None, now, kept);
    });
}
