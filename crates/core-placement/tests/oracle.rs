//! The index against a placement so plain that it is plainly right: at every task both know the
//! same best instances, and the same reasons where there are none.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use core_placement::{
    Ask, Constraint, Field, Free, Instance, Need, Pool, Query, Reason, Refused, Strategy,
};
use core_types::{Dice, Id128, Time};
use proptest::prelude::*;
use proptest::strategy::Strategy as _;

/// Looks at every instance for every task.
#[derive(Default)]
struct Oracle(BTreeMap<Id128, Instance>);

impl Oracle {
    /// Those that may take the next task, by AWS's rules.
    fn best(&self, ask: &Ask) -> BTreeSet<Id128> {
        let fits = |one: &&Instance| self.refusal(ask, one).is_none();
        let mut fit: Vec<&Instance> = self.0.values().filter(fits).collect();
        for strategy in &ask.strategy {
            let number = |one: &Instance| match strategy {
                Strategy::Random => 0,
                Strategy::BinpackCpu => one.free.cpu,
                Strategy::BinpackMemory => one.free.memory,
                Strategy::Spread(Field::Instance) => tasks_of(one, ask),
                Strategy::Spread(Field::Attribute(name)) => {
                    let value = |one: &Instance| {
                        one.attributes.get(name).map(|value| value.clone().unwrap_or_default())
                    };
                    let same = self.0.values().filter(|other| value(other) == value(one));
                    same.map(|other| tasks_of(other, ask)).sum()
                }
            };
            if *strategy == Strategy::Random {
                break;
            }
            let least = fit.iter().map(|one| number(one)).min();
            fit.retain(|one| Some(number(one)) == least);
        }
        fit.into_iter().map(|one| one.id).collect()
    }

    fn refusal(&self, ask: &Ask, one: &Instance) -> Option<Reason> {
        let unmet = |constraint: &Constraint| match constraint {
            Constraint::DistinctInstance => {
                (tasks_of(one, ask) > 0).then_some(Reason::DistinctInstance)
            }
            Constraint::MemberOf(query) => (!query.holds(one)).then_some(Reason::MemberOf),
        };
        let unmet = || ask.constraints.iter().find_map(unmet);
        one.refuses(&ask.need).or_else(unmet).or_else(|| one.lacks(&ask.need))
    }

    fn refused(&self, ask: &Ask) -> Vec<Refused> {
        let refused = self
            .0
            .values()
            .filter_map(|one| Some(Refused { instance: one.id, reason: self.refusal(ask, one)? }));
        refused.collect()
    }
}

fn tasks_of(one: &Instance, ask: &Ask) -> i64 {
    one.groups.get(&ask.group).copied().unwrap_or_default().into()
}

const ZONE: &str = "ecs.availability-zone";

fn instance() -> impl proptest::strategy::Strategy<Value = Instance> {
    let zone = proptest::option::weighted(0.9, 0..3usize);
    let rack = proptest::option::weighted(0.7, proptest::option::weighted(0.8, 0..4usize));
    let held = (0..4u32, 0..3u32, 0..3usize, proptest::collection::btree_set(1..4u16, 0..2));
    let is = (0..10u8, 0..10u8, zone, rack, 0..3i64);
    ((1..16u8, 0..80i64, 0..80i64), is, held).prop_map(
        |((id, cpu, memory), (down, away, zone, rack, running), (web, job, gpus, tcp))| {
            let mut attributes = BTreeMap::new();
            zone.map(|z| attributes.insert(ZONE.to_owned(), Some(["a", "b", "c"][z].to_owned())));
            rack.map(|r| attributes.insert("rack".to_owned(), r.map(|r| format!("r{r}"))));
            let groups = [("family:web", web), ("family:job", job)];
            let groups = groups.into_iter().filter(|(_, n)| *n > 0);
            Instance {
                id: Id128([id; 16]),
                active: down > 0,
                connected: away > 0,
                attributes: Arc::new(attributes),
                agent_version: None,
                ec2_instance_id: None,
                registered_at: Time(0),
                free: Free {
                    cpu,
                    memory,
                    tcp,
                    udp: BTreeSet::new(),
                    gpus: (0..gpus).map(|n| format!("g{n}").into()).collect(),
                },
                groups: groups.map(|(name, n)| (name.into(), n)).collect(),
                running_tasks: running,
            }
        },
    )
}

fn strategies() -> impl proptest::strategy::Strategy<Value = Vec<Strategy>> {
    let one = proptest::sample::select(vec![
        Strategy::Random,
        Strategy::Spread(Field::Instance),
        Strategy::Spread(Field::Attribute(ZONE.to_owned())),
        Strategy::Spread(Field::Attribute("rack".to_owned())),
        Strategy::BinpackCpu,
        Strategy::BinpackMemory,
    ]);
    proptest::collection::vec(one, 0..5)
}

