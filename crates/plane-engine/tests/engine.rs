//! The engine on a real journal and on disks that wait, fail and fill up.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_protocol::ApiError;
use core_state::{Change, Row, SchemaBuilder, Tx};
use core_step::*;
use plane_engine::{Engine, Feed, News, Options, Refusal};
use plane_journal::embedded::{Disk, DiskFile, RealDisk};
use plane_journal::{Batch, EmbeddedJournal, EmbeddedOptions, Journal, RowChange, Sink, SinkError};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    name: String,
    text: String,
}

impl Row for Note {
    type Key = String;
    const TABLE: &'static str = "notes";

    fn key(&self) -> String {
        self.name.clone()
    }
}

struct Write(&'static str, String);

impl Report for Write {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        tx.put(Note { name: self.0.into(), text: self.1 });
        assert!(self.0 != "panics", "as asked");
        Box::new(())
    }
}

struct Nobody;

impl Identity for Nobody {
    fn credentials(
        &self,
        _: &View<'_>,
        _: &str,
        _: Option<&str>,
    ) -> Result<Credentials, CredentialError> {
        Err(CredentialError::Unknown)
    }

    fn authorize(&self, _: &Call, _: &View<'_>, _: &[Demand]) -> Result<(), ApiError> {
        Ok(())
    }
}

static SLICE: Slice = Slice {
    service: &model_ecs::SERVICE,
    actions: &[],
    loops: &[],
    tables: |schema: &mut SchemaBuilder| {
        schema.table::<Note>();
    },
    invariants: &[],
};
static SLICES: &[&Slice] = &[&SLICE];

/// A disk whose syncs can be held back or made to fail.
#[derive(Clone, Default)]
struct Moody {
    held: Arc<(Mutex<bool>, Condvar)>,
    broken: Arc<AtomicBool>,
    full: Arc<AtomicBool>,
}

impl Moody {
    fn hold(&self, hold: bool) {
        *self.held.0.lock().unwrap() = hold;
        self.held.1.notify_all();
    }
}

struct MoodyFile(Box<dyn DiskFile>, Moody);

impl Disk for Moody {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(MoodyFile(RealDisk.create(path)?, self.clone())))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        RealDisk.truncate(path, length)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
}

impl DiskFile for MoodyFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.1.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write_at(bytes, offset)
    }
    fn set_len(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
    fn sync(&mut self) -> io::Result<()> {
        let (held, changed) = &*self.1.held;
        drop(changed.wait_while(held.lock().unwrap(), |held| *held).unwrap());
        if self.1.broken.swap(false, Ordering::SeqCst) {
            return Err(io::Error::other("the disk failed, as asked"));
        }
        self.0.sync()
    }
}

struct World {
    dir: tempfile::TempDir,
    disk: Moody,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> World {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        World { dir: tempfile::tempdir().unwrap(), disk: Moody::default(), runtime }
    }

    fn start(&self, change: impl FnOnce(&mut EmbeddedOptions, &mut Options)) -> Engine {
        let mut journal = EmbeddedOptions::new(self.dir.path().join("journal"));
        journal.disk = Arc::new(self.disk.clone());
        let mut options = Options::default();
        change(&mut journal, &mut options);
        let registry = Registry::new(SLICES, Box::new(Nobody));
        let journal = EmbeddedJournal::open(journal).unwrap();
        let engine = Engine::start(registry, Box::new(journal), options).unwrap();
        self.runtime.block_on(engine.led()).unwrap();
        engine
    }

    fn write(&self, engine: &Engine, name: &'static str, text: &str) -> Result<(), Refusal> {
        let report = Box::new(Write(name, text.into()));
        self.runtime.block_on(engine.report(report)).map(|_| ())
    }

    /// Write until it is taken: after a failure the engine holds off for a moment.
    fn write_when_well(&self, engine: &Engine, name: &'static str, text: &str) {
        for _ in 0..10_000 {
            match self.write(engine, name, text) {
                Ok(()) => return,
                Err(Refusal::NotDurable(_)) => self.wait(1),
                Err(other) => panic!("{other}"),
            }
        }
        panic!("the engine did not get well");
    }

    /// Let that many milliseconds pass while tasks run.
    fn wait(&self, millis: u64) {
        let never = std::future::pending::<()>();
        let passed = async { tokio::time::timeout(Duration::from_millis(millis), never).await };
        assert!(self.runtime.block_on(passed).is_err());
    }
}

fn text(engine: &Engine, name: &str) -> Option<String> {
    engine.view().state.get::<Note>(&name.to_owned()).map(|note| note.text.clone())
}

