//! The embedded journal: the common suite, then every way in which a local disk can let us down.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod suite;

use std::fs;
use std::path::{Path, PathBuf};

use plane_journal::embedded::{history, inspect, read_snapshot};
use plane_journal::{Batch, EmbeddedJournal, EmbeddedOptions, Journal, JournalError};
use proptest::prelude::*;
use suite::{Model, World, append, batch, lead, noise, plain, put, snapshot, start};
use tempfile::TempDir;

struct Directory(TempDir);

impl Directory {
    fn new() -> Directory {
        Directory(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("journal")
    }
}

impl World for Directory {
    fn open(&mut self) -> Box<dyn Journal> {
        Box::new(EmbeddedJournal::open(small(self.path())).expect("open"))
    }
}

/// Small files, so that a test crosses every boundary soon.
fn small(dir: PathBuf) -> EmbeddedOptions {
    let mut options = EmbeddedOptions::new(dir);
    options.segment_bytes = 16 << 10;
    options.grow = 8 << 10;
    options.snapshot_after = 2 << 20;
    options
}

macro_rules! suite {
    ($($name:ident)*) => { $(#[test] fn $name() { suite::$name(&mut Directory::new()); })* };
}

suite! {
    an_empty_journal_starts_at_zero_and_terms_rise
    what_was_appended_comes_back
    snapshots_take_the_place_of_the_log
    appends_go_on_while_a_snapshot_is_written
    the_next_snapshot_waits_until_one_is_installed
    a_snapshot_falls_due_as_the_log_grows
    an_unfinished_snapshot_costs_nothing
    large_groups_are_whole
    wrong_orders_of_calls_are_refused
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]
    #[test]
    fn lives_like_the_model(acts in suite::acts()) {
        suite::lives_like_the_model(&mut Directory::new(), &acts);
    }
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    found.sort();
    found
}

fn recover(dir: &Path) -> Result<(Model, u64), JournalError> {
    let mut journal = EmbeddedJournal::open(small(dir.into()))?;
    let mut model = Model::default();
    let recovered = journal.recover(&mut model)?;
    model.check();
    Ok((model, recovered.torn_bytes))
}

/// A journal as a kill leaves it (nothing trimmed), with the file's bytes after each append.
struct Killed {
    world: Directory,
    segment: PathBuf,
    bytes: Vec<u8>,
    /// Where each group ends, and the last revision by then.
    ends: Vec<(usize, u64)>,
}

fn killed() -> Killed {
    let mut world = Directory::new();
    let (mut journal, mut model, _) = start(&mut world);
    let segment = files(&world.path(), "seg").pop().unwrap();
    let mut ends = vec![(64, 0)];
    let mut at = 64;
    let groups: [&[Batch]; 5] = [
        &[plain(1)],
        &[plain(2), plain(3)],
        &[batch(4, vec![put("t", "noise", noise(1, 1500)), put("t", "zero", vec![0; 1200])])],
        &[plain(5)],
        &[batch(6, vec![put("t", "noise", noise(2, 700))]), plain(7)],
    ];
    for group in groups {
        let before = journal.status().log_bytes;
        append(&mut *journal, &mut model, group);
        at += (journal.status().log_bytes - before) as usize;
        ends.push((at, model.rev));
    }
    let bytes = fs::read(&segment).unwrap();
    drop(journal);
    Killed { world, segment, bytes, ends }
}

impl Killed {
    fn used(&self) -> usize {
        self.ends.last().unwrap().0
    }

    /// The last revision of the groups that lie whole below `length`.
    fn whole_below(&self, length: usize) -> u64 {
        self.ends.iter().rev().find(|(end, _)| *end <= length).map_or(0, |(_, rev)| *rev)
    }
}

#[test]
fn a_write_cut_at_any_byte_leaves_whole_groups() {
    let killed = killed();
    for length in 64..=killed.used() {
        for filled in [false, true] {
            let mut bytes = killed.bytes[..length].to_vec();
            if filled {
                bytes.resize(killed.bytes.len(), 0);
            }
            fs::write(&killed.segment, &bytes).unwrap();
            let (model, torn) = recover(&killed.world.path()).unwrap();
            assert_eq!(model.rev, killed.whole_below(length), "cut at {length}");
            let clean = killed.ends.iter().any(|(end, _)| *end == length);
            // Zeros at the very end of a cut header cannot be told from none.
            assert!(clean || torn > 0, "cut at {length}, filled {filled}");
            let left = fs::metadata(&killed.segment).unwrap().len() as usize;
            assert!(killed.ends.iter().any(|(end, _)| *end == left), "the tail is cut off");
        }
    }
}

#[test]
fn a_flipped_bit_is_told_and_never_loses_a_batch_silently() {
    let killed = killed();
    let all = killed.whole_below(killed.used());
    for byte in 0..killed.bytes.len().min(killed.used() + 600) {
        let bit = byte % 8;
        let mut bytes = killed.bytes.clone();
        bytes[byte] ^= 1 << bit;
        fs::write(&killed.segment, &bytes).unwrap();
        match recover(&killed.world.path()) {
            Err(JournalError::Corrupt { file, offset, .. }) => {
                assert!(byte < killed.used(), "flip at {byte} cost nothing");
                assert_eq!(file, killed.segment);
                assert!(offset as usize <= byte, "offset {offset} for a flip at {byte}");
                assert_eq!(fs::read(&killed.segment).unwrap(), bytes, "nothing was changed");
                let told = inspect(&killed.world.path()).unwrap().problems;
                assert!(told.iter().any(|p| p.fatal && p.file == killed.segment));
            }
            Ok((model, _)) => {
                assert!(byte >= killed.used(), "a flip at {byte} went unseen");
                assert_eq!(model.rev, all);
            }
            Err(other) => panic!("flip at {byte}: {other}"),
        }
    }
}

#[test]
fn sectors_that_never_arrived_cut_the_last_group_alone() {
    let killed = killed();
    let (start_of_last, before) = killed.ends[killed.ends.len() - 2];
    for sector in (start_of_last / 512)..killed.used().div_ceil(512) {
        let mut bytes = killed.bytes.clone();
        let from = (sector * 512).max(start_of_last);
        bytes[from..(sector + 1) * 512].fill(0);
        fs::write(&killed.segment, &bytes).unwrap();
        assert_eq!(recover(&killed.world.path()).unwrap().0.rev, before, "sector {sector}");
    }
    // The same in an acknowledged group is damage: good groups follow.
    let mut bytes = killed.bytes.clone();
    let (from, _) = killed.ends[2];
    let sector = from.next_multiple_of(512);
    bytes[sector..sector + 512].fill(0);
    fs::write(&killed.segment, &bytes).unwrap();
    assert!(matches!(recover(&killed.world.path()), Err(JournalError::Corrupt { .. })));
}

#[test]
fn a_damaged_snapshot_falls_back_to_the_one_before_and_says_so() {
    let mut world = Directory::new();
    let (mut journal, mut model, _) = start(&mut world);
    for _ in 0..3 {
        let next = model.rev + 1;
        append(&mut *journal, &mut model, &[plain(next), plain(next + 1)]);
        snapshot(&mut *journal, &model);
    }
    append(&mut *journal, &mut model, &[plain(7)]);
    drop(journal);
    let snapshots = files(&world.path(), "snap");
    assert_eq!(snapshots.len(), 2, "one older generation is kept");
    let good = fs::read(&snapshots[1]).unwrap();
    for byte in 0..good.len() {
        let mut bytes = good.clone();
        bytes[byte] ^= 4;
        fs::write(&snapshots[1], bytes).unwrap();
        let mut journal = EmbeddedJournal::open(small(world.path())).unwrap();
        let mut again = Model::default();
        let recovered = journal.recover(&mut again).unwrap();
        assert_eq!(again, model, "flip at {byte}");
        assert_eq!(recovered.snapshot_rev, 4);
        assert!(recovered.warnings[0].contains(".snap"), "{:?}", recovered.warnings);
    }
    // Without any good snapshot the beginning of the log is missing, which is fatal.
    fs::write(&snapshots[0], b"WHARFSNP").unwrap();
    let error = recover(&world.path()).unwrap_err();
    assert!(matches!(error, JournalError::Corrupt { .. }), "{error}");
}

#[test]
fn a_lost_segment_is_told() {
    let mut world = Directory::new();
    for _ in 0..3 {
        let (mut journal, mut model, _) = start(&mut world);
        let next = model.rev + 1;
        append(&mut *journal, &mut model, &[plain(next)]);
    }
    let segments = files(&world.path(), "seg");
    let middle = fs::read(&segments[1]).unwrap();
    fs::remove_file(&segments[1]).unwrap();
    let error = recover(&world.path()).unwrap_err();
    assert!(error.to_string().contains("revisions 2 to 2 are in no file"), "{error}");
    // Cut in the middle, it is as bad: the next one says where it ended.
    fs::write(&segments[1], &middle[..middle.len() - 40]).unwrap();
    let error = recover(&world.path()).unwrap_err();
    assert!(error.to_string().contains("revisions 2 to 2 were here"), "{error}");
}

#[test]
fn a_directory_has_one_owner_and_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = Directory::new();
    let (mut journal, mut model, _) = start(&mut world);
    append(&mut *journal, &mut model, &[plain(1)]);
    snapshot(&mut *journal, &model);
    let second = EmbeddedJournal::open(small(world.path()));
    assert!(matches!(second, Err(JournalError::Locked { .. })));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.path()), 0o700);
    for entry in fs::read_dir(world.path()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn history_and_inspection_show_what_is_there() {
    let mut world = Directory::new();
    let (mut journal, mut model, _) = start(&mut world);
    for rev in 1..=40 {
        append(&mut *journal, &mut model, &[batch(rev, vec![put("t", "k", noise(rev, 1000))])]);
    }
    // Beside a running journal, too.
    let told: Vec<u64> = history(&world.path()).unwrap().map(|b| b.unwrap().rev).collect();
    assert_eq!(told, (1..=40).collect::<Vec<_>>());
    snapshot(&mut *journal, &model);
    drop(journal);
    let seen = inspect(&world.path()).unwrap();
    assert!(seen.problems.is_empty(), "{:?}", seen.problems);
    assert_eq!(seen.snapshots[0].rev, 40);
    assert_eq!(seen.snapshots[0].rows, model.rows.len() as u64);
    let mut read = Model::default();
    read_snapshot(&seen.snapshots[0].path, &mut read).unwrap();
    assert_eq!(read, model);
    assert!(seen.segments.len() > 2, "rotated by size");
    assert_eq!(seen.segments.iter().map(|s| s.batches).sum::<u64>(), 40);
}

#[test]
fn leading_again_after_resigning_takes_a_new_term() {
    let mut world = Directory::new();
    let (mut journal, mut model, term) = start(&mut world);
    append(&mut *journal, &mut model, &[plain(1)]);
    journal.resign();
    assert_eq!(journal.follower().leader(), None);
    assert!(lead(&mut *journal, &mut model) > term);
    append(&mut *journal, &mut model, &[plain(2)]);
}
