//! Processes that are killed and disks that fail, under the embedded journal.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod suite;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plane_journal::embedded::{Disk, DiskFile, RealDisk};
use plane_journal::{EmbeddedJournal, EmbeddedOptions, Journal, JournalError};
use proptest::prelude::*;
use suite::{
    CHILD, Child, Model, append, append_until_killed, batch, lead, noise, plain, plain_model, put,
    snapshot, try_snapshot,
};
use tempfile::TempDir;

fn small(dir: &Path) -> EmbeddedOptions {
    let mut options = EmbeddedOptions::new(dir);
    options.segment_bytes = 32 << 10;
    options.grow = 16 << 10;
    options
}

fn open(options: EmbeddedOptions) -> (EmbeddedJournal, Model) {
    let mut journal = EmbeddedJournal::open(options).unwrap();
    let mut model = Model::default();
    journal.recover(&mut model).unwrap();
    lead(&mut journal, &mut model);
    model.check();
    (journal, model)
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let name = "a_killed_process_loses_nothing_that_it_acknowledged";
    if let Ok(dir) = std::env::var(CHILD) {
        let journal = EmbeddedJournal::open(small(Path::new(&dir))).unwrap();
        return append_until_killed(Box::new(journal));
    }
    let dir = TempDir::new().unwrap();
    let place = dir.path().join("journal");
    let mut last = 0;
    for round in 0..25u64 {
        let mut child = Child::start(name, place.to_str().unwrap());
        // At another moment each time: after so many appends, and then a little.
        for _ in 0..round * 7 % 40 {
            child.acked().unwrap();
        }
        let moment = Instant::now() + Duration::from_micros(round * 997 % 7000);
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        let acked = child.kill().max(last);
        let mut journal = EmbeddedJournal::open(small(&place)).unwrap();
        let mut model = Model::default();
        let recovered = journal.recover(&mut model).unwrap();
        assert!(recovered.warnings.is_empty(), "{recovered:?}");
        assert!(model.rev >= acked, "round {round}: {acked} was acknowledged");
        assert_eq!(model, plain_model(model.rev), "round {round}");
        last = model.rev;
    }
    assert!(last > 300, "the children got on: {last}");
}

/// A small filesystem of its own, which needs root; unmounted with the test.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let dir = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "none"])
            .arg(dir.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(SmallDisk(dir));
        }
        eprintln!("skipped: a test of a full disk mounts a tmpfs, which needs root");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_writes_and_takes_them_again_without_a_restart() {
    let Some(disk) = SmallDisk::mount() else { return };
    let place = disk.0.path().join("journal");
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, noise(1, 300_000)).unwrap();
    let (mut journal, mut model) = open(small(&place));
    let big = |rev: u64| batch(rev, vec![put("big", "k", noise(rev, 20_000))]);
    let fill = |journal: &mut EmbeddedJournal, model: &mut Model| loop {
        let next = big(model.rev + 1);
        match journal.append(std::slice::from_ref(&next)) {
            Ok(()) => model.apply(&next),
            Err(error) => return error,
        }
        assert!(model.rev < 1000, "a disk of 1 MiB does not fill");
    };
    let error = fill(&mut journal, &mut model);
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    assert!(error.to_string().contains("no restart is needed"), "{error}");
    assert!(matches!(journal.append(&[big(model.rev + 1)]), Err(JournalError::Full { .. })));
    // What is there can be read, beside the running journal, and holds nothing half.
    let seen = plane_journal::embedded::inspect(&place).unwrap();
    assert!(seen.problems.is_empty(), "{:?}", seen.problems);
    // A snapshot fails as clearly, and leaves nothing behind.
    let attempt = journal.begin_snapshot(model.rev).and_then(|mut writer| {
        for n in 0..40 {
            writer.row(&put("big", vec![n], noise(u64::from(n), 20_000)))?;
        }
        writer.finish()
    });
    assert!(matches!(attempt.unwrap_err(), JournalError::Full { .. }));
    std::fs::remove_file(&ballast).unwrap();
    for _ in 0..4 {
        let next = big(model.rev + 1);
        append(&mut journal, &mut model, &[next]);
    }
    snapshot(&mut journal, &model);
    let again = fill(&mut journal, &mut model);
    assert!(matches!(again, JournalError::Full { .. }), "{again}");
    drop(journal);
    let mut journal = EmbeddedJournal::open(small(&place)).unwrap();
    let mut recovered = Model::default();
    journal.recover(&mut recovered).unwrap();
    assert_eq!(recovered, model);
}

/// Fails the n-th call from now, and a few after it; every other call goes to the real disk.
#[derive(Clone, Default)]
struct Faults {
    /// 0: nothing fails.
    countdown: Arc<AtomicU64>,
    /// Whether what was written before a failed sync is dropped, as kernels do.
    lose_pages: Arc<AtomicBool>,
    /// How many calls in a row fail.
    burst: Arc<AtomicU64>,
}

impl Faults {
    fn arm(&self, after: u64, burst: u64) {
        self.burst.store(burst, Ordering::Relaxed);
        self.countdown.store(after, Ordering::Relaxed);
    }

    fn hit(&self) -> io::Result<()> {
        let before = self.countdown.load(Ordering::Relaxed);
        if before > 1 {
            self.countdown.store(before - 1, Ordering::Relaxed);
        }
        if before != 1 {
            return Ok(());
        }
        let left = self.burst.load(Ordering::Relaxed).saturating_sub(1);
        self.burst.store(left, Ordering::Relaxed);
        if left == 0 {
            self.countdown.store(0, Ordering::Relaxed);
        }
        Err(io::Error::from_raw_os_error(5))
    }
}

