//! The world of the fault tests: real `wharf server` children on ports and folders of their own,
//! clients that sign their requests, a ledger of what was acknowledged. Everything that is started
//! ends with the value that stands for it, also when a test fails.

pub mod client;
pub mod etcd;
pub mod ledger;
pub mod proxy;
pub mod server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The first account's root key in every test.
pub const KEY: &str = "AKIAWHARFFAULTTESTS0";
pub const SECRET: &str = "fault-tests-secret-fault-tests-secret-00";

/// How long a test waits for what is to come, on a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_secs(40);
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Looks again and again until `look` finds something; a test that waits in vain fails.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain until {what}");
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// How many rounds: more with `WHARF_LONG=1`.
pub fn rounds(short: usize, long: usize) -> usize {
    if std::env::var("WHARF_LONG").is_ok_and(|value| value == "1") { long } else { short }
}

/// Chance with a printed seed: `WHARF_SEED=n` repeats a run's choices.
pub struct Chance(u64);

impl Chance {
    pub fn new() -> Chance {
        let given = std::env::var("WHARF_SEED").ok().and_then(|text| text.parse().ok());
        let clock =
            || std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
        let seed = given.unwrap_or_else(clock);
        println!("WHARF_SEED={seed}");
        Chance(seed)
    }

    /// A number below `end` (splitmix64).
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }

    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from)
    }
}

/// Whether a program is there. Where it is not, the test says so and ends, unless this is a run
/// that must have it.
pub fn has(program: &str, package: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    if found.is_ok_and(|out| out.status.success()) {
        return true;
    }
    let needed = std::env::var("CI").is_ok_and(|value| value == "1" || value == "true");
    assert!(!needed, "{program} is not on PATH: install Debian's {package}");
    println!("skipped: {program} is not on PATH (Debian: apt-get install {package})");
    false
}

/// Copies a folder of plain files and folders.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// The segment that a journal was written to last.
pub fn last_segment(data: &Path) -> PathBuf {
    let files = std::fs::read_dir(data.join("journal")).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|e| e == "seg")).max().unwrap()
}

/// Where the last record of a segment ends: what follows are zeros, and it ends with none.
pub fn end_of(segment: &Path) -> u64 {
    let bytes = std::fs::read(segment).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1
}