#[test]
fn a_write_is_readable_when_it_is_answered_and_there_after_a_restart() {
    let world = World::new();
    let engine = world.start(|_, _| ());
    for n in 0..20 {
        world.write(&engine, "a", &n.to_string()).unwrap();
        assert_eq!(text(&engine, "a"), Some(n.to_string()));
    }
    engine.stop();
    assert!(matches!(world.write(&engine, "a", "late"), Err(Refusal::Stopping)));
    drop(engine);
    let engine = world.start(|_, _| ());
    assert_eq!(text(&engine, "a"), Some("19".into()));
    assert_eq!(engine.view().state.rev(), 20);
    engine.stop();
}

#[test]
fn nobody_is_answered_before_the_disk_has_it_and_waiting_writes_share_a_sync() {
    let world = World::new();
    let engine = world.start(|_, _| ());
    world.disk.hold(true);
    let writes: Vec<_> = (0..50)
        .map(|n| {
            let (engine, report) = (engine.clone(), Box::new(Write("a", n.to_string())));
            world.runtime.spawn(async move { engine.report(report).await.map(|_| ()) })
        })
        .collect();
    world.wait(100);
    assert!(writes.iter().all(|write| !write.is_finished()));
    assert_eq!(text(&engine, "a"), None);
    world.disk.hold(false);
    for write in writes {
        world.runtime.block_on(write).unwrap().unwrap();
    }
    assert_eq!(text(&engine, "a"), Some("49".into()));
    let figures = engine.figures().read();
    assert!(figures.commits < 10, "{figures:?}");
    engine.stop();
}

#[test]
fn a_full_queue_is_told_at_once() {
    let world = World::new();
    let engine = world.start(|_, options| (options.queue, options.batch) = (4, 1));
    world.disk.hold(true);
    // One being synced, the journal's queue, one in core's hand, core's queue: then no more.
    let mut writes = Vec::new();
    let refused = world.runtime.block_on(async {
        for n in 0..400 {
            let (engine, report) = (engine.clone(), Box::new(Write("a", n.to_string())));
            let mut write = tokio::spawn(async move { engine.report(report).await.map(|_| ()) });
            match tokio::time::timeout(Duration::from_millis(2), &mut write).await {
                Ok(ended) => return ended.unwrap().unwrap_err().to_string(),
                Err(_) => writes.push(write),
            }
        }
        panic!("400 writes found a place")
    });
    assert!(refused.contains("busy"), "{refused}");
    world.disk.hold(false);
    for write in writes {
        world.runtime.block_on(write).unwrap().unwrap();
    }
    engine.stop();
}

#[test]
fn a_failed_sync_undoes_what_it_carried_and_nothing_else() {
    let world = World::new();
    let engine = world.start(|_, _| ());
    world.write(&engine, "a", "kept").unwrap();
    world.disk.broken.store(true, Ordering::SeqCst);
    let refused = world.write(&engine, "a", "lost");
    assert!(matches!(refused, Err(Refusal::NotDurable(_))), "{refused:?}");
    assert_eq!(text(&engine, "a"), Some("kept".into()));
    world.write_when_well(&engine, "b", "after");
    assert_eq!(engine.figures().read().undone, 1);
    engine.stop();
    drop(engine);
    let engine = world.start(|_, _| ());
    assert_eq!(
        (text(&engine, "a"), text(&engine, "b")),
        (Some("kept".into()), Some("after".into()))
    );
    engine.stop();
}

#[test]
fn a_full_disk_refuses_writes_with_the_reason_and_reads_go_on() {
    let world = World::new();
    let engine = world.start(|_, _| ());
    world.write(&engine, "a", "kept").unwrap();
    world.disk.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let refused = world.write(&engine, "a", "no room").unwrap_err().to_string();
        assert!(refused.contains("no space left"), "{refused}");
        assert_eq!(text(&engine, "a"), Some("kept".into()));
    }
    let refusing = || engine.journal_status().is_some_and(|status| status.refused.is_some());
    assert!(refusing());
    world.disk.full.store(false, Ordering::SeqCst);
    // Told as soon as there is room: a balancer that sends no writes meanwhile would never learn.
    for _ in 0..10_000 {
        if !refusing() {
            break;
        }
        world.wait(1);
    }
    assert!(!refusing());
    world.write_when_well(&engine, "a", "room again");
    assert_eq!(text(&engine, "a"), Some("room again".into()));
    engine.stop();
}

#[test]
fn a_panic_in_a_report_is_that_reports_alone() {
    let world = World::new();
    let engine = world.start(|_, _| ());
    let failed = world.write(&engine, "panics", "x");
    assert!(matches!(failed, Err(Refusal::Failed)), "{failed:?}");
    assert_eq!(text(&engine, "panics"), None);
    world.write(&engine, "a", "fine").unwrap();
    assert_eq!(engine.figures().read().faults, 1);
    engine.stop();
}

