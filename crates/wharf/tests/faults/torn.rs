//! What a journal's file may look like after a crash or on a bad disk: cut off anywhere, zeros in
//! place of what was to be written, a bit that has flipped.
//!
//! One client writes and looks at the file after each answer. The record of an acknowledged write
//! ends at the last byte that is not zero, so it is known without the journal's own code up to
//! which byte each write needs the file.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::world::client::Client;
use crate::world::ledger::pages;
use crate::world::server::Setup;
use crate::world::{Chance, PATIENCE, copy_folder, end_of, last_segment, rounds, wait_for};

/// A journal with one writer's clusters in its last segment.
struct Written {
    folder: TempDir,
    /// The last segment, below a data folder.
    segment: PathBuf,
    /// The end of the last record before the first write, then of each write.
    ends: Vec<u64>,
}

const WRITES: usize = 40;

fn name(n: usize) -> String {
    format!("cluster-{n:03}")
}

fn write() -> Written {
    let folder = TempDir::new().unwrap();
    let mut server = Setup::on(folder.path()).start();
    let mut client = server.client();
    let segment = last_segment(folder.path());
    // That the key is used is a record too; the next of its kind comes a minute later.
    let before = end_of(&segment);
    client.ecs("ListClusters", &serde_json::json!({})).unwrap();
    wait_for("the key's use is told", PATIENCE, || (end_of(&segment) > before).then_some(()));
    let mut ends = vec![end_of(&segment)];
    for n in 0..WRITES {
        let input = serde_json::json!({ "clusterName": name(n) });
        client.ecs("CreateCluster", &input).unwrap();
        ends.push(end_of(&segment));
    }
    server.kill();
    assert!(ends.is_sorted_by(|a, b| a < b), "{ends:?}");
    let segment = segment.strip_prefix(folder.path()).unwrap().to_owned();
    Written { folder, segment, ends }
}

impl Written {
    /// A copy whose last segment was changed.
    fn changed(&self, change: impl FnOnce(&std::fs::File)) -> TempDir {
        let copy = TempDir::new().unwrap();
        copy_folder(self.folder.path(), copy.path());
        let file = OpenOptions::new().read(true).write(true).open(copy.path().join(&self.segment));
        change(&file.unwrap());
        copy
    }

    /// How many writes are whole in a file that is good up to `end`.
    fn whole_before(&self, end: u64) -> usize {
        self.ends[1..].iter().filter(|needed| **needed <= end).count()
    }

    /// A place between the first write's beginning and the last write's end.
    fn place(&self, chance: &mut Chance) -> u64 {
        chance.between(self.ends[0] + 1, self.ends[WRITES])
    }
}

fn clusters(client: &mut Client) -> Vec<String> {
    let arns = pages(client, "ListClusters", serde_json::json!({}), "clusterArns").concat();
    arns.iter().map(|arn| arn.rsplit('/').next().unwrap().to_owned()).collect()
}

/// It starts with exactly the first `whole` writes, takes further ones, and keeps both.
fn starts_with(data: &Path, whole: usize, what: &str) {
    let setup = Setup::on(data);
    let mut expected: Vec<String> = (0..whole).map(name).collect();
    let mut server = setup.start();
    assert_eq!(clusters(&mut server.client()), expected, "{what}");
    let input = serde_json::json!({ "clusterName": "later" });
    server.client().ecs("CreateCluster", &input).unwrap();
    server.kill();
    expected.push("later".into());
    let server = setup.start();
    assert_eq!(clusters(&mut server.client()), expected, "{what}, started twice");
}

#[test]
fn a_file_that_ends_early_costs_only_what_it_ended_before() {
    let written = write();
    let mut chance = Chance::new();
    for _ in 0..rounds(8, 200) {
        let cut = written.place(&mut chance);
        let copy = written.changed(|file| file.set_len(cut).unwrap());
        starts_with(copy.path(), written.whole_before(cut), &format!("cut at {cut}"));
    }
    // To the byte: the whole last record, and all of it but its last byte.
    for cut in [written.ends[WRITES], written.ends[WRITES] - 1] {
        let copy = written.changed(|file| file.set_len(cut).unwrap());
        starts_with(copy.path(), written.whole_before(cut), &format!("cut at {cut}"));
    }
}

/// A disk writes its sectors in any order: of the last write, some did not arrive.
#[test]
fn a_last_write_with_sectors_missing_never_was() {
    let written = write();
    let (start, end) = (written.ends[WRITES - 1], written.ends[WRITES]);
    let mut chance = Chance::new();
    for _ in 0..rounds(4, 100) {
        let from = chance.between(start, end);
        let zeros = vec![0; (end - from) as usize];
        let copy = written.changed(|file| file.write_all_at(&zeros, from).unwrap());
        starts_with(copy.path(), WRITES - 1, &format!("zeros from {from} to {end}"));
    }
}

#[test]
fn a_flipped_bit_in_what_was_acknowledged_is_refused_by_name() {
    let written = write();
    let mut chance = Chance::new();
    for _ in 0..rounds(8, 200) {
        let (at, bit) = (written.place(&mut chance), chance.below(8));
        let copy = written.changed(|file| {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
        });
        let before = std::fs::read(copy.path().join(&written.segment)).unwrap();
        let setup = Setup::on(copy.path());
        // The record that the bit is in begins where the one before it ends, rounded up.
        let whole = written.whole_before(at);
        let (least, most) = (written.ends[whole], written.ends[whole].next_multiple_of(32));
        if at < most {
            // Between two records, where only padding stands, nothing is said by any bit.
            continue;
        }
        let Err(ended) = setup.try_start() else { panic!("bit {bit} of byte {at} went unseen") };
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        let told: Vec<&str> = ended.told.lines().filter(|l| l.starts_with("wharf: ")).collect();
        let [line] = told[..] else { panic!("not one line: {}", ended.told) };
        let file = copy.path().join(&written.segment).display().to_string();
        assert!(line.contains("damaged") && line.contains(&file), "{line}");
        let offset: u64 =
            line.split("offset ").nth(1).unwrap().split(':').next().unwrap().parse().unwrap();
        assert!((least..=most).contains(&offset), "byte {at}, but: {line}");
        // Left as it was found, and readable up to there.
        assert_eq!(std::fs::read(file).unwrap(), before);
        let replay = setup.run(&["replay", "--json", "--table", "ecs-clusters"]);
        let lines = String::from_utf8(replay.stdout).unwrap();
        assert_eq!(lines.lines().count(), whole, "{lines}");
        assert!(!replay.status.success());
        let check = setup.run(&["check"]);
        assert!(!check.status.success(), "{check:?}");
    }
}
