//! Where tasks go, and why not: constraints, strategies, shares, and that nothing is given twice.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use core_placement::{
    Ask, Constraint, Field, Free, Instance, Need, Placement, Pool, Query, Reason, Strategy, split,
};
use core_types::{Dice, Id128, Time};
use proptest::prelude::*;

fn id(n: u8) -> Id128 {
    Id128([n; 16])
}

fn instance(n: u8, zone: &str, cpu: i64, memory: i64) -> Instance {
    let zone = ("ecs.availability-zone".to_owned(), Some(zone.to_owned()));
    Instance {
        id: id(n),
        active: true,
        connected: true,
        attributes: Arc::new(BTreeMap::from([zone, ("gpu".to_owned(), None)])),
        agent_version: None,
        ec2_instance_id: None,
        registered_at: Time(0),
        free: Free { cpu, memory, ..Default::default() },
        groups: BTreeMap::new(),
        running_tasks: 0,
    }
}

fn pool(all: impl IntoIterator<Item = Instance>) -> Pool {
    let mut pool = Pool::default();
    all.into_iter().for_each(|one| pool.put(one));
    pool
}

fn ask(need: Need, strategy: Vec<Strategy>) -> Ask {
    Ask { group: "family:web".into(), need, constraints: Vec::new(), strategy }
}

fn small() -> Need {
    Need { cpu: 10, memory: 10, ..Default::default() }
}

fn counts(placement: &Placement) -> BTreeMap<Id128, usize> {
    let mut counts = BTreeMap::new();
    placement.placed.iter().for_each(|p| *counts.entry(p.instance).or_default() += 1);
    counts
}

#[test]
fn spreading_over_zones_then_instances_is_even() {
    let zones = ["a", "a", "a", "b"];
    let mut pool = pool((0..4).map(|n| instance(n + 1, zones[usize::from(n)], 1000, 1000)));
    let zone = Strategy::Spread(Field::Attribute("ecs.availability-zone".to_owned()));
    let ask = ask(small(), vec![zone, Strategy::Spread(Field::Instance)]);
    let placement = pool.place(&ask, 12, &mut Dice::from_number(1));
    let counts = counts(&placement);
    assert_eq!(counts[&id(4)], 6);
    assert!((1..4).all(|n| counts[&id(n)] == 2), "{counts:?}");
}

#[test]
fn packing_fills_one_before_it_takes_the_next() {
    let mut pool = pool([instance(1, "a", 1000, 30), instance(2, "a", 1000, 25)]);
    let ask = ask(small(), vec![Strategy::BinpackMemory]);
    let placement = pool.place(&ask, 9, &mut Dice::from_number(1));
    let order: Vec<_> = placement.placed.iter().map(|placed| placed.instance).collect();
    assert_eq!(order, [id(2), id(2), id(1), id(1), id(1)]);
    let reasons: Vec<_> = placement.refused.iter().map(|refused| &refused.reason).collect();
    assert_eq!(reasons, [&Reason::Memory, &Reason::Memory]);
}

#[test]
fn distinct_instances_are_distinct_for_the_group_alone() {
    let mut other = instance(1, "a", 100, 100);
    other.groups.insert("family:other".into(), 5);
    let mut taken = instance(2, "a", 100, 100);
    taken.groups.insert("family:web".into(), 1);
    let mut pool = pool([other, taken, instance(3, "a", 100, 100)]);
    let mut ask = ask(small(), Vec::new());
    ask.constraints.push(Constraint::DistinctInstance);
    let placement = pool.place(&ask, 3, &mut Dice::from_number(1));
    assert_eq!(counts(&placement), BTreeMap::from([(id(1), 1), (id(3), 1)]));
    assert!(placement.refused.iter().all(|refused| refused.reason == Reason::DistinctInstance));
}

#[test]
fn the_first_reason_is_what_an_instance_is_before_what_it_has() {
    let need = Need {
        cpu: 200,
        tcp: vec![80],
        attributes: vec![("arm".to_owned(), None)],
        ..Default::default()
    };
    let mut one = instance(1, "a", 100, 100);
    let refusal = |one: &Instance, need: &Need| {
        let pool = pool([one.clone()]);
        pool.refusal(&ask(need.clone(), Vec::new()), one.id)
    };
    one.active = false;
    assert_eq!(refusal(&one, &need), Some(Reason::Inactive));
    one.active = true;
    one.connected = false;
    assert_eq!(refusal(&one, &need), Some(Reason::Agent));
    one.connected = true;
    assert_eq!(refusal(&one, &need), Some(Reason::Attribute("arm".to_owned())));
    Arc::make_mut(&mut one.attributes).insert("arm".to_owned(), None);
    assert_eq!(refusal(&one, &need), Some(Reason::Cpu));
    one.free.cpu = 1000;
    one.free.tcp.insert(80);
    assert_eq!(refusal(&one, &need), Some(Reason::Port { port: 80, udp: false }));
    one.free.tcp.clear();
    one.free.udp.insert(80);
    assert_eq!(refusal(&one, &need), None);
}

