//! The journal: what makes a committed step durable before anyone is told of it.
//!
//! It rests on one idea: a journal carries *bytes in order* and knows nothing of row types. A step
//! is a [`Batch`] of [`RowChange`]s with a revision that rises by exactly one; a snapshot is a set
//! of rows at one revision. Everything above (what a row means, which version of it a binary can
//! read) belongs to the state crates.
//!
//! Two kinds stand behind one trait:
//! * [`embedded`]: a directory of checksummed log segments and snapshots on the local disk;
//! * [`etcd`]: an existing etcd cluster, for more than one server.
//!
//! The engine drives both with one code path:
//!
//! ```text
//! journal.recover(sink)          newest good snapshot, then every later batch
//! loop {
//!     journal.lead(sink, stop)   embedded: at once; etcd: feeds the leader's batches until we win
//!     while journal.append(..) is Ok { … snapshot_due → begin_snapshot → (thread) → install … }
//!     // Full      undo, refuse, try again later: nothing else is needed
//!     // Poisoned  undo, then begin_snapshot + install; appends are refused until then
//!     // Fenced    undo, then lead again: what did land is fed to the sink there
//! }
//! ```
//!
//! Additions to the plain interface, and why:
//! * [`Sink::snapshot_begin`] tells the sink to forget its rows: a follower that fell behind the
//!   trimmed log is handed a whole new snapshot in the middle of its life.
//! * [`Journal::try_lead`] is `lead` cut into bounded waits, for a thread that has other work.
//! * [`Follower`] is the `Clone + Send` handle that readers use off the journal's thread.
//! * `append(&[])` writes nothing and tells whether this process may still write.

mod codec;
pub mod embedded;
mod error;
pub mod etcd;
mod record;
mod standing;
mod turn;

pub use embedded::{EmbeddedJournal, EmbeddedOptions};
pub use error::{JournalError, SinkError};
pub use etcd::{EtcdJournal, EtcdOptions};
pub use standing::{Follower, LeaderInfo, Role, Stop};

use std::sync::Arc;
use std::time::Duration;

use turn::Turn;

/// One row's new content, as bytes that only its owner can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    pub table: Arc<str>,
    /// The row format's version, so that a newer binary knows how to read an older row.
    pub version: u32,
    pub key: Vec<u8>,
    /// `None` deletes the row.
    pub value: Option<Vec<u8>>,
}

/// One committed step. Revisions start at 1 and rise by exactly 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub rev: u64,
    pub at_ms: i64,
    pub changes: Vec<RowChange>,
}

/// Who takes what a journal reads back.
pub trait Sink {
    /// A snapshot of revision `rev` follows: forget every row held so far.
    fn snapshot_begin(&mut self, rev: u64);
    fn snapshot_row(&mut self, row: RowChange) -> Result<(), SinkError>;
    /// The time of the newest batch that the snapshot stands for, told before it is done: those
    /// batches' own times may be in no file any more, and no later one may be older.
    fn snapshot_time(&mut self, _at_ms: i64) {}
    fn snapshot_done(&mut self, rev: u64);
    fn batch(&mut self, batch: Batch) -> Result<(), SinkError>;
}

/// The fencing number of one leadership: durable, and higher than any before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term(pub u64);

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The last revision fed; 0 for a new journal.
    pub rev: u64,
    /// The revision of the snapshot that was fed; 0 where there was none.
    pub snapshot_rev: u64,
    /// Batches fed after the snapshot.
    pub batches: u64,
    /// Bytes of an unfinished, never acknowledged write that were cut off.
    pub torn_bytes: u64,
    /// Damage that cost nothing but that the operator should hear of.
    pub warnings: Vec<String>,
}

/// Figures for metrics and `wharf check`.
#[derive(Clone, Debug)]
pub struct Status {
    pub kind: &'static str,
    pub role: Role,
    pub term: u64,
    pub head: u64,
    /// Bytes of log after the newest snapshot.
    pub log_bytes: u64,
    /// Segment files (embedded) or log values (etcd) that are kept.
    pub segments: u64,
    pub snapshot_rev: u64,
    pub snapshot_bytes: u64,
    /// How long the last durable append took: the disk's sync, or etcd's answer.
    pub last_sync: Duration,
    /// Why appends are refused, if they are.
    pub refused: Option<String>,
    pub leader: Option<LeaderInfo>,
}

/// A finished, durable snapshot that [`Journal::install`] puts in its predecessor's place.
#[derive(Debug)]
pub struct Installed {
    pub rev: u64,
    pub rows: u64,
    pub bytes: u64,
    pub(crate) chunks: u64,
    pub(crate) seq: u64,
    pub(crate) term: u64,
    /// Kept until this is installed, or dropped.
    pub(crate) _turn: Turn,
}

/// Takes a snapshot's rows on any thread, off the append path.
pub trait SnapshotWriter {
    fn row(&mut self, row: &RowChange) -> Result<(), JournalError>;
    fn finish(self: Box<Self>) -> Result<Installed, JournalError>;
}

/// A durable, ordered log of batches with snapshots. See the crate's page for the order of calls.
pub trait Journal: Send {
    /// Feeds the newest good snapshot and all later batches, in order. Called once, first.
    fn recover(&mut self, sink: &mut dyn Sink) -> Result<Recovered, JournalError>;

    /// Works towards leadership for at most about `wait`; meanwhile the leader's batches are fed to
    /// the sink. `Some` means: everything durable was fed, the term is durable, this process may
    /// write. Called again after `Fenced`.
    fn try_lead(
        &mut self,
        sink: &mut dyn Sink,
        wait: Duration,
    ) -> Result<Option<Term>, JournalError>;

    /// [`Journal::try_lead`] until it succeeds, or [`JournalError::Stopped`] once `stop` is set.
    fn lead(&mut self, sink: &mut dyn Sink, stop: &Stop) -> Result<Term, JournalError> {
        loop {
            if stop.is_set() {
                return Err(JournalError::Stopped);
            }
            if let Some(term) = self.try_lead(sink, Duration::from_millis(200))? {
                return Ok(term);
            }
        }
    }

    /// Group commit: all given batches are durable on `Ok`; on an error none may be taken as such.
    fn append(&mut self, batches: &[Batch]) -> Result<(), JournalError>;

    /// Whether there is room again for a write, which is asked while writes are refused and nobody
    /// tries one. False also where only a write can tell.
    fn has_room(&mut self) -> bool {
        false
    }

    /// Whether the log has grown enough that a snapshot pays. False while one is being written or
    /// waits to be installed.
    fn snapshot_due(&self) -> bool;

    /// Starts a snapshot of `rev`, which must be the last appended revision.
    fn begin_snapshot(&mut self, rev: u64) -> Result<Box<dyn SnapshotWriter + Send>, JournalError>;

    /// Makes a finished snapshot the one that recovery starts from, and deletes what it replaces.
    fn install(&mut self, done: Installed) -> Result<(), JournalError>;

    /// A handle for readers and for news of leadership.
    fn follower(&self) -> Follower;

    fn status(&self) -> Status;

    /// Gives up leadership so that another may take it at once. Appends fail afterwards.
    fn resign(&mut self);
}

/// Revisions rise by exactly one; anything else is the caller's mistake.
fn check_order(head: u64, batches: &[Batch]) -> Result<(), JournalError> {
    let mut expected = head;
    for batch in batches {
        expected += 1;
        if batch.rev != expected {
            let found = batch.rev;
            return Err(JournalError::Misuse(format!(
                "batch {found} was given where {expected} belongs"
            )));
        }
    }
    Ok(())
}
