//! Where everything lies in etcd, and the small values as JSON, so that `etcdctl get` shows them.
//!
//! ```text
//! <prefix>now/head            {"seq":…,"rev":…,"term":…}: the commit point of the log
//! <prefix>now/term            the last term that was taken
//! <prefix>now/leader/<lease>  a candidate; the one that was created first leads
//! <prefix>log/<seq>/<part>    one record (a group of batches) in parts of at most 1 MiB
//! <prefix>snapshot/current    {"rev":…,"seq":…,…}
//! <prefix>snapshot/data/<rev>-<term>/<chunk>
//! ```
//!
//! What changes often and is small lies under `now/`, so one watch wakes a follower without sending
//! it the log a second time.

use serde::{Deserialize, Serialize};

use super::wire::KeyValue;
use crate::JournalError;

/// etcd refuses requests above 1.5 MiB unless told otherwise.
pub(super) const PART: usize = 1 << 20;

#[derive(Clone)]
pub(super) struct Layout {
    prefix: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The last log value that counts.
    pub seq: u64,
    /// The last revision in it.
    pub rev: u64,
    pub term: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Candidate {
    pub address: String,
    /// 0 until it has won.
    pub term: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub rev: u64,
    /// The log continues after this one.
    pub seq: u64,
    /// Log values up to this one may be gone.
    pub trimmed: u64,
    pub term: u64,
    pub chunks: u64,
    pub rows: u64,
    pub bytes: u64,
    /// No batch up to `rev` is of a later time.
    #[serde(default)]
    pub at_ms: i64,
}

impl Layout {
    pub fn new(prefix: &str) -> Layout {
        Layout { prefix: prefix.to_owned() }
    }

    fn key(&self, rest: &str) -> Vec<u8> {
        format!("{}{rest}", self.prefix).into_bytes()
    }

    pub fn now(&self) -> Vec<u8> {
        self.key("now/")
    }

    pub fn head(&self) -> Vec<u8> {
        self.key("now/head")
    }

    pub fn term(&self) -> Vec<u8> {
        self.key("now/term")
    }

    pub fn candidates(&self) -> Vec<u8> {
        self.key("now/leader/")
    }

    pub fn candidate(&self, lease: i64) -> Vec<u8> {
        self.key(&format!("now/leader/{lease:016x}"))
    }

    pub fn log(&self) -> Vec<u8> {
        self.key("log/")
    }

    /// Sorts before every part of log value `seq` and after those of the one before.
    pub fn log_value(&self, seq: u64) -> Vec<u8> {
        self.key(&format!("log/{seq:020}/"))
    }

    pub fn log_part(&self, seq: u64, part: usize) -> Vec<u8> {
        self.key(&format!("log/{seq:020}/{part:06}"))
    }

    /// Which log value a part's key belongs to.
    pub fn seq_of(&self, key: &[u8]) -> Option<u64> {
        let rest = std::str::from_utf8(key).ok()?.strip_prefix(&self.prefix)?;
        rest.strip_prefix("log/")?.split_once('/')?.0.parse().ok()
    }

    pub fn manifest(&self) -> Vec<u8> {
        self.key("snapshot/current")
    }

    pub fn snapshots(&self) -> Vec<u8> {
        self.key("snapshot/data/")
    }

    /// All chunks of one snapshot begin with this.
    pub fn snapshot(&self, rev: u64, term: u64) -> Vec<u8> {
        self.key(&format!("snapshot/data/{rev:020}-{term:020}/"))
    }

    pub fn chunk(&self, rev: u64, term: u64, chunk: u64) -> Vec<u8> {
        self.key(&format!("snapshot/data/{rev:020}-{term:020}/{chunk:010}"))
    }
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers and strings always become JSON")
}

/// A value that is there must be one of ours.
pub(super) fn from_json<T>(kv: &KeyValue) -> Result<T, JournalError>
where
    T: for<'de> Deserialize<'de>,
{
    serde_json::from_slice(&kv.value).map_err(|error| damaged(&kv.key, &error.to_string()))
}

/// etcd keeps its own checksums, so this is another program's doing; it is told like bit rot.
pub(super) fn damaged(key: &[u8], reason: &str) -> JournalError {
    let name = String::from_utf8_lossy(key).into_owned();
    JournalError::corrupt(format!("etcd key {name}"), 0, reason)
}
