//! What the agent must not forget: its instance's ARN, the highest sequence number, each task as it
//! was given and what has become of it.
//!
//! One file of lines, each a checksum and a JSON record `[key, value]`; the last record of a key
//! holds, `null` removes it. A line that was cut off by a crash ends the file. All writers share one
//! `fsync`, so that a hundred tasks are durable after one or two of them.
//!
//! Blocks for what comes next are taken in advance, so that a task that has filled the disk can still
//! be stopped, and its end be told.
//!
//! Values stay on the disk: in memory is where each one lies, so that what is rarely asked for (all
//! that stopped tasks were) weighs nothing until it is.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FallocateFlags, fallocate};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot {what} {path}")]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the agent's journal has stopped")]
    Stopped,
    #[error("the journal's record {key} cannot be read")]
    Record { key: String, source: std::io::Error },
}

/// Records that wait for the disk; beyond it writers wait.
const WAITING: usize = 1024;
/// A journal this much larger than what it says is written anew.
const SLACK: u64 = 4 << 20;
/// Blocks that are taken beyond the end of the file; at less than half of it they are taken anew.
const RESERVE: u64 = 2 * SLACK;
const AGAIN: std::time::Duration = std::time::Duration::from_millis(250);
const NAME: &str = "agent.journal";

struct Record {
    key: String,
    /// `None` removes the key.
    value: Option<Box<RawValue>>,
    done: Option<oneshot::Sender<()>>,
}

#[derive(Clone)]
pub struct Journal {
    records: mpsc::Sender<Record>,
    kept: Arc<Mutex<Kept>>,
}

/// The file, and where in it the line of each key lies. All of these lines are durable.
struct Kept {
    file: Arc<File>,
    places: Places,
}

type Places = BTreeMap<String, Place>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    offset: u64,
    /// With its line feed.
    length: u32,
}

struct Writer {
    dir: PathBuf,
    kept: Arc<Mutex<Kept>>,
    file: Arc<File>,
    /// Where the durable part ends.
    length: u64,
    live_bytes: u64,
    /// How far there are blocks for it.
    reserved: u64,
}

impl Journal {
    /// Open it. What it held is nothing where it is not to be trusted with the past.
    pub fn open(dir: &Path, remember: bool) -> Result<Journal, JournalError> {
        let failed = |what| {
            let path = dir.join(NAME);
            move |source| JournalError::File { what, path: path.clone(), source }
        };
        std::fs::create_dir_all(dir).map_err(failed("make the folder of"))?;
        let mut bytes = Vec::new();
        match File::open(dir.join(NAME)) {
            Ok(mut file) if remember => {
                file.read_to_end(&mut bytes).map_err(failed("read"))?;
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(failed("open")(source)),
        }
        let old = |place: Place| {
            let from = place.offset as usize;
            Ok(bytes[from..from + place.length as usize].to_vec())
        };
        let (places, whole) = read(&bytes);
        let fresh = match rewrite(dir, &places, old) {
            // There is room left in the old one, or nobody would have filled it so far.
            Err(error) if error.kind() == ErrorKind::StorageFull && remember && whole > 0 => {
                reopen(dir)
            }
            done => done,
        };
        let fresh = fresh.map_err(failed("write"))?;
        let kept = Kept { file: fresh.file.clone(), places: fresh.places };
        let kept = Arc::new(Mutex::new(kept));
        let (file, length) = (fresh.file, fresh.length);
        let (dir, of_writer) = (dir.to_owned(), kept.clone());
        let mut writer =
            Writer { dir, kept: of_writer, file, length, live_bytes: length, reserved: 0 };
        writer.reserve();
        let (sender, receiver) = mpsc::channel(WAITING);
        std::thread::Builder::new()
            .name("agent-journal".into())
            .spawn(move || writer.run(receiver))
            .map_err(failed("start the writer of"))?;
        Ok(Journal { records: sender, kept })
    }

    /// The durable value of a key. One that was only just noted may not be there yet.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, JournalError> {
        let found = {
            let kept = lock(&self.kept);
            kept.places.get(key).map(|place| (kept.file.clone(), *place))
        };
        // A file that was replaced meanwhile still has its lines.
        let Some((file, place)) = found else { return Ok(None) };
        let value = line_at(&file, place).and_then(|line| value_of(&line));
        value.map(Some).map_err(|source| JournalError::Record { key: key.to_owned(), source })
    }

