//! The pools that questions of placement are put to, kept from step to step: an index over all
//! instances and tasks of a cluster is too large to be built for each task.
//!
//! Rows stay the truth. A pool's own reservations last for one question only: at the next one every
//! instance that was touched since, or given a task by a pool, is read from its rows again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use core_placement::{Ask, Placed, Placement, Pool, Reason};
use core_state::{RowKey, State, Tx};
use core_types::{Id128, Scope};

use super::placing;
use crate::rows::cluster::ClusterKey;
use crate::rows::container_instance::{
    ContainerInstance, FargateApart, FargatePool, InstanceChanged, InstanceStatus, InstancesIn,
};
use crate::rows::service::{fargate_of, place_of};
use crate::rows::task::{HeldOn, Launch};

/// Which instances: those of a cluster (for Fargate: of an account and region), of a launch type,
/// of one capacity provider where one is named.
type PoolKey = (ClusterKey, Launch, Option<Arc<str>>);

#[derive(Default)]
struct Pools {
    all: BTreeMap<PoolKey, Pool>,
    /// Instances that were given tasks: whether the rows came to be is for the rows to say.
    given: BTreeSet<Id128>,
    /// Whether some hosts were set apart for Fargate when its pool was built.
    apart: BTreeMap<Scope, bool>,
}

fn key_of(cluster: &ClusterKey, launch: Launch, provider: Option<&str>) -> PoolKey {
    let provider = provider.filter(|_| launch != Launch::Fargate);
    (place_of(cluster, launch), launch, provider.map(Into::into))
}

/// Ask for places for up to so many tasks. `None` where there is no instance at all.
pub fn place<T>(
    tx: &mut Tx<'_>,
    (cluster, launch, provider): (&ClusterKey, Launch, Option<&str>),
    (ask, count): (&Ask, usize),
    judge: impl FnOnce(&Pool, &Placement) -> T,
) -> (Placement, T) {
    let key = key_of(cluster, launch, provider);
    let mut pools = current(tx, &key);
    let pool = pools.all.get_mut(&key).expect("it was just made sure of");
    let placement = pool.place(ask, count, tx.dice);
    let judged = judge(pool, &placement);
    pools.given.extend(placement.placed.iter().map(|placed| placed.instance));
    tx.keep(pools);
    (placement, judged)
}

/// Ask for a place for one task on each of these hosts, until so many are placed.
pub fn place_on(
    tx: &mut Tx<'_>,
    (cluster, launch): (&ClusterKey, Launch),
    ask: &Ask,
    (hosts, most): (&[Id128], usize),
    mut refused: impl FnMut(&Pool, Id128, Reason),
) -> Vec<Placed> {
    let key = key_of(cluster, launch, None);
    let mut pools = current(tx, &key);
    let pool = pools.all.get_mut(&key).expect("it was just made sure of");
    let mut placed = Vec::new();
    for host in hosts {
        if placed.len() == most {
            break;
        }
        pools.given.insert(*host);
        match pool.place_on(ask, *host) {
            Ok(one) => placed.push(one),
            Err(reason) => refused(pool, *host, reason),
        }
    }
    tx.keep(pools);
    placed
}

/// All pools as the rows are now, the one that is asked for among them.
fn current(tx: &mut Tx<'_>, key: &PoolKey) -> Box<Pools> {
    let kept = tx.lend::<Pools>();
    let (held, changed) = (tx.touched::<HeldOn>(), tx.touched::<InstanceChanged>());
    let mut pools = match (kept, held, changed) {
        (Some(mut pools), Some(held), Some(changed)) => {
            let given = std::mem::take(&mut pools.given);
            let changed: BTreeSet<Id128> = changed.into_iter().collect();
            let held: BTreeSet<Id128> = held.into_iter().chain(given).collect();
            held.difference(&changed).for_each(|id| pools.refresh(tx, *id, false));
            changed.iter().for_each(|id| pools.refresh(tx, *id, true));
            // Whether some are set apart for Fargate decides over all the others.
            let Pools { all, apart, .. } = &mut *pools;
            apart.retain(|scope, known| *known == sets_apart(tx, *scope));
            all.retain(|((scope, _), launch, _), _| {
                *launch != Launch::Fargate || apart.contains_key(scope)
            });
            pools
        }
        // Nobody has followed the rows so far.
        _ => Box::default(),
    };
    if !pools.all.contains_key(key) {
        let scope = key.0.0;
        pools.apart.insert(scope, sets_apart(tx, scope));
        pools.all.insert(key.clone(), build(tx, key));
    }
    pools
}

