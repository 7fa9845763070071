//! What the agent must not forget: its instance's ARN, the highest sequence number, each task as it
//! was given and what has become of it.
//!
//! One file of lines, each a checksum and a JSON record `[key, value]`; the last record of a key
//! holds, `null` removes it. A line that was cut off by a crash ends the file. All writers share one
//! `fsync`, so that a hundred tasks are durable after one or two of them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot {what} {path}")]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the agent's journal has stopped")]
    Stopped,
}

/// Records that wait for the disk; beyond it writers wait.
const WAITING: usize = 1024;
/// A journal this much larger than what it says is written anew.
const SLACK: u64 = 4 << 20;
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
}

struct Writer {
    dir: PathBuf,
    file: File,
    /// Where the durable part ends.
    length: u64,
    live: BTreeMap<String, Box<RawValue>>,
    live_bytes: u64,
}

impl Journal {
    /// Open it, and give what it holds.
    pub fn open(dir: &Path) -> Result<(Journal, BTreeMap<String, Value>), JournalError> {
        let failed = |what| {
            let path = dir.join(NAME);
            move |source| JournalError::File { what, path: path.clone(), source }
        };
        std::fs::create_dir_all(dir).map_err(failed("make the folder of"))?;
        let mut bytes = Vec::new();
        match File::open(dir.join(NAME)) {
            Ok(mut file) => {
                file.read_to_end(&mut bytes).map_err(failed("read"))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(failed("open")(source)),
        }
        let live = read(&bytes);
        let values = live.iter().filter_map(|(key, value)| {
            Some((key.clone(), serde_json::from_str(value.get()).ok()?))
        });
        let values = values.collect();
        let (file, length) = rewrite(dir, &live).map_err(failed("write"))?;
        let writer = Writer { dir: dir.to_owned(), file, length, live, live_bytes: length };
        let (sender, receiver) = mpsc::channel(WAITING);
        std::thread::Builder::new()
            .name("agent-journal".into())
            .spawn(move || writer.run(receiver))
            .map_err(failed("start the writer of"))?;
        Ok((Journal { records: sender }, values))
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

fn raw<T: serde::Serialize>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("the agent's records are plain data")
}

/// All whole records from the beginning on.
fn read(bytes: &[u8]) -> BTreeMap<String, Box<RawValue>> {
    let mut live = BTreeMap::new();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let Some((key, value)) = record(&rest[..end]) else { break };
        match value {
            Some(value) => drop(live.insert(key, value)),
            None => drop(live.remove(&key)),
        }
        rest = &rest[end + 1..];
    }
    live
}

fn record(line: &[u8]) -> Option<(String, Option<Box<RawValue>>)> {
    let line = std::str::from_utf8(line).ok()?;
    let (sum, text) = line.split_at_checked(9)?;
    let sum = u32::from_str_radix(sum.strip_suffix(' ')?, 16).ok()?;
    if crc32fast::hash(text.as_bytes()) != sum {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn line(key: &str, value: Option<&RawValue>) -> Vec<u8> {
    let text = serde_json::to_string(&(key, value)).expect("a key and a value are plain data");
    format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes())).into_bytes()
}

/// A file with these records alone, in place of the old one.
fn rewrite(dir: &Path, live: &BTreeMap<String, Box<RawValue>>) -> std::io::Result<(File, u64)> {
    let fresh = dir.join(format!(".{NAME}"));
    let _ = std::fs::remove_file(&fresh);
    // Credentials of tasks are in it.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let mut bytes = Vec::new();
    live.iter().for_each(|(key, value)| bytes.extend(line(key, Some(value))));
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, dir.join(NAME))?;
    File::open(dir)?.sync_all()?;
    Ok((file, bytes.len() as u64))
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
            for record in &batch {
                bytes.extend(line(&record.key, record.value.as_deref()));
            }
            self.write(&bytes);
            for record in batch {
                match record.value {
                    Some(value) => drop(self.live.insert(record.key, value)),
                    None => drop(self.live.remove(&record.key)),
                }
                if let Some(done) = record.done {
                    let _ = done.send(());
                }
            }
        }
    }

    /// Until it is on the disk: a full disk is waited out, as nothing may be promised meanwhile.
    fn write(&mut self, bytes: &[u8]) {
        let mut warned = false;
        loop {
            match self.try_write(bytes) {
                Ok(()) => return,
                Err(error) if !warned => {
                    tracing::error!("the agent's journal cannot be written: {error}");
                    warned = true;
                }
                Err(_) => {}
            }
            // A file whose write or sync failed is never written again: it may end in half a line.
            let (file, length) = loop {
                std::thread::sleep(AGAIN);
                if let Ok(fresh) = rewrite(&self.dir, &self.live) {
                    break fresh;
                }
            };
            (self.file, self.length, self.live_bytes) = (file, length, length);
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.length > 2 * self.live_bytes + SLACK {
            let (file, length) = rewrite(&self.dir, &self.live)?;
            (self.file, self.length, self.live_bytes) = (file, length, length);
        }
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn what_was_put_is_there_and_what_was_removed_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, empty) = Journal::open(dir.path()).unwrap();
        assert!(empty.is_empty());
        block_on(async {
            journal.put("a", &json!({"x": 1})).await.unwrap();
            journal.put("b", &json!("old")).await.unwrap();
            journal.note("b", &json!("new")).await.unwrap();
            journal.remove("a").await.unwrap();
            journal.put("c", &json!(3)).await.unwrap();
        });
        let (_, values) = Journal::open(dir.path()).unwrap();
        let expected = [("b".to_owned(), json!("new")), ("c".to_owned(), json!(3))];
        assert_eq!(values, BTreeMap::from(expected));
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
            prop_assert!(read(&torn).len() >= whole);
            prop_assert_eq!(read(&bytes[..keep]).len(), whole);
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes);
        }
    }
}
