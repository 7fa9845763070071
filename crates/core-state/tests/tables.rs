//! Tables against a plain model: whatever is put, deleted, undone, cloned, stored and loaded, rows
//! and everything derived from them agree.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use core_state::{Declare, Index, LoadError, Row, SchemaBuilder, State, Tally, Trace, Tx};
use core_types::{Dice, Time};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pet {
    id: u32,
    owner: String,
    fed_until: Option<i64>,
    #[serde(default)]
    tricks: Vec<String>,
}

impl Row for Pet {
    type Key = u32;
    const TABLE: &'static str = "pets";
    const VERSION: u32 = 3;

    fn key(&self) -> u32 {
        self.id
    }

    fn wake_at(&self) -> Option<Time> {
        self.fed_until.map(Time)
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<ByOwner>();
        declare.tally::<PetsOf>();
        declare.trace::<Renamed>();
    }

    fn upgrade(from: u32, mut row: serde_json::Value) -> Result<serde_json::Value, String> {
        match from {
            // Format 1 called the owner "master".
            1 => row["owner"] = row["master"].take(),
            // Format 2 kept hours.
            2 => row["fed_until"] = row["fed_until"].as_i64().map(|h| h * 3_600_000).into(),
            _ => return Err("no such format".into()),
        }
        Ok(row)
    }
}

struct ByOwner;
impl Index for ByOwner {
    type Row = Pet;
    type Key = String;
    fn keys(row: &Pet, add: &mut dyn FnMut(String)) {
        add(row.owner.clone());
    }
}

struct PetsOf;
impl Tally for PetsOf {
    type Row = Pet;
    type Key = String;
    type Sum = i64;
    fn counts(row: &Pet, add: &mut dyn FnMut(String, i64)) {
        add(row.owner.clone(), 1);
    }
}

/// Pets whose owner is another than before.
struct Renamed;
impl Trace for Renamed {
    type Row = Pet;
    type Key = u32;
    fn touches(before: Option<&Pet>, after: Option<&Pet>, add: &mut dyn FnMut(u32)) {
        if before.map(|pet| &pet.owner) != after.map(|pet| &pet.owner) {
            before.or(after).into_iter().for_each(|pet| add(pet.id));
        }
    }
}

/// Owners by pet, kept beside the state.
#[derive(Default)]
struct Owners(BTreeMap<u32, String>);

/// Bring what is kept up to date, looking at what was touched only, and compare.
fn follow(tx: &mut Tx<'_>) {
    let (kept, touched) = (tx.lend::<Owners>(), tx.touched::<Renamed>());
    let touched = touched.filter(|_| kept.is_some());
    let touched = touched.unwrap_or_else(|| tx.all::<Pet>().map(|pet| pet.id).collect());
    let mut owners = kept.unwrap_or_default();
    for id in touched {
        match tx.get::<Pet>(&id) {
            Some(pet) => owners.0.insert(id, pet.owner.clone()),
            None => owners.0.remove(&id),
        };
    }
    let rows = tx.all::<Pet>().map(|pet| (pet.id, pet.owner.clone()));
    assert_eq!(owners.0, rows.collect());
    tx.keep(owners);
}

fn empty() -> State {
    let mut schema = SchemaBuilder::default();
    schema.table::<Pet>();
    schema.build()
}

#[derive(Clone, Debug)]
enum Op {
    Put(u32, u8, Option<i64>),
    Rename(u32, u8),
    Delete(u32),
}

fn op() -> impl Strategy<Value = Op> {
    let id = 0u32..200;
    prop_oneof![
        (id.clone(), 0u8..5, proptest::option::of(0i64..50)).prop_map(|(i, o, f)| Op::Put(i, o, f)),
        (id.clone(), 0u8..5).prop_map(|(i, o)| Op::Rename(i, o)),
        id.prop_map(Op::Delete),
    ]
}

fn apply(tx: &mut Tx<'_>, op: &Op) {
    match op {
        Op::Put(id, owner, fed) => {
            let owner = format!("o{owner}");
            tx.put(Pet { id: *id, owner, fed_until: *fed, tricks: vec![] });
        }
        Op::Rename(id, owner) => {
            tx.edit::<Pet>(id, |pet| pet.owner = format!("o{owner}"));
        }
        Op::Delete(id) => {
            tx.delete::<Pet>(id);
        }
    }
}