impl Pools {
    /// Read an instance again. Unless it has changed itself, only what its tasks hold can differ.
    fn refresh(&mut self, state: &State, id: Id128, changed: bool) {
        let Some(row) = state.get::<ContainerInstance>(&id) else {
            self.all.values_mut().for_each(|pool| pool.remove(id));
            return;
        };
        let mut fresh = None;
        for place in [row.cluster.clone(), fargate_of(row.cluster.0)] {
            let first = (place.clone(), Launch::least(), None);
            let own = self.all.range_mut(first..).take_while(|((at, ..), _)| *at == place);
            for (key, pool) in own {
                if changed && !belongs(state, key, row) {
                    pool.remove(id);
                    continue;
                }
                let Some(known) = pool.get(id).filter(|_| !changed) else {
                    if changed {
                        pool.put(
                            fresh.get_or_insert_with(|| placing::instance(state, row)).clone(),
                        );
                    }
                    continue;
                };
                let known = fresh.get_or_insert_with(|| placing::holding(state, row, known));
                pool.put(known.clone());
            }
        }
    }
}

fn sets_apart(state: &State, scope: Scope) -> bool {
    state.by::<FargateApart>(&scope).next().is_some()
}

fn belongs(state: &State, (place, launch, provider): &PoolKey, row: &ContainerInstance) -> bool {
    match launch {
        Launch::Fargate => {
            // Where some hosts are set apart for Fargate, the others are not asked.
            let apart = sets_apart(state, place.0);
            row.status != InstanceStatus::Inactive
                && row.serves_fargate()
                && (!apart || row.fargate().is_some())
        }
        Launch::Ec2 | Launch::External => {
            row.status != InstanceStatus::Inactive
                && !row.is_hidden()
                && row.cluster == *place
                && row.is_external() == (*launch == Launch::External)
                && (provider.is_none() || row.capacity_provider == *provider)
        }
    }
}

/// Whether an instance is one that tasks of a launch type may go to.
pub fn takes(state: &State, cluster: &ClusterKey, launch: Launch, row: &ContainerInstance) -> bool {
    belongs(state, &key_of(cluster, launch, None), row)
}

/// The instances that tasks of a launch type may go to.
pub fn fresh(state: &State, cluster: &ClusterKey, launch: Launch, provider: Option<&str>) -> Pool {
    build(state, &key_of(cluster, launch, provider))
}

fn build(state: &State, key: &PoolKey) -> Pool {
    let mut pool = Pool::default();
    let mut add = |row: &ContainerInstance| {
        if belongs(state, key, row) {
            pool.put(placing::instance(state, row));
        }
    };
    match key.1 {
        Launch::Fargate => state.by::<FargatePool>(&key.0.0).for_each(&mut add),
        Launch::Ec2 | Launch::External => state.by::<InstancesIn>(&key.0).for_each(&mut add),
    }
    pool
}

/// What is kept differs from the rows nowhere but where it is known to.
pub fn check(state: &State, tell: &mut dyn FnMut(String)) {
    let Some(pools) = state.kept::<Pools>() else { return };
    let excused = |id: &Id128| {
        pools.given.contains(id)
            || state.is_touched::<HeldOn>(id) != Some(false)
            || state.is_touched::<InstanceChanged>(id) != Some(false)
    };
    for (key, kept) in &pools.all {
        let fresh = build(state, key);
        let ids: BTreeSet<Id128> = kept.all().chain(fresh.all()).map(|one| one.id).collect();
        for id in ids.iter().filter(|id| !excused(id)) {
            if kept.get(*id) != fresh.get(*id) {
                tell(format!("instance {id} is not in the pool {key:?} as its rows are"));
            }
        }
    }
}