#[test]
fn members_are_asked_by_the_query_language() {
    let query = Query::parse("attribute:ecs.availability-zone == b", |_| None).unwrap();
    let mut pool = pool([instance(1, "a", 100, 100), instance(2, "b", 100, 100)]);
    let mut ask = ask(small(), Vec::new());
    ask.constraints.push(Constraint::MemberOf(query));
    let placement = pool.place(&ask, 20, &mut Dice::from_number(1));
    assert_eq!(counts(&placement), BTreeMap::from([(id(2), 10)]));
    let reasons: Vec<_> = placement.refused.iter().map(|refused| &refused.reason).collect();
    assert_eq!(reasons, [&Reason::MemberOf, &Reason::Cpu]);
}

#[test]
fn gpus_are_given_by_their_ids_and_once() {
    let mut one = instance(1, "a", 100, 100);
    one.free.gpus = ["g0", "g1", "g2"].map(Arc::from).to_vec();
    let mut pool = pool([one]);
    let need = Need { gpus: 2, ..small() };
    let placement = pool.place(&ask(need, Vec::new()), 2, &mut Dice::from_number(1));
    assert_eq!(placement.placed[0].gpus, ["g0", "g1"].map(Arc::from));
    assert_eq!(placement.placed.len(), 1);
    assert_eq!(placement.refused[0].reason, Reason::Gpu);
}

#[test]
fn shares_follow_base_and_weight() {
    assert_eq!(split(&[(1, 1), (0, 4)], 10), [3, 7]);
    assert_eq!(split(&[(0, 1), (0, 1)], 3), [2, 1]);
    assert_eq!(split(&[(0, 0)], 3), [3]);
    assert_eq!(split(&[(5, 0), (0, 1)], 4), [4, 0]);
    assert_eq!(split(&[(0, 0), (0, 1)], 4), [0, 4]);
}

prop_compose! {
    fn instances()(all in proptest::collection::vec((0..3u8, 0..200i64, 0..200i64), 0..8))
        -> Vec<Instance>
    {
        let zone = ["a", "b", "c"];
        let made = all.into_iter().enumerate().map(|(n, (z, cpu, memory))| {
            instance(u8::try_from(n).unwrap() + 1, zone[usize::from(z)], cpu, memory)
        });
        made.collect()
    }
}

fn strategies() -> impl proptest::strategy::Strategy<Value = Vec<Strategy>> {
    let zone = Field::Attribute("ecs.availability-zone".to_owned());
    let one = proptest::sample::select(vec![
        Strategy::Random,
        Strategy::Spread(Field::Instance),
        Strategy::Spread(zone),
        Strategy::BinpackCpu,
        Strategy::BinpackMemory,
    ]);
    proptest::collection::vec(one, 0..3)
}

proptest! {
    #[test]
    fn nothing_is_given_twice_and_nothing_that_fits_is_refused(
        all in instances(),
        strategy in strategies(),
        (cpu, memory, count) in (0..60i64, 0..60i64, 0..20usize),
        port in proptest::option::of(1..3u16),
        seed in any::<u64>(),
    ) {
        let need = Need { cpu, memory, tcp: port.into_iter().collect(), ..Default::default() };
        let mut pool = pool(all.clone());
        let ask = ask(need.clone(), strategy);
        let placement = pool.place(&ask, count, &mut Dice::from_number(seed));
        let counts = counts(&placement);
        for one in &all {
            let n = i64::try_from(counts.get(&one.id).copied().unwrap_or_default()).unwrap();
            prop_assert!(n * cpu <= one.free.cpu && n * memory <= one.free.memory);
            prop_assert!(port.is_none() || n <= 1);
            let left = pool.get(one.id).unwrap();
            prop_assert_eq!(left.free.cpu, one.free.cpu - n * cpu);
            prop_assert_eq!(left.free.memory, one.free.memory - n * memory);
        }
        if placement.placed.len() < count {
            let told: BTreeSet<_> = placement.refused.iter().map(|r| r.instance).collect();
            prop_assert_eq!(told.len(), all.len());
            prop_assert!(all.iter().all(|one| pool.refusal(&ask, one.id).is_some()));
        } else {
            prop_assert_eq!(placement.refused, vec![]);
        }
    }

    #[test]
    fn spreading_stays_within_one(
        count in 0..40usize, hosts in 1..6u8, seed in any::<u64>(),
    ) {
        let mut pool = pool((1..=hosts).map(|n| instance(n, "a", 10_000, 10_000)));
        let ask = ask(small(), vec![Strategy::Spread(Field::Instance)]);
        let counts = counts(&pool.place(&ask, count, &mut Dice::from_number(seed)));
        let of = |n| counts.get(&id(n)).copied().unwrap_or_default();
        let most = (1..=hosts).map(of).max().unwrap();
        let least = (1..=hosts).map(of).min().unwrap();
        prop_assert!(most - least <= 1);
    }

    #[test]
    fn shares_add_up(
        items in proptest::collection::vec((0..4usize, 0..5usize), 1..5), count in 0..30usize,
    ) {
        let shares = split(&items, count);
        let some = items.len() == 1 || items.iter().any(|(_, weight)| *weight > 0);
        let bases: usize = items.iter().map(|(base, _)| base).sum();
        let expected = if some { count } else { count.min(bases) };
        prop_assert_eq!(shares.iter().sum::<usize>(), expected);
    }
}
