//! A stored journal whose rows are of an older format than this program's: they are upgraded as
//! they are read, from the snapshot and from the log, and written anew in today's.
//!
//! `stored/notes-v1` was made by `WHARF_STORE_JOURNAL=1 cargo test -p plane-engine --test stored`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::any::Any;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::{Row, SchemaBuilder, Tx};
use core_step::*;
use plane_engine::{Engine, Options};
use plane_journal::{EmbeddedJournal, EmbeddedOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The row as an older release had it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Old {
    name: String,
    text: String,
}

impl Row for Old {
    type Key = String;
    const TABLE: &'static str = "notes";

    fn key(&self) -> String {
        self.name.clone()
    }
}

/// The row as it is: version 2 has lines, version 3 counts how often it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    name: String,
    lines: Vec<String>,
    read: u64,
}

impl Row for Note {
    type Key = String;
    const TABLE: &'static str = "notes";
    const VERSION: u32 = 3;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn upgrade(from: u32, mut row: Value) -> Result<Value, String> {
        let members = row.as_object_mut().ok_or("a note is an object")?;
        match from {
            1 => {
                let text = members.remove("text").unwrap_or_default();
                let lines: Vec<&str> = text.as_str().unwrap_or_default().lines().collect();
                members.insert("lines".to_owned(), json!(lines));
            }
            2 => drop(members.insert("read".to_owned(), json!(0))),
            _ => return Err(format!("notes of format {from} are not known")),
        }
        Ok(row)
    }
}

struct Put<R>(R);

impl<R: Row> Report for Put<R> {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        tx.put(self.0);
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

const fn slice(tables: fn(&mut SchemaBuilder)) -> Slice {
    Slice { service: &model_ecs::SERVICE, actions: &[], loops: &[], tables, invariants: &[] }
}

static THEN: Slice = slice(|schema| {
    schema.table::<Old>();
});
static NOW: Slice = slice(|schema| {
    schema.table::<Note>();
});
static SLICES_THEN: &[&Slice] = &[&THEN];
static SLICES_NOW: &[&Slice] = &[&NOW];

struct Running {
    engine: Engine,
    runtime: tokio::runtime::Runtime,
}

impl Running {
    fn start(slices: &'static [&'static Slice], journal: &Path) -> Running {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut options = EmbeddedOptions::new(journal);
        options.snapshot_after = 4096;
        let journal = Box::new(EmbeddedJournal::open(options).unwrap());
        let registry: Arc<Registry> = Registry::new(slices, Box::new(Nobody));
        let engine = Engine::start(registry, journal, Options::default()).unwrap();
        runtime.block_on(engine.led()).unwrap();
        Running { engine, runtime }
    }

    fn put(&self, row: impl Row) {
        self.runtime.block_on(self.engine.report(Box::new(Put(row)))).unwrap();
    }

    /// Rewrite a row until a snapshot has taken the log's place.
    fn snapshot(&self, row: impl Fn(u32) -> Put<Old>) {
        let before = self.engine.figures().read().snapshots;
        for n in 0..10_000 {
            if self.engine.figures().read().snapshots > before {
                return;
            }
            self.put(row(n).0);
        }
        panic!("no snapshot was installed");
    }
}

fn old(name: &str, text: &str) -> Old {
    Old { name: name.to_owned(), text: text.to_owned() }
}

fn note(running: &Running, name: &str) -> Option<Note> {
    running.engine.view().state.get::<Note>(&name.to_owned()).cloned()
}

fn make(journal: &Path) {
    let running = Running::start(SLICES_THEN, journal);
    running.put(old("in the snapshot", "one\ntwo"));
    running.snapshot(|n| Put(old("often", &format!("{n} {}", "x".repeat(400)))));
    running.put(old("in the log", "three"));
    running.put(old("often", "last"));
    running.engine.stop();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn stored() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored/notes-v1");
    if std::env::var_os("WHARF_STORE_JOURNAL").is_some() {
        make(&folder);
        fs::remove_file(folder.join("lock")).unwrap();
    }
    folder
}

#[test]
fn rows_of_an_older_format_are_upgraded_from_a_stored_journal() {
    let temp = tempfile::tempdir().unwrap();
    let journal = temp.path().join("journal");
    copy(&stored(), &journal);
    let seen = |running: &Running| {
        for (name, lines) in [
            ("in the snapshot", &["one", "two"][..]),
            ("in the log", &["three"]),
            ("often", &["last"]),
        ] {
            let found = note(running, name).unwrap_or_else(|| panic!("{name} is lost"));
            assert_eq!(found.lines, lines);
            assert_eq!(found.read, 0);
        }
    };
    let running = Running::start(SLICES_NOW, &journal);
    seen(&running);
    running.put(Note { name: "new".into(), lines: vec![], read: 7 });
    running.engine.stop();
    drop(running);
    // Old and new rows side by side in one log.
    let running = Running::start(SLICES_NOW, &journal);
    seen(&running);
    assert_eq!(note(&running, "new").unwrap().read, 7);
    running.engine.stop();
}

#[test]
fn a_release_that_does_not_know_the_rows_refuses_them_and_leaves_them() {
    let temp = tempfile::tempdir().unwrap();
    let journal = temp.path().join("journal");
    copy(&stored(), &journal);
    let running = Running::start(SLICES_NOW, &journal);
    running.put(Note { name: "new".into(), lines: vec![], read: 7 });
    running.engine.stop();
    drop(running);
    let options = EmbeddedOptions::new(&journal);
    let registry = Registry::new(SLICES_THEN, Box::new(Nobody));
    let older = Box::new(EmbeddedJournal::open(options).unwrap());
    let refused = Engine::start(registry, older, Options::default()).err().unwrap().to_string();
    assert!(refused.contains("notes") && refused.contains('3'), "{refused}");
    let running = Running::start(SLICES_NOW, &journal);
    assert_eq!(note(&running, "new").unwrap().read, 7);
    running.engine.stop();
}