    /// What follows `prefix` in the keys that begin so, in order.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let kept = lock(&self.kept);
        let from = kept.places.range(prefix.to_owned()..);
        from.map_while(|(key, _)| key.strip_prefix(prefix).map(str::to_owned)).collect()
    }

    pub fn has(&self, key: &str) -> bool {
        lock(&self.kept).places.contains_key(key)
    }

    /// Write a value and wait until it is durable.
    pub async fn put<T: serde::Serialize>(&self, key: &str, value: &T) -> Result<(), JournalError> {
        let (done, wait) = oneshot::channel();
        self.send(key, Some(raw(value)), Some(done)).await?;
        wait.await.map_err(|_| JournalError::Stopped)
    }

    /// Write a value some time soon: what is lost with it is learned again.
    pub async fn note<T: serde::Serialize>(
        &self,
        key: &str,
        value: &T,
    ) -> Result<(), JournalError> {
        self.send(key, Some(raw(value)), None).await
    }

    pub async fn remove(&self, key: &str) -> Result<(), JournalError> {
        self.send(key, None, None).await
    }

    async fn send(
        &self,
        key: &str,
        value: Option<Box<RawValue>>,
        done: Option<oneshot::Sender<()>>,
    ) -> Result<(), JournalError> {
        let record = Record { key: key.to_owned(), value, done };
        self.records.send(record).await.map_err(|_| JournalError::Stopped)
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn raw<T: serde::Serialize>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("the agent's records are plain data")
}

/// Where all whole records lie, from the beginning on; and where the last of them ends.
fn read(bytes: &[u8]) -> (Places, usize) {
    let mut places = Places::new();
    let mut offset = 0;
    while let Some(end) = bytes[offset..].iter().position(|&byte| byte == b'\n') {
        let Some((key, is_there)) = record(&bytes[offset..offset + end]) else { break };
        let Ok(length) = u32::try_from(end + 1) else { break };
        match is_there {
            true => drop(places.insert(key, Place { offset: offset as u64, length })),
            false => drop(places.remove(&key)),
        }
        offset += end + 1;
    }
    (places, offset)
}

/// A line's key, and whether it has a value.
fn record(line: &[u8]) -> Option<(String, bool)> {
    let (key, value): (String, Option<IgnoredAny>) = serde_json::from_str(text_of(line)?).ok()?;
    Some((key, value.is_some()))
}

/// What a line's checksum vouches for.
fn text_of(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?;
    let (sum, text) = line.split_at_checked(9)?;
    let sum = u32::from_str_radix(sum.strip_suffix(' ')?, 16).ok()?;
    (crc32fast::hash(text.as_bytes()) == sum).then_some(text)
}

fn value_of<T: DeserializeOwned>(line: &[u8]) -> std::io::Result<T> {
    let text = text_of(line.trim_ascii_end()).ok_or(ErrorKind::InvalidData)?;
    let (_, value): (IgnoredAny, T) = serde_json::from_str(text)?;
    Ok(value)
}

fn line_at(file: &File, place: Place) -> std::io::Result<Vec<u8>> {
    let mut line = vec![0; place.length as usize];
    file.read_exact_at(&mut line, place.offset)?;
    Ok(line)
}

fn line(key: &str, value: Option<&RawValue>) -> Vec<u8> {
    let text = serde_json::to_string(&(key, value)).expect("a key and a value are plain data");
    format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes())).into_bytes()
}

struct Fresh {
    file: Arc<File>,
    places: Places,
    length: u64,
}

/// The file that has the name now, without half a line at its end.
fn reopen(dir: &Path) -> std::io::Result<Fresh> {
    let mut file = OpenOptions::new().read(true).write(true).open(dir.join(NAME))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let (places, whole) = read(&bytes);
    if bytes.len() > whole {
        file.set_len(whole as u64)?;
        file.sync_all()?;
    }
    File::open(dir)?.sync_all()?;
    let length = whole as u64;
    Ok(Fresh { file: Arc::new(file), places, length })
}

/// A file with these records alone, in place of the old one.
fn rewrite(
    dir: &Path,
    old: &Places,
    line_at: impl Fn(Place) -> std::io::Result<Vec<u8>>,
) -> std::io::Result<Fresh> {
    let path = dir.join(format!(".{NAME}"));
    let _ = std::fs::remove_file(&path);
    let done = write_anew(dir, &path, old, line_at);
    if done.is_err() {
        // On a full disk it would take what others wait for.
        let _ = std::fs::remove_file(&path);
    }
    done
}