fn ask() -> impl proptest::strategy::Strategy<Value = Ask> {
    let query = |text: &str| Query::parse(text, |_| None).unwrap();
    let constraint = proptest::sample::select(vec![
        Constraint::DistinctInstance,
        Constraint::MemberOf(query("attribute:rack in [r0, r1, r2]")),
        Constraint::MemberOf(query("attribute:ecs.availability-zone != a")),
        Constraint::MemberOf(query("task:group != family:job")),
        Constraint::MemberOf(query("runningTasksCount < 2")),
        Constraint::MemberOf(query("not (task:group == family:web and agentConnected == true)")),
    ]);
    let need = (0..20i64, 0..20i64, proptest::option::weighted(0.3, 1..4u16), 0..2usize);
    let more = (any::<bool>(), proptest::bool::weighted(0.2), proptest::bool::weighted(0.2));
    let constraints = proptest::collection::vec(constraint, 0..3);
    (need, more, constraints, strategies()).prop_map(
        |((cpu, memory, port, gpus), (web, racked, zoned), constraints, strategy)| Ask {
            group: if web { "family:web" } else { "family:job" }.into(),
            need: Need {
                cpu,
                memory,
                tcp: port.into_iter().collect(),
                udp: Vec::new(),
                gpus,
                attributes: racked.then(|| ("rack".to_owned(), None)).into_iter().collect(),
                zones: if zoned { vec!["a".to_owned(), "b".to_owned()] } else { Vec::new() },
            },
            constraints,
            strategy,
        },
    )
}

#[derive(Clone, Debug)]
enum Happening {
    Put(Instance),
    Remove(u8),
    Place(usize, usize),
    PlaceOn(usize, u8),
}

fn happening() -> impl proptest::strategy::Strategy<Value = Happening> {
    prop_oneof![
        3 => instance().prop_map(Happening::Put),
        1 => (1..16u8).prop_map(Happening::Remove),
        6 => (any::<usize>(), 1..6usize).prop_map(|(ask, n)| Happening::Place(ask, n)),
        1 => (any::<usize>(), 1..16u8).prop_map(|(ask, id)| Happening::PlaceOn(ask, id)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_index_answers_as_the_plain_placement_does(
        all in proptest::collection::vec(instance(), 0..14),
        asks in proptest::collection::vec(ask(), 1..5),
        happenings in proptest::collection::vec(happening(), 1..40),
        seed in any::<u64>(),
    ) {
        let (mut pool, mut oracle) = (Pool::default(), Oracle::default());
        let mut dice = Dice::from_number(seed);
        for one in all {
            pool.put(one.clone());
            oracle.0.insert(one.id, one);
        }
        for what in happenings {
            match what {
                Happening::Put(one) => {
                    pool.put(one.clone());
                    oracle.0.insert(one.id, one);
                }
                Happening::Remove(id) => {
                    pool.remove(Id128([id; 16]));
                    oracle.0.remove(&Id128([id; 16]));
                }
                Happening::Place(ask, count) => {
                    let ask = &asks[ask % asks.len()];
                    let placement = pool.place(ask, count, &mut dice);
                    for placed in &placement.placed {
                        prop_assert!(oracle.best(ask).contains(&placed.instance));
                        let instance = oracle.0.get_mut(&placed.instance).unwrap();
                        prop_assert_eq!(&instance.take(&ask.need, &ask.group), &placed.gpus);
                    }
                    if placement.placed.len() < count {
                        prop_assert_eq!(oracle.best(ask), BTreeSet::new());
                        prop_assert_eq!(placement.refused, oracle.refused(ask));
                    } else {
                        prop_assert_eq!(placement.refused, vec![]);
                    }
                }
                Happening::PlaceOn(ask, id) => {
                    let ask = &asks[ask % asks.len()];
                    let id = Id128([id; 16]);
                    let there = oracle.0.get(&id);
                    let refusal = there.map_or(Some(Reason::Inactive), |one| oracle.refusal(ask, one));
                    prop_assert_eq!(pool.place_on(ask, id).err(), refusal.clone());
                    if refusal.is_none() {
                        oracle.0.get_mut(&id).unwrap().take(&ask.need, &ask.group);
                    }
                }
            }
            prop_assert!(pool.all().eq(oracle.0.values()));
        }
    }

    /// Whoever is among the best may be the one.
    #[test]
    fn among_equals_each_has_its_turn(count in 2..6u8) {
        let one = |n: u8| Instance { id: Id128([n; 16]), active: true, connected: true,
            attributes: Arc::default(), agent_version: None, ec2_instance_id: None,
            registered_at: Time(0), groups: BTreeMap::new(), running_tasks: 0,
            free: Free { cpu: 100, memory: 100, ..Free::default() } };
        let ask = Ask { group: "g".into(), need: Need::default(), constraints: Vec::new(),
            strategy: vec![Strategy::BinpackCpu] };
        let chosen = (0..200).flat_map(|seed| {
            let mut pool = Pool::default();
            (0..count).for_each(|n| pool.put(one(n)));
            pool.place(&ask, 1, &mut Dice::from_number(seed)).placed
        });
        let chosen: BTreeSet<_> = chosen.map(|placed| placed.instance).collect();
        prop_assert_eq!(chosen.len(), usize::from(count));
    }
}