#[test]
fn a_snapshot_takes_the_logs_place_while_writes_go_on() {
    let world = World::new();
    let small = |journal: &mut EmbeddedOptions, _: &mut Options| journal.snapshot_after = 10_000;
    let engine = world.start(small);
    let mut n = 0;
    while engine.figures().read().snapshots < 3 {
        world.write(&engine, "a", &format!("{n} {}", "x".repeat(500))).unwrap();
        n += 1;
        assert!(n < 10_000, "no snapshot was installed");
    }
    let last = text(&engine, "a");
    engine.stop();
    drop(engine);
    let engine = world.start(small);
    assert_eq!(text(&engine, "a"), last);
    assert_eq!(engine.view().state.rev(), n);
    engine.stop();
}

/// The clock may have been set back while the server was down, and the log be no more than its
/// snapshot: time goes on from the newest that was ever written.
#[test]
fn time_goes_on_from_a_snapshot_as_well() {
    let world = World::new();
    let small = |journal: &mut EmbeddedOptions, _: &mut Options| journal.snapshot_after = 1;
    let ahead = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(7200);
    let at_ms = ahead.as_millis() as i64;
    let row = |rev: u64| RowChange {
        table: "notes".into(),
        version: 1,
        key: b"\"a\"".to_vec(),
        value: Some(format!(r#"{{"name":"a","text":"{rev}"}}"#).into_bytes()),
    };
    let batch = |rev: u64| Batch { rev, at_ms, changes: vec![row(rev)] };
    let folder = world.dir.path().join("journal");
    let mut journal = EmbeddedJournal::open(EmbeddedOptions::new(&folder)).unwrap();
    journal.recover(&mut Nowhere).unwrap();
    journal.lead(&mut Nowhere, &Default::default()).unwrap();
    // Two generations: recovery then reads no batch at all.
    for rev in 1..=2 {
        journal.append(&[batch(rev)]).unwrap();
        let mut snapshot = journal.begin_snapshot(rev).unwrap();
        snapshot.row(&row(rev)).unwrap();
        let written = snapshot.finish().unwrap();
        journal.install(written).unwrap();
    }
    drop(journal);
    let engine = world.start(small);
    assert_eq!(text(&engine, "a"), Some("2".into()));
    world.write(&engine, "a", "3").unwrap();
    engine.stop();
    drop(engine);
    let times = plane_journal::embedded::history(&folder).unwrap();
    let newest = times.map(|batch| batch.unwrap()).last().unwrap();
    assert_eq!(newest.rev, 3);
    assert!(newest.at_ms >= at_ms, "{} is before {at_ms}", newest.at_ms);
}

struct Nowhere;

impl Sink for Nowhere {
    fn snapshot_begin(&mut self, _: u64) {}
    fn snapshot_row(&mut self, _: RowChange) -> Result<(), SinkError> {
        Ok(())
    }
    fn snapshot_done(&mut self, _: u64) {}
    fn batch(&mut self, _: Batch) -> Result<(), SinkError> {
        Ok(())
    }
}

/// The changes that the next news tells; `None` where it says to look at everything.
fn told(world: &World, feed: &mut Feed) -> Option<Vec<String>> {
    match world.runtime.block_on(feed.next()) {
        News::Everything => None,
        News::Changed(_, changes) => {
            let text = |change: &Change| change.row::<Note>().map(|note| note.text.clone());
            Some(changes.iter().filter_map(text).collect())
        }
    }
}

#[test]
fn a_feed_tells_what_is_durable_and_a_slow_reader_looks_at_everything() {
    let world = World::new();
    let engine = world.start(|_, _| ());
    let mut feed = engine.feed(4);
    assert_eq!(told(&world, &mut feed), None);
    world.write(&engine, "a", "one").unwrap();
    assert_eq!(told(&world, &mut feed), Some(vec!["one".to_owned()]));
    // What changes nothing, and what is undone, is no news.
    world.write(&engine, "a", "one").unwrap();
    world.disk.broken.store(true, Ordering::SeqCst);
    assert!(world.write(&engine, "a", "lost").is_err());
    world.write_when_well(&engine, "a", "two");
    assert_eq!(told(&world, &mut feed), Some(vec!["two".to_owned()]));
    for n in 0..5 {
        world.write(&engine, "a", &n.to_string()).unwrap();
    }
    assert_eq!(told(&world, &mut feed), None);
    assert_eq!(text(&engine, "a"), Some("4".into()));
    world.write(&engine, "a", "last").unwrap();
    assert_eq!(told(&world, &mut feed), Some(vec!["last".to_owned()]));
    engine.stop();
}

#[test]
fn a_term_is_higher_than_any_before() {
    let world = World::new();
    let mut last = 0;
    for _ in 0..3 {
        let engine = world.start(|_, _| ());
        assert!(engine.term() > last, "{} after {last}", engine.term());
        last = engine.term();
        engine.stop();
    }
}