fn write_anew(
    dir: &Path,
    path: &Path,
    old: &Places,
    line_at: impl Fn(Place) -> std::io::Result<Vec<u8>>,
) -> std::io::Result<Fresh> {
    // Credentials of tasks are in it.
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    let mut writer = BufWriter::new(&file);
    let (mut places, mut offset) = (Places::new(), 0);
    for (key, place) in old {
        let line = line_at(*place)?;
        if text_of(line.trim_ascii_end()).is_none() {
            // Waiting would not bring it back, and everything else would wait with it.
            tracing::error!("the journal's record {key} has been damaged on the disk");
            continue;
        }
        writer.write_all(&line)?;
        places.insert(key.clone(), Place { offset, ..*place });
        offset += u64::from(place.length);
    }
    writer.flush()?;
    drop(writer);
    file.sync_all()?;
    std::fs::rename(path, dir.join(NAME))?;
    File::open(dir)?.sync_all()?;
    Ok(Fresh { file: Arc::new(file), places, length: offset })
}

impl Writer {
    fn run(mut self, mut records: mpsc::Receiver<Record>) {
        while let Some(first) = records.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < WAITING
                && let Ok(next) = records.try_recv()
            {
                batch.push(next);
            }
            let mut bytes = Vec::new();
            let mut lengths = Vec::new();
            for record in &batch {
                let line = line(&record.key, record.value.as_deref());
                lengths.push(u32::try_from(line.len()).expect("a record is far below 4 GiB"));
                bytes.extend(line);
            }
            let mut offset = self.write(&bytes);
            let mut kept = lock(&self.kept);
            for (record, length) in batch.into_iter().zip(lengths) {
                match record.value {
                    Some(_) => drop(kept.places.insert(record.key, Place { offset, length })),
                    None => drop(kept.places.remove(&record.key)),
                }
                offset += u64::from(length);
                if let Some(done) = record.done {
                    let _ = done.send(());
                }
            }
        }
    }

    /// Until it is on the disk: a full disk is waited out, as nothing may be promised meanwhile. Says
    /// where it was written.
    fn write(&mut self, bytes: &[u8]) -> u64 {
        let mut warned = false;
        loop {
            match self.try_write(bytes) {
                Ok(offset) => return offset,
                Err(error) if !warned => {
                    tracing::error!("the agent's journal cannot be written: {error}");
                    warned = true;
                }
                Err(_) => {}
            }
            // A file whose write or sync failed is never written again: it may end in half a line.
            loop {
                std::thread::sleep(AGAIN);
                if self.rewrite().is_ok() {
                    break;
                }
            }
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<u64> {
        // Without room for another file this one goes on, unless the other has its name already.
        if self.length > 2 * self.live_bytes + SLACK
            && let Err(error) = self.rewrite()
            && !self.has_its_name()?
        {
            return Err(error);
        }
        self.reserve();
        let offset = self.length;
        self.file.write_all_at(bytes, offset)?;
        self.file.sync_data()?;
        self.length += bytes.len() as u64;
        Ok(offset)
    }

    fn has_its_name(&self) -> std::io::Result<bool> {
        let (named, own) = (std::fs::metadata(self.dir.join(NAME))?, self.file.metadata()?);
        Ok((named.dev(), named.ino()) == (own.dev(), own.ino()))
    }

    /// Take blocks in advance, where the file system can. What fails now is tried again with the next
    /// write.
    fn reserve(&mut self) {
        if self.reserved >= self.length + RESERVE / 2 {
            return;
        }
        let taken = fallocate(&*self.file, FallocateFlags::KEEP_SIZE, self.length, RESERVE);
        if taken.is_ok() {
            self.reserved = self.length + RESERVE;
        }
    }

    fn rewrite(&mut self) -> std::io::Result<()> {
        // Nobody else changes where the lines lie.
        let old = lock(&self.kept).places.clone();
        let fresh = rewrite(&self.dir, &old, |place| line_at(&self.file, place))?;
        (self.file, self.length, self.live_bytes) =
            (fresh.file.clone(), fresh.length, fresh.length);
        *lock(&self.kept) = Kept { file: fresh.file, places: fresh.places };
        self.reserved = 0;
        self.reserve();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn all(journal: &Journal) -> BTreeMap<String, Value> {
        let keys = journal.keys("").into_iter();
        keys.map(|key| (key.clone(), journal.get(&key).unwrap().unwrap())).collect()
    }

    #[test]
    fn what_was_put_is_there_and_what_was_removed_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), true).unwrap();
        assert!(all(&journal).is_empty());
        block_on(async {
            journal.put("a", &json!({"x": 1})).await.unwrap();
            journal.put("b", &json!("old")).await.unwrap();
            journal.note("b", &json!("new")).await.unwrap();
            journal.remove("a").await.unwrap();
            journal.put("c/1", &json!(3)).await.unwrap();
        });
        let expected = [("b".to_owned(), json!("new")), ("c/1".to_owned(), json!(3))];
        let expected = BTreeMap::from(expected);
        assert_eq!(all(&journal), expected);
        assert_eq!(journal.keys("c/"), ["1"]);
        assert!(!journal.has("a") && journal.get::<Value>("a").unwrap().is_none());
        assert_eq!(all(&Journal::open(dir.path(), true).unwrap()), expected);
        assert!(all(&Journal::open(dir.path(), false).unwrap()).is_empty());
    }

    #[test]
    fn a_journal_that_has_grown_is_written_anew_and_says_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), true).unwrap();
        let much = "x".repeat(100 << 10);
        block_on(async {
            journal.put("stays", &json!("as it is")).await.unwrap();
            for nth in 0..60 {
                journal.put("changes", &json!([nth, much])).await.unwrap();
            }
        });
        let length = std::fs::metadata(dir.path().join(NAME)).unwrap().len();
        assert!(length < 60 * (100 << 10), "{length}");
        let expected = [("changes", json!([59, much])), ("stays", json!("as it is"))];
        let expected = expected.map(|(key, value)| (key.to_owned(), value)).into();
        assert_eq!(all(&journal), expected);
        assert_eq!(all(&Journal::open(dir.path(), true).unwrap()), expected);
    }

    #[test]
    fn a_record_that_the_disk_has_damaged_is_told_from_one_that_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), true).unwrap();
        block_on(async { journal.put("a", &json!("whole")).await.unwrap() });
        let file = OpenOptions::new().write(true).open(dir.path().join(NAME)).unwrap();
        file.write_all_at(b"W", 16).unwrap();
        assert!(matches!(journal.get::<Value>("a"), Err(JournalError::Record { .. })));
    }

    #[test]
    fn a_full_disk_leaves_room_for_what_must_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(dir.path());
        if !mount.output().is_ok_and(|done| done.status.success()) {
            return eprintln!("skipped: this user may not mount a file system");
        }
        let mut expected = BTreeMap::new();
        let mut put = |journal: &Journal, nth: usize| {
            let (key, value) = (format!("stop/{nth}"), json!("x".repeat(1000)));
            block_on(async { journal.put(&key, &value).await.unwrap() });
            expected.insert(key, value);
        };
        let journal = Journal::open(dir.path(), true).unwrap();
        put(&journal, 0);
        let mut ballast = File::create(dir.path().join("ballast")).unwrap();
        while ballast.write_all(&[1; 4096]).is_ok() {}
        (1..1000).for_each(|nth| put(&journal, nth));
        // An agent that starts meanwhile has no room for another file.
        drop(journal);
        let journal = Journal::open(dir.path(), true).unwrap();
        (1000..1100).for_each(|nth| put(&journal, nth));
        assert_eq!(all(&Journal::open(dir.path(), true).unwrap()), expected);
        drop((journal, ballast));
        let _ = std::process::Command::new("umount").arg("--lazy").arg(dir.path()).status();
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_torn_file_gives_its_whole_records(keep in 0usize..400, noise in any::<Vec<u8>>()) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for nth in 0..10 {
                bytes.extend(line(&format!("k{nth}"), Some(&raw(&json!({"n": nth})))));
                ends.push(bytes.len());
            }
            let keep = keep.min(bytes.len());
            let whole = ends.iter().filter(|&&end| end > 0 && end <= keep).count();
            let mut torn = bytes[..keep].to_vec();
            torn.extend(noise);
            prop_assert!(read(&torn).0.len() >= whole);
            let (places, end) = read(&bytes[..keep]);
            prop_assert_eq!(end, ends[whole]);
            prop_assert_eq!(places.len(), whole);
            for (nth, place) in places.values().enumerate() {
                let from = place.offset as usize;
                let value: std::io::Result<Value> =
                    value_of(&bytes[from..from + place.length as usize]);
                prop_assert_eq!(value.unwrap(), json!({"n": nth}));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes);
        }
    }
}