struct FaultyFile {
    file: Box<dyn DiskFile>,
    faults: Faults,
    /// Written and not yet synced.
    dirty: Vec<(u64, usize)>,
}

impl Disk for Faults {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (file, faults, dirty) = (RealDisk.create(path)?, self.clone(), Vec::new());
        Ok(Box::new(FaultyFile { file, faults, dirty }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.hit()?;
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.hit()?;
        RealDisk.remove(path)
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        RealDisk.truncate(path, length)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.hit()?;
        RealDisk.sync_dir(dir)
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.faults.hit() {
            // A write that fails may have got half-way.
            self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        self.dirty.push((offset, bytes.len()));
        self.file.write_at(bytes, offset)
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        let dirty = std::mem::take(&mut self.dirty);
        if let Err(error) = self.faults.hit() {
            if self.faults.lose_pages.load(Ordering::Relaxed) {
                for (offset, length) in dirty {
                    self.file.write_at(&vec![0; length], offset)?;
                }
            }
            return Err(error);
        }
        self.file.sync()
    }
}

#[test]
fn after_a_failed_sync_the_segment_is_never_written_again() {
    for lose_pages in [false, true] {
        let dir = TempDir::new().unwrap();
        let place = dir.path().join("journal");
        let faults = Faults::default();
        faults.lose_pages.store(lose_pages, Ordering::Relaxed);
        let mut options = small(&place);
        options.disk = Arc::new(faults.clone());
        let (mut journal, mut model) = open(options);
        append(&mut journal, &mut model, &[plain(1), plain(2)]);
        // Write, then sync: the second call of the append.
        faults.arm(2, 1);
        let error = journal.append(&[plain(3)]).unwrap_err();
        assert!(matches!(error, JournalError::Poisoned { .. }), "{error}");
        assert!(error.to_string().contains("start a new segment from a snapshot"), "{error}");
        let old = segments(&place).pop().unwrap();
        let before = std::fs::read(&old).unwrap();
        assert!(matches!(journal.append(&[plain(3)]), Err(JournalError::Poisoned { .. })));
        assert!(journal.snapshot_due(), "and that is the way out");
        // An attempt that fails changes nothing about it.
        drop(journal.begin_snapshot(2).unwrap());
        assert!(matches!(journal.append(&[plain(3)]), Err(JournalError::Poisoned { .. })));
        snapshot(&mut journal, &model);
        assert_eq!(std::fs::read(&old).unwrap(), before, "not a byte was added");
        // The refused batch may be in the old file; this other third revision is the true one.
        append(&mut journal, &mut model, &[batch(3, vec![put("other", "k", "v")])]);
        drop(journal);
        assert_eq!(open(small(&place)).1, model);
        // Also from the log alone, should the snapshot be lost.
        for path in files(&place, "snap") {
            std::fs::remove_file(path).unwrap();
        }
        assert_eq!(open(small(&place)).1, model);
    }
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    found.sort();
    found
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    files(dir, "seg")
}

#[derive(Clone, Debug)]
enum Act {
    Append(usize),
    Snapshot,
    Reopen,
    /// The n-th call from here fails, and so many in a row.
    Fail(u64, u64, bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        5 => (1usize..9000).prop_map(Act::Append),
        2 => Just(Act::Snapshot),
        1 => Just(Act::Reopen),
        3 => (1u64..12, 1u64..4, any::<bool>())
            .prop_map(|(after, burst, lose)| Act::Fail(after, burst, lose)),
    ];
    proptest::collection::vec(act, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_failure_at_any_call_keeps_what_was_acknowledged(acts in acts()) {
        let dir = TempDir::new().unwrap();
        let place = dir.path().join("journal");
        let faults = Faults::default();
        let mut options = small(&place);
        options.disk = Arc::new(faults.clone());
        let (mut journal, mut model) = open(options.clone());
        // Refused, so that it may or may not come back after a restart.
        let mut refused = None;
        for act in acts {
            match act {
                Act::Append(size) => {
                    let next = batch(model.rev + 1, vec![put("t", "k", noise(size as u64, size))]);
                    match journal.append(std::slice::from_ref(&next)) {
                        Ok(()) => { model.apply(&next); refused = None; }
                        Err(JournalError::Poisoned { .. }) => {
                            refused = refused.or(Some(next));
                            if try_snapshot(&mut journal, &model).is_ok() { refused = None; }
                        }
                        Err(JournalError::Io { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                Act::Snapshot => {
                    // The new segment overrules what the old one may hold.
                    if try_snapshot(&mut journal, &model).is_ok() { refused = None; }
                }
                Act::Fail(after, burst, lose) => {
                    faults.lose_pages.store(lose, Ordering::Relaxed);
                    faults.arm(after, burst);
                }
                Act::Reopen => {
                    faults.arm(0, 0);
                    drop(journal);
                    let now;
                    (journal, now) = open(options.clone());
                    if now != model {
                        let more = refused.expect("only a refused batch may be too many");
                        model.apply(&more);
                        prop_assert_eq!(&now, &model);
                    }
                    // From here on a new segment says where the old one ends.
                    refused = None;
                }
            }
        }
        drop(journal);
        faults.arm(0, 0);
        let now = open(options).1;
        if now != model {
            model.apply(&refused.expect("only a refused batch may be too many"));
        }
        prop_assert_eq!(now, model);
    }
}