fn agree(state: &State, model: &BTreeMap<u32, Pet>) {
    assert!(state.all::<Pet>().eq(model.values()));
    assert_eq!(state.audit(), Vec::<String>::new());
    for owner in 0..5 {
        let owner = format!("o{owner}");
        let expected: Vec<u32> =
            model.values().filter(|p| p.owner == owner).map(|p| p.id).collect();
        let found: Vec<u32> = state.by::<ByOwner>(&owner).map(|p| p.id).collect();
        assert_eq!(found, expected);
        assert_eq!(state.sum::<PetsOf>(&owner), expected.len() as i64);
        if let Some(second) = expected.get(1) {
            let rest: Vec<u32> = state.by_after::<ByOwner>(&owner, second).map(|p| p.id).collect();
            assert_eq!(rest, expected[2..]);
        }
    }
    assert_eq!(state.next_wake(), model.values().filter_map(|p| p.fed_until).min().map(Time));
}

proptest! {
    #[test]
    fn rows_indexes_and_undo_follow_a_model(
        kept in proptest::collection::vec(op(), 0..120),
        undone in proptest::collection::vec(op(), 0..60),
    ) {
        let (mut state, mut log, mut dice) = (empty(), Vec::new(), Dice::from_number(0));
        let mut model = BTreeMap::new();
        let mut tx = Tx::new(&mut state, &mut log, &mut dice, Time(0));
        for op in &kept {
            apply(&mut tx, op);
            match op {
                Op::Put(id, owner, fed) => {
                    let owner = format!("o{owner}");
                    model.insert(*id, Pet { id: *id, owner, fed_until: *fed, tricks: vec![] });
                }
                Op::Rename(id, owner) => {
                    model.entry(*id).and_modify(|pet| pet.owner = format!("o{owner}"));
                }
                Op::Delete(id) => {
                    model.remove(id);
                }
            }
        }
        agree(&tx, &model);
        let reader = (*tx).clone();
        let savepoint = tx.savepoint();
        undone.iter().for_each(|op| apply(&mut tx, op));
        agree(&reader, &model);
        tx.rollback(savepoint);
        agree(&tx, &model);

        // What the journal would carry rebuilds the same state.
        let mut loaded = empty();
        for change in state.encode(&log) {
            loaded.load(change.table, change.version, &change.key, change.value.as_deref()).unwrap();
        }
        agree(&loaded, &model);
        let mut from_snapshot = empty();
        state.encode_all(&mut |c| {
            from_snapshot.load(c.table, c.version, &c.key, c.value.as_deref()).unwrap();
        });
        agree(&from_snapshot, &model);
    }

    /// Undone writes leave their trace too, and a clone, which keeps nothing, builds anew.
    #[test]
    fn what_is_kept_follows_the_rows(
        parts in proptest::collection::vec((proptest::collection::vec(op(), 0..8), 0..4u8), 0..30),
    ) {
        let (mut state, mut log, mut dice) = (empty(), Vec::new(), Dice::from_number(0));
        for (ops, what) in parts {
            let mut tx = Tx::new(&mut state, &mut log, &mut dice, Time(0));
            let savepoint = tx.savepoint();
            ops.iter().for_each(|op| apply(&mut tx, op));
            match what {
                0 => {}
                1 => tx.rollback(savepoint),
                2 => {
                    follow(&mut tx);
                    tx.rollback(savepoint);
                }
                _ => state = state.clone(),
            }
            follow(&mut Tx::new(&mut state, &mut log, &mut dice, Time(0)));
        }
    }

    #[test]
    fn stored_bytes_of_any_kind_are_an_error_or_a_row(
        key in proptest::collection::vec(any::<u8>(), 0..20),
        value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
    ) {
        let _ = empty().load("pets", 3, &key, value.as_deref());
    }
}

#[test]
fn writing_what_is_there_is_no_change() {
    let (mut state, mut log, mut dice) = (empty(), Vec::new(), Dice::from_number(0));
    let mut tx = Tx::new(&mut state, &mut log, &mut dice, Time(0));
    let pet = Pet { id: 1, owner: "a".into(), fed_until: None, tricks: vec![] };
    tx.put(pet.clone());
    tx.put(pet);
    tx.edit::<Pet>(&1, |_| {});
    assert_eq!(tx.savepoint(), 1);
}

#[test]
fn a_newer_wharf_reads_older_rows_and_an_older_one_refuses_newer_ones() {
    let mut state = empty();
    state.load("pets", 1, b"7", Some(br#"{"id":7,"master":"ann","fed_until":2}"#)).unwrap();
    let pet = state.get::<Pet>(&7).unwrap();
    assert_eq!((pet.owner.as_str(), pet.fed_until), ("ann", Some(7_200_000)));
    let newer = state.load("pets", 4, b"7", Some(b"{}"));
    assert!(matches!(newer, Err(LoadError::Newer { version: 4, known: 3, .. })));
    assert!(matches!(state.load("cats", 1, b"7", None), Err(LoadError::UnknownTable(_))));
}
