//! What every kind of journal has to do, written once against the trait.
//!
//! A [`Model`] is both the sink of the journal under test and the thing it is compared with: rows
//! in a map, plus the last revision.

#![allow(dead_code, reason = "each test binary uses its own part of the suite")]

pub mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plane_journal::{
    Batch, Installed, Journal, JournalError, RowChange, Sink, SinkError, Stop, Term,
};
use proptest::prelude::*;

type Rows = BTreeMap<(Arc<str>, Vec<u8>), (u32, Vec<u8>)>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    pub rev: u64,
    pub rows: Rows,
    /// Set while a snapshot is being fed.
    loading: bool,
}

impl Model {
    pub fn apply(&mut self, batch: &Batch) {
        assert_eq!(batch.rev, self.rev + 1, "revisions rise by exactly one");
        assert!(!self.loading);
        self.rev = batch.rev;
        for change in batch.changes.clone() {
            let key = (change.table, change.key);
            match change.value {
                Some(value) => self.rows.insert(key, (change.version, value)),
                None => self.rows.remove(&key),
            };
        }
    }

    /// Each batch leaves a counter row that must agree with the revision: a half-applied batch
    /// would not.
    pub fn check(&self) {
        for table in ["first", "last"] {
            let counter = self.rows.get(&(table.into(), b"counter".to_vec()));
            let told = counter.map_or(0, |(_, value)| {
                String::from_utf8(value.clone()).unwrap().parse::<u64>().unwrap()
            });
            assert_eq!(told, self.rev, "table {table}");
        }
    }
}

impl Sink for Model {
    fn snapshot_begin(&mut self, _rev: u64) {
        self.rows.clear();
        self.loading = true;
    }

    fn snapshot_row(&mut self, row: RowChange) -> Result<(), SinkError> {
        assert!(self.loading);
        let value = row.value.expect("a snapshot deletes nothing");
        let before = self.rows.insert((row.table, row.key), (row.version, value));
        assert_eq!(before, None, "a snapshot holds each row once");
        Ok(())
    }

    fn snapshot_done(&mut self, rev: u64) {
        self.rev = rev;
        self.loading = false;
        self.check();
    }

    fn batch(&mut self, batch: Batch) -> Result<(), SinkError> {
        self.apply(&batch);
        Ok(())
    }
}

