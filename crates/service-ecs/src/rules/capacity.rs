//! From rows to the question of how large a capacity provider's group shall be: which instances it
//! has, which of them work, and what waits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use core_placement::{Ask, Constraint, Free, Instance, Need};
use core_state::State;
use core_types::Id128;
use model_ecs as api;

use super::scaling::{Group, Settings, Sight};
use super::{placing, waiting};
use crate::rows::capacity_provider::CapacityProvider;
use crate::rows::cluster::{Cluster, ClusterKey, ClusterStatus};
use crate::rows::container_instance::{ContainerInstance, InstancesOfProvider};
use crate::rows::service::Service;
use crate::rows::task::{HostLoad, Load, Task, TasksOn};
use crate::rows::waiting::ProviderKey;

/// The group behind a provider that a cluster has.
pub fn group<'s>(
    state: &'s State,
    cluster: &ClusterKey,
    provider: &Arc<str>,
) -> Option<&'s api::AutoScalingGroupProvider> {
    let row = state.get::<Cluster>(cluster)?;
    let has = row.capacity_providers.iter().any(|name| **name == **provider);
    let row = state.get::<CapacityProvider>(&(cluster.0, provider.clone()))?;
    let stands = state.get::<Cluster>(cluster)?.status == ClusterStatus::Active && row.active;
    row.auto_scaling_group.as_ref().filter(|_| has && stands)
}

/// How a provider is scaled for a cluster. `None` where that is not ours to do.
pub fn settings(state: &State, cluster: &ClusterKey, provider: &Arc<str>) -> Option<Settings> {
    let scaling = group(state, cluster, provider)?.managed_scaling.as_ref()?;
    if scaling.status != Some(api::ManagedScalingStatus::ENABLED) {
        return None;
    }
    let number = |n: Option<i32>, default| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
    let warmup = number(scaling.instance_warmup_period, 300);
    Some(Settings {
        target: number(scaling.target_capacity, 100),
        least_step: number(scaling.minimum_scaling_step_size, 1),
        most_step: number(scaling.maximum_scaling_step_size, 10_000),
        warmup: Duration::from_secs(warmup.into()),
    })
}

/// The provider's instances. Those that their group terminates are not there any more.
pub fn instances<'s>(
    state: &'s State,
    key: &ProviderKey,
) -> impl Iterator<Item = &'s ContainerInstance> {
    state.by::<InstancesOfProvider>(key).filter(|row| row.terminating.is_none())
}

/// Whether an instance works: AWS does not count what daemons run.
pub fn is_busy(state: &State, host: &Id128) -> bool {
    if state.sum::<HostLoad>(host) == Load::default() {
        return false;
    }
    let daemons = |task: &Task| {
        let service = task.service.as_ref().map(|name| (task.cluster.clone(), name.clone()));
        let service = service.and_then(|key| state.get::<Service>(&key));
        task.daemon().is_some() || service.is_some_and(|row| row.daemon)
    };
    state.by::<TasksOn>(host).any(|task| !task.is_stopped() && !daemons(task))
}

/// What is there, and what waits for more.
pub fn sight(state: &State, key: &ProviderKey, starting: u32) -> Sight {
    let all: Vec<&ContainerInstance> = instances(state, key).collect();
    let busy = all.iter().filter(|row| is_busy(state, &row.id)).count();
    let fresh = all.iter().filter(|row| row.observed_session == 0).count();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Sight {
        registered: number(all.len()),
        fresh: number(fresh),
        busy: number(busy),
        starting,
        waiting: groups(state, key, &all),
    }
}

/// AWS: tasks with exactly the same needs, and how many of them an instance takes.
fn groups(state: &State, key: &ProviderKey, all: &[&ContainerInstance]) -> Vec<Group> {
    let mut asks: Vec<(Ask, u32)> = Vec::new();
    for ask in waiting::tasks(state, key).filter_map(|task| waiting::ask(state, task)) {
        let alike =
            |one: &&mut (Ask, u32)| one.0.need == ask.need && one.0.constraints == ask.constraints;
        match asks.iter_mut().find(alike) {
            Some((_, tasks)) => *tasks += 1,
            None => asks.push((ask, 1)),
        }
    }
    if asks.is_empty() {
        return Vec::new();
    }
    let empty: Vec<Instance> = all.iter().map(|row| emptied(state, row)).collect();
    asks.iter().map(|(ask, tasks)| Group { tasks: *tasks, each: each(ask, &empty) }).collect()
}

/// An instance as it would be without tasks: what the group's next ones are like.
fn emptied(state: &State, row: &ContainerInstance) -> Instance {
    let number = |name: &str| {
        let found = row.resources.iter().find(|one| one.name.as_deref() == Some(name));
        i64::from(found.and_then(|one| one.integer_value).unwrap_or_default())
    };
    let ports = |name: &str| -> BTreeSet<u16> {
        let all = row.resources.iter().filter(|one| one.name.as_deref() == Some(name));
        let all = all.flat_map(|one| one.string_set_value.iter().flatten());
        all.filter_map(|port| port.parse().ok()).collect()
    };
    Instance {
        active: true,
        connected: true,
        free: Free {
            cpu: number("CPU"),
            memory: number("MEMORY"),
            tcp: ports("PORTS"),
            udp: ports("PORTS_UDP"),
            gpus: row.gpus.clone(),
        },
        groups: Default::default(),
        running_tasks: 0,
        ..placing::instance(state, row)
    }
}

/// How much of something an instance has.
type Amount = fn(&Free) -> i64;

/// AWS: counted by the largest instance, and not at all where the smallest takes none. What it asks
/// of an instance beside its resources some instance must have.
fn each(ask: &Ask, empty: &[Instance]) -> Option<u32> {
    let need = &ask.need;
    let smallest = |of: Amount| empty.iter().map(|one| of(&one.free)).min();
    let largest = |of: Amount| empty.iter().map(|one| of(&one.free)).max();
    let gpus = |free: &Free| i64::try_from(free.gpus.len()).unwrap_or(i64::MAX);
    let needs: [(i64, Amount); 3] = [
        (need.cpu, |free| free.cpu),
        (need.memory, |free| free.memory),
        (i64::try_from(need.gpus).unwrap_or(i64::MAX), gpus),
    ];
    if needs.iter().any(|(needed, of)| smallest(*of).is_none_or(|least| *needed > least)) {
        return None;
    }
    // The next instance may be in another zone than those that are there.
    let ask = &Ask { need: Need { zones: Vec::new(), ..need.clone() }, ..ask.clone() };
    if !empty.iter().any(|one| ask.refusal(one).is_none()) {
        return None;
    }
    let alone = !need.tcp.is_empty()
        || !need.udp.is_empty()
        || ask.constraints.contains(&Constraint::DistinctInstance);
    let fits = needs.iter().filter(|(needed, _)| *needed > 0);
    let fits = fits.filter_map(|(needed, of)| Some(largest(*of)? / needed)).min();
    let fits = fits.map_or(u32::MAX, |n| u32::try_from(n).unwrap_or(u32::MAX));
    Some(if alone { 1 } else { fits.max(1) })
}
