//! The instances of a cluster, asked for places.
//!
//! AWS's order: the instances that fit, then those that the constraints let through, then the
//! strategies one after the other, each keeping its best; among equals the dice decide.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_types::{Dice, Id128};

use crate::instance::{Instance, Need, Reason};
use crate::query::Query;

#[derive(Debug)]
pub enum Constraint {
    /// No two tasks of a group on one instance.
    DistinctInstance,
    MemberOf(Query),
}

/// What tasks are spread over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Instance,
    Attribute(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    Random,
    Spread(Field),
    /// Where the least is left.
    BinpackCpu,
    BinpackMemory,
}

/// Tasks to be placed, all alike.
#[derive(Debug)]
pub struct Ask {
    pub group: Arc<str>,
    pub need: Need,
    pub constraints: Vec<Constraint>,
    /// None: AWS's default for tasks that are no service's, anywhere.
    pub strategy: Vec<Strategy>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub instance: Id128,
    pub gpus: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub instance: Id128,
    pub reason: Reason,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    pub placed: Vec<Placed>,
    /// Why the first task that found no place found none, an entry an instance.
    pub refused: Vec<Refused>,
}

/// The instances that may be asked.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    instances: BTreeMap<Id128, Instance>,
}

impl Pool {
    /// An instance has come or is not what it was.
    pub fn put(&mut self, instance: Instance) {
        self.instances.insert(instance.id, instance);
    }

    pub fn remove(&mut self, id: Id128) {
        self.instances.remove(&id);
    }

    pub fn get(&self, id: Id128) -> Option<&Instance> {
        self.instances.get(&id)
    }

    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// Place up to `count` tasks and reserve what they take.
    pub fn place(&mut self, ask: &Ask, count: usize, dice: &mut Dice) -> Placement {
        let mut placement = Placement::default();
        while placement.placed.len() < count {
            match self.choose(ask, dice) {
                Ok(id) => {
                    let instance = self.instances.get_mut(&id).expect("it was just chosen");
                    let gpus = instance.take(&ask.need, &ask.group);
                    placement.placed.push(Placed { instance: id, gpus });
                }
                Err(refused) => {
                    placement.refused = refused;
                    break;
                }
            }
        }
        placement
    }

    /// Why the named instance would not take the task.
    pub fn refusal(&self, ask: &Ask, id: Id128) -> Option<Reason> {
        self.instances.get(&id).map_or(Some(Reason::Inactive), |one| refusal(ask, one))
    }

    /// Place one task on the instance that its caller has chosen.
    pub fn place_on(&mut self, ask: &Ask, id: Id128) -> Result<Placed, Reason> {
        let instance = self.instances.get_mut(&id).ok_or(Reason::Inactive)?;
        match refusal(ask, instance) {
            Some(reason) => Err(reason),
            None => Ok(Placed { instance: id, gpus: instance.take(&ask.need, &ask.group) }),
        }
    }

    fn choose(&self, ask: &Ask, dice: &mut Dice) -> Result<Id128, Vec<Refused>> {
        let (mut fit, mut refused) = (Vec::new(), Vec::new());
        for instance in self.instances.values() {
            match refusal(ask, instance) {
                None => fit.push(instance),
                Some(reason) => refused.push(Refused { instance: instance.id, reason }),
            }
        }
        if fit.is_empty() {
            return Err(refused);
        }
        for strategy in &ask.strategy {
            self.keep_best(&mut fit, strategy, &ask.group, dice);
        }
        Ok(fit[dice.below(fit.len() as u64) as usize].id)
    }

    fn keep_best(
        &self,
        fit: &mut Vec<&Instance>,
        strategy: &Strategy,
        group: &Arc<str>,
        dice: &mut Dice,
    ) {
        match strategy {
            Strategy::Random => {
                let one = fit[dice.below(fit.len() as u64) as usize];
                *fit = vec![one];
            }
            Strategy::BinpackCpu => keep_least(fit, |one| one.free.cpu),
            Strategy::BinpackMemory => keep_least(fit, |one| one.free.memory),
            Strategy::Spread(Field::Instance) => keep_least(fit, |one| tasks_of(one, group)),
            Strategy::Spread(Field::Attribute(name)) => {
                let mut counts: BTreeMap<Option<&str>, i64> = BTreeMap::new();
                for one in self.instances.values() {
                    *counts.entry(value_of(one, name)).or_default() += tasks_of(one, group);
                }
                keep_least(fit, |one| counts[&value_of(one, name)]);
            }
        }
    }
}

fn refusal(ask: &Ask, instance: &Instance) -> Option<Reason> {
    let unmet = |constraint: &Constraint| match constraint {
        Constraint::DistinctInstance => {
            (tasks_of(instance, &ask.group) > 0).then_some(Reason::DistinctInstance)
        }
        Constraint::MemberOf(query) => (!query.holds(instance)).then_some(Reason::MemberOf),
    };
    let refuses = instance.refuses(&ask.need);
    let refuses = refuses.or_else(|| ask.constraints.iter().find_map(unmet));
    refuses.or_else(|| instance.lacks(&ask.need))
}

fn tasks_of(instance: &Instance, group: &Arc<str>) -> i64 {
    instance.groups.get(group).copied().unwrap_or_default().into()
}

/// Instances without the attribute are one more value of it.
fn value_of<'a>(instance: &'a Instance, name: &str) -> Option<&'a str> {
    instance.attributes.get(name).map(|value| value.as_deref().unwrap_or_default())
}

fn keep_least(fit: &mut Vec<&Instance>, by: impl Fn(&Instance) -> i64) {
    let least = fit.iter().map(|one| by(one)).min();
    fit.retain(|one| Some(by(one)) == least);
}

/// How many of `count` tasks each capacity provider gets, by its base and weight: first the bases,
/// then the rest in the weights' proportion, each task to whoever is furthest behind.
pub fn split(items: &[(usize, usize)], count: usize) -> Vec<usize> {
    let mut shares = vec![0; items.len()];
    let mut left = count;
    for (share, (base, _)) in shares.iter_mut().zip(items) {
        *share = left.min(*base);
        left -= *share;
    }
    let mut given = vec![0_usize; items.len()];
    let single = items.len() == 1;
    for _ in 0..left {
        let weighty = (0..items.len()).filter(|n| single || items[*n].1 > 0);
        // The least of given / weight, compared without dividing; the first among equals.
        let next = weighty.min_by(|a, b| {
            let (weight_a, weight_b) = (items[*a].1.max(1), items[*b].1.max(1));
            ((given[*a] + 1) * weight_b).cmp(&((given[*b] + 1) * weight_a))
        });
        let Some(next) = next else { break };
        given[next] += 1;
        shares[next] += 1;
    }
    shares
}