pub fn put(table: &str, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> RowChange {
    let (key, value) = (key.into(), Some(value.into()));
    RowChange { table: table.into(), version: 1, key, value }
}

/// A batch with a counter row at either end and `changes` between.
pub fn batch(rev: u64, changes: Vec<RowChange>) -> Batch {
    let mut all = vec![put("first", "counter", rev.to_string())];
    all.extend(changes);
    all.push(put("last", "counter", rev.to_string()));
    Batch { rev, at_ms: 1_000 + rev as i64, changes: all }
}

pub fn plain(rev: u64) -> Batch {
    batch(rev, vec![put("things", format!("k{}", rev % 7), format!("value of {rev}"))])
}

/// Pseudo-random bytes, which do not compress.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// One journal's durable place, which outlives the processes that open it.
pub trait World {
    /// What a new process would open. The one before is gone, cleanly or not.
    fn open(&mut self) -> Box<dyn Journal>;
}

pub fn lead(journal: &mut dyn Journal, model: &mut Model) -> Term {
    journal.lead(model, &Stop::default()).expect("nobody else wants to lead")
}

pub fn start(world: &mut dyn World) -> (Box<dyn Journal>, Model, Term) {
    let mut journal = world.open();
    let mut model = Model::default();
    let recovered = journal.recover(&mut model).expect("recovery");
    assert_eq!(recovered.rev, model.rev);
    let term = lead(&mut *journal, &mut model);
    model.check();
    (journal, model, term)
}

pub fn append(journal: &mut dyn Journal, model: &mut Model, batches: &[Batch]) {
    journal.append(batches).expect("append");
    batches.iter().for_each(|batch| model.apply(batch));
}

pub fn try_snapshot(journal: &mut dyn Journal, model: &Model) -> Result<(), JournalError> {
    let done = write_rows(journal, model)?;
    journal.install(done)
}

fn write_rows(journal: &mut dyn Journal, model: &Model) -> Result<Installed, JournalError> {
    let mut writer = journal.begin_snapshot(model.rev)?;
    assert!(!journal.snapshot_due(), "one is being written");
    for ((table, key), (version, value)) in &model.rows {
        let (table, key, value) = (table.clone(), key.clone(), Some(value.clone()));
        writer.row(&RowChange { table, version: *version, key, value })?;
    }
    writer.finish()
}

pub fn snapshot(journal: &mut dyn Journal, model: &Model) {
    try_snapshot(journal, model).expect("snapshot");
}

pub fn an_empty_journal_starts_at_zero_and_terms_rise(world: &mut dyn World) {
    let mut last = Term(0);
    for _ in 0..4 {
        let (journal, model, term) = start(world);
        assert_eq!(model, Model::default());
        assert!(term > last, "{term:?} after {last:?}");
        assert_eq!(journal.follower().leader().expect("we lead").term, term.0);
        last = term;
    }
}

pub fn what_was_appended_comes_back(world: &mut dyn World) {
    let mut expected = Model::default();
    for _ in 0..3 {
        let (mut journal, mut model, _) = start(world);
        assert_eq!(model, expected);
        let from = model.rev + 1;
        append(&mut *journal, &mut model, &[plain(from)]);
        let group: Vec<Batch> = (from + 1..from + 65).map(plain).collect();
        append(&mut *journal, &mut model, &group);
        journal.append(&[]).expect("an empty group asks whether we still lead");
        assert_eq!(journal.status().head, model.rev);
        expected = model;
    }
}

pub fn snapshots_take_the_place_of_the_log(world: &mut dyn World) {
    let mut expected = Model::default();
    for round in 0..4 {
        let (mut journal, mut model, _) = start(world);
        assert_eq!(model, expected, "round {round}");
        for _ in 0..3 {
            let from = model.rev + 1;
            append(&mut *journal, &mut model, &[plain(from), plain(from + 1)]);
            snapshot(&mut *journal, &model);
            assert_eq!(journal.status().snapshot_rev, model.rev);
            let from = model.rev + 1;
            append(&mut *journal, &mut model, &[plain(from)]);
        }
        expected = model;
    }
}

pub fn appends_go_on_while_a_snapshot_is_written(world: &mut dyn World) {
    let (mut journal, mut model, _) = start(world);
    append(&mut *journal, &mut model, &[plain(1), plain(2)]);
    let frozen = model.clone();
    let mut writer = journal.begin_snapshot(2).expect("begin");
    assert!(journal.begin_snapshot(2).is_err(), "only one at a time");
    append(&mut *journal, &mut model, &[plain(3)]);
    for ((table, key), (version, value)) in frozen.rows.clone() {
        let value = Some(value);
        writer.row(&RowChange { table, version, key, value }).expect("row");
    }
    append(&mut *journal, &mut model, &[plain(4)]);
    let done = std::thread::spawn(move || writer.finish()).join().unwrap().expect("finish");
    append(&mut *journal, &mut model, &[plain(5)]);
    journal.install(done).expect("install");
    drop(journal);
    assert_eq!(start(world).1, model);
}

/// What is written but not installed yet is the only one as well: the next would be deleted with
/// what this one replaces.
pub fn the_next_snapshot_waits_until_one_is_installed(world: &mut dyn World) {
    let (mut journal, mut model, _) = start(world);
    append(&mut *journal, &mut model, &[plain(1)]);
    let done = write_rows(&mut *journal, &model).expect("written");
    while model.rev < 40 {
        let next = model.rev + 1;
        let value = noise(next, 500_000);
        append(&mut *journal, &mut model, &[batch(next, vec![put("big", "k", value)])]);
        assert!(!journal.snapshot_due(), "one waits to be installed");
    }
    let refused = journal.begin_snapshot(model.rev).err();
    assert!(matches!(refused, Some(JournalError::Misuse(_))), "{refused:?}");
    journal.install(done).expect("install");
    let second = write_rows(&mut *journal, &model).expect("written");
    journal.install(second).expect("install");
    drop(journal);
    assert_eq!(start(world).1, model);
}

pub fn an_unfinished_snapshot_costs_nothing(world: &mut dyn World) {
    let (mut journal, mut model, _) = start(world);
    append(&mut *journal, &mut model, &[plain(1)]);
    let mut writer = journal.begin_snapshot(1).expect("begin");
    writer.row(&put("half", "a", "row")).expect("row");
    drop(writer);
    append(&mut *journal, &mut model, &[plain(2)]);
    drop(journal);
    let (mut journal, recovered, _) = start(world);
    assert_eq!(recovered, model);
    snapshot(&mut *journal, &model);
    drop(journal);
    assert_eq!(start(world).1, model);
}

pub fn a_snapshot_falls_due_as_the_log_grows(world: &mut dyn World) {
    let (mut journal, mut model, _) = start(world);
    assert!(!journal.snapshot_due());
    for _ in 0..2 {
        let mut written = 0;
        while !journal.snapshot_due() {
            let next = model.rev + 1;
            let value = noise(next, 500_000);
            append(&mut *journal, &mut model, &[batch(next, vec![put("big", "k", value)])]);
            written += 1;
            assert!(written < 40, "{:?}", journal.status());
        }
        // One that fails is not due again at once.
        drop(journal.begin_snapshot(model.rev).expect("begin"));
        assert!(!journal.snapshot_due());
        snapshot(&mut *journal, &model);
        assert!(!journal.snapshot_due());
        assert_eq!(journal.status().log_bytes, 0);
    }
}

pub fn large_groups_are_whole(world: &mut dyn World) {
    let (mut journal, mut model, _) = start(world);
    let big = |rev: u64| batch(rev, vec![put("big", format!("{rev}"), noise(rev, 900_000))]);
    append(&mut *journal, &mut model, &[big(1), big(2), big(3)]);
    append(&mut *journal, &mut model, &[plain(4)]);
    snapshot(&mut *journal, &model);
    append(&mut *journal, &mut model, &[big(5), plain(6)]);
    drop(journal);
    assert_eq!(start(world).1, model);
}

pub fn wrong_orders_of_calls_are_refused(world: &mut dyn World) {
    let mut journal = world.open();
    let mut model = Model::default();
    assert!(journal.append(&[plain(1)]).is_err(), "before recover");
    journal.recover(&mut model).expect("recovery");
    assert!(matches!(journal.append(&[plain(1)]), Err(JournalError::Fenced { .. })));
    lead(&mut *journal, &mut model);
    for wrong in [vec![plain(2)], vec![plain(0)], vec![plain(1), plain(3)]] {
        assert!(matches!(journal.append(&wrong), Err(JournalError::Misuse(_))));
    }
    append(&mut *journal, &mut model, &[plain(1)]);
    assert!(matches!(journal.begin_snapshot(7), Err(JournalError::Misuse(_))));
    journal.resign();
    assert!(matches!(journal.append(&[plain(2)]), Err(JournalError::Fenced { .. })));
    drop(journal);
    assert_eq!(start(world).1, model);
}

/// One step of a life that the property test lives.
#[derive(Clone, Debug)]
pub enum Act {
    Append { sizes: Vec<usize> },
    Snapshot,
    BeginOnly,
    Reopen,
    Release,
}

pub fn acts() -> impl Strategy<Value = Vec<Act>> {
    let sizes = proptest::collection::vec(0usize..6000, 1..6);
    let act = prop_oneof![
        6 => sizes.prop_map(|sizes| Act::Append { sizes }),
        2 => Just(Act::Snapshot),
        1 => Just(Act::BeginOnly),
        2 => Just(Act::Reopen),
        1 => Just(Act::Release),
    ];
    proptest::collection::vec(act, 1..20)
}

/// Any sequence of appends, snapshots, ends and starts leaves what the model says.
pub fn lives_like_the_model(world: &mut dyn World, acts: &[Act]) {
    let (mut journal, mut model, mut term) = start(world);
    for act in acts {
        match act {
            Act::Append { sizes } => {
                let mut group = Vec::new();
                for size in sizes {
                    let rev = model.rev + group.len() as u64 + 1;
                    let mut deletion = put("things", format!("k{}", size % 5), "");
                    deletion.value = None;
                    let added = put("things", format!("k{}", rev % 9), noise(rev, *size));
                    group.push(batch(rev, vec![deletion, added]));
                }
                append(&mut *journal, &mut model, &group);
            }
            Act::Snapshot => snapshot(&mut *journal, &model),
            Act::BeginOnly => drop(journal.begin_snapshot(model.rev).expect("begin")),
            Act::Reopen => {
                drop(journal);
                let again = start(world);
                assert_eq!(again.1, model);
                assert!(again.2 > term);
                (journal, model, term) = again;
            }
            Act::Release => {
                journal.resign();
                term = lead(&mut *journal, &mut model).max(term);
            }
        }
        assert_eq!(journal.status().head, model.rev);
    }
    drop(journal);
    assert_eq!(start(world).1, model);
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Waits for a condition that another process or thread brings about.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(std::time::Instant::now() < end, "never came: {what}");
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// The life of a process that is to be killed: leads, then appends and says so, for ever.
pub fn append_until_killed(mut journal: Box<dyn Journal>) {
    let mut model = Model::default();
    journal.recover(&mut model).expect("recovery");
    lead(&mut *journal, &mut model);
    println!("leads {}", model.rev);
    loop {
        let size = model.rev % 5 + 1;
        let group: Vec<Batch> = (model.rev + 1..=model.rev + size).map(plain).collect();
        if let Err(error) = journal.append(&group) {
            return println!("refused {error}");
        }
        group.iter().for_each(|batch| model.apply(batch));
        println!("acked {}", model.rev);
        if model.rev % 64 < size
            && let Err(error) = try_snapshot(&mut *journal, &model)
        {
            return println!("refused {error}");
        }
    }
}

/// What appending [`plain`] batches up to `rev` leaves.
pub fn plain_model(rev: u64) -> Model {
    let mut model = Model::default();
    (1..=rev).for_each(|rev| model.apply(&plain(rev)));
    model
}

pub const CHILD: &str = "JOURNAL_TEST_CHILD";

/// This test again, in a process of its own that finds `place` in its environment.
pub struct Child {
    process: std::process::Child,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Child {
    pub fn start(test: &str, place: &str) -> Child {
        let mut process = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, place)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(process.stdout.take().unwrap());
        Child { process, lines: std::io::BufRead::lines(lines) }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The rest of the next line that begins with `word`; `None` once the process is gone.
    pub fn next(&mut self, word: &str) -> Option<String> {
        loop {
            let line = self.lines.next()?.ok()?;
            if let Some((_, rest)) = line.split_once(&format!("{word} ")) {
                return Some(rest.to_owned());
            }
        }
    }

    pub fn acked(&mut self) -> Option<u64> {
        self.next("acked").map(|rev| rev.parse().unwrap())
    }

    /// kill -9, then the last revision that it said was acknowledged.
    pub fn kill(mut self) -> u64 {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::iter::from_fn(|| self.acked()).last().unwrap_or(0)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn signal(pid: u32, name: &str) {
    let done = std::process::Command::new("kill").arg(name).arg(pid.to_string()).status().unwrap();
    assert!(done.success());
}
