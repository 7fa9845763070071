//! The embedded journal: one directory on the local disk, no other program.
//!
//! ```text
//! lock                 held by the one process that writes
//! 000000000007.seg     log segments in order; each start and each snapshot opens a new one
//! 00000000000000000420.snap
//! ```
//!
//! The term is the one in the newest segment's header, so it is durable before the first append and
//! rises at each start without a file of its own. After a failed write or sync a segment is never
//! written again: the kernel may have dropped the dirty pages and report success the next time.
//!
//! Why not redb: a commit of one 1 KB batch took 94–106 µs here and 200–242 µs there, one of 64 took
//! 173–185 µs and 654–1007 µs, at a quarter of the CPU (medians of 7 alternating rounds on two busy
//! cores; `examples/journal_throughput.rs`). etcd on the same disk: 490 µs and 670–730 µs.

mod disk;
mod inspect;
mod recovery;
mod segment;
mod snapshot;

pub use disk::{Disk, DiskFile, RealDisk};
pub use inspect::{
    History, Inspection, Problem, SegmentSummary, SnapshotSummary, history, inspect, read_snapshot,
};
pub(crate) use snapshot::{Block, BlockPacker};

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::record::Encoder;
use crate::standing::{HeadFuture, RoleCallback, Standing};
use crate::turn::Turns;
use crate::{
    Batch, Follower, Installed, Journal, JournalError, LeaderInfo, Recovered, Role, Sink,
    SnapshotWriter, Status, Term,
};
use segment::{SegmentHead, SegmentWriter, Unborn, WriteFailure};
use snapshot::{FileSnapshot, snapshot_name};

/// Where and how. `EmbeddedOptions::new(dir)` is right for production.
#[derive(Clone)]
pub struct EmbeddedOptions {
    pub dir: PathBuf,
    /// What [`Follower::leader`] tells: this process's own address.
    pub advertise: String,
    /// A snapshot is due once the log since the last one is this long (or twice the snapshot).
    pub snapshot_after: u64,
    /// A segment that is longer is closed. Bounds the memory that reading one back takes.
    pub segment_bytes: u64,
    /// How far zeros are laid out ahead of the writer.
    pub grow: u64,
    pub disk: Arc<dyn Disk>,
}

impl EmbeddedOptions {
    pub fn new(dir: impl Into<PathBuf>) -> EmbeddedOptions {
        EmbeddedOptions {
            dir: dir.into(),
            advertise: String::new(),
            snapshot_after: 32 << 20,
            segment_bytes: 64 << 20,
            grow: 4 << 20,
            disk: Arc::new(RealDisk),
        }
    }
}

/// A segment that is no longer written.
#[derive(Clone, Debug)]
struct Kept {
    path: PathBuf,
    first_rev: u64,
}

pub struct EmbeddedJournal {
    options: EmbeddedOptions,
    _lock: File,
    recovered: bool,
    segment: Option<SegmentWriter>,
    /// The current segment failed; no byte of it may follow.
    segment_bad: bool,
    /// Why appends are refused until a snapshot is installed.
    refused: Option<String>,
    term: u64,
    head: u64,
    /// The newest time of any batch.
    newest_ms: i64,
    last_index: u64,
    kept: Vec<Kept>,
    /// Good snapshots by revision, oldest first, and files that are of no use any more.
    snapshots: Vec<u64>,
    useless: Vec<PathBuf>,
    snapshot_bytes: u64,
    log_bytes: u64,
    /// The log's length when the snapshot that is being written began.
    log_at_begin: u64,
    due_at: u64,
    writing: Turns,
    last_sync: Duration,
    encoder: Encoder,
    standing: Arc<Alone>,
}

/// How long the lock may still be held by nobody but a child between its fork and its exec.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

fn take_lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join("lock");
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(JournalError::io("open", &path))?;
    let started = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => return Err(JournalError::io("lock", &path)(error)),
            Err(TryLockError::WouldBlock) if started.elapsed() >= LOCK_PATIENCE => {
                return Err(JournalError::Locked { dir: dir.into() });
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

impl EmbeddedJournal {
    /// Takes the directory for this process alone, making it if need be.
    pub fn open(options: EmbeddedOptions) -> Result<EmbeddedJournal, JournalError> {
        let dir = &options.dir;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(JournalError::io("create", dir))?;
        let lock = take_lock(dir)?;
        let standing = Arc::new(Alone::new(options.advertise.clone()));
        Ok(EmbeddedJournal {
            due_at: options.snapshot_after,
            options,
            _lock: lock,
            recovered: false,
            segment: None,
            segment_bad: false,
            refused: None,
            term: 0,
            head: 0,
            newest_ms: 0,
            last_index: 0,
            kept: Vec::new(),
            snapshots: Vec::new(),
            useless: Vec::new(),
            snapshot_bytes: 0,
            log_bytes: 0,
            log_at_begin: 0,
            writing: Turns::default(),
            last_sync: Duration::ZERO,
            encoder: Encoder::default(),
            standing,
        })
    }

    /// Opens the next segment and closes the present one.
    fn rotate(&mut self) -> Result<(), JournalError> {
        let head = SegmentHead {
            index: self.last_index + 1,
            term: self.term,
            first_rev: self.head + 1,
            salt: RandomState::new().hash_one(self.last_index) as u32,
        };
        let (disk, dir) = (&*self.options.disk, &self.options.dir);
        let fresh = match SegmentWriter::create(disk, dir, head, self.options.grow) {
            Ok(fresh) => fresh,
            Err(Unborn { error, may_exist }) if may_exist && self.segment.is_some() => {
                let reason = error.to_string();
                self.segment_bad = true;
                self.refused = Some(reason.clone());
                return Err(JournalError::Poisoned { reason });
            }
            Err(Unborn { error, .. }) => return Err(error),
        };
        self.last_index = head.index;
        if let Some(mut old) = self.segment.replace(fresh) {
            if !self.segment_bad {
                old.close();
            }
            self.kept.push(Kept { path: old.path, first_rev: old.head.first_rev });
        }
        self.segment_bad = false;
        Ok(())
    }

    fn refusal(&self) -> Option<JournalError> {
        if self.segment.is_none() {
            return Some(JournalError::Fenced { reason: "leadership was not taken".into() });
        }
        let reason = self.refused.clone()?;
        Some(JournalError::Poisoned { reason })
    }

    /// Deletes snapshots and segments that neither of the two newest snapshots needs.
    fn drop_replaced(&mut self) {
        let oldest_kept = match self.snapshots[..] {
            [.., previous, _newest] => previous,
            // The generation before the first snapshot is the log from its beginning.
            _ => 0,
        };
        let (disk, dir) = (&self.options.disk, &self.options.dir);
        let (stale, keep) = self.snapshots.iter().partition(|rev| **rev < oldest_kept);
        self.snapshots = keep;
        let stale: Vec<u64> = stale;
        let mut useless = std::mem::take(&mut self.useless);
        useless.extend(stale.iter().map(|rev| dir.join(snapshot_name(*rev))));
        let current = self.segment.as_ref().map_or(self.head + 1, |s| s.head.first_rev);
        // A segment ends where the next one begins.
        let ends: Vec<u64> =
            self.kept.iter().skip(1).map(|kept| kept.first_rev).chain([current]).collect();
        let needed = |next: u64| next > oldest_kept + 1;
        let count = self.kept.iter().zip(&ends).take_while(|(_, next)| !needed(**next)).count();
        useless.extend(self.kept.drain(..count).map(|kept| kept.path));
        for path in useless {
            if let Err(error) = disk.remove(&path) {
                // It only costs space, and the next snapshot tries again.
                tracing::warn!(path = %path.display(), %error, "cannot remove an old journal file");
                self.useless.push(path);
            }
        }
    }
}

impl Journal for EmbeddedJournal {
    fn recover(&mut self, sink: &mut dyn Sink) -> Result<Recovered, JournalError> {
        if self.recovered {
            return Err(JournalError::Misuse("recover was called twice".into()));
        }
        let found = recovery::recover(&*self.options.disk, &self.options.dir, sink)?;
        self.recovered = true;
        self.head = found.recovered.rev;
        self.newest_ms = found.newest_ms;
        self.term = found.term;
        self.last_index = found.last_index;
        self.kept = found.kept;
        self.snapshots = found.snapshots;
        self.useless = found.useless;
        self.snapshot_bytes = found.snapshot_bytes;
        self.log_bytes = found.log_bytes;
        self.due_at = self.options.snapshot_after.max(2 * self.snapshot_bytes);
        self.standing.head.store(self.head, Ordering::Release);
        Ok(found.recovered)
    }

    fn try_lead(
        &mut self,
        _sink: &mut dyn Sink,
        _wait: Duration,
    ) -> Result<Option<Term>, JournalError> {
        if !self.recovered {
            return Err(JournalError::Misuse("lead was called before recover".into()));
        }
        if self.segment.is_none() {
            // The term counts as taken once the segment that carries it is durable.
            self.term += 1;
            self.rotate().inspect_err(|_| self.term -= 1)?;
            self.standing.lead(self.term);
        }
        Ok(Some(Term(self.term)))
    }

    fn append(&mut self, batches: &[Batch]) -> Result<(), JournalError> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        crate::check_order(self.head, batches)?;
        let Some(last) = batches.last() else { return Ok(()) };
        if self.segment.as_ref().is_some_and(|s| s.end >= self.options.segment_bytes) {
            self.rotate()?;
        }
        let segment = self.segment.as_mut().expect("refusal() has looked");
        let Some(record) = self.encoder.encode(batches, segment.head.salt) else {
            return Err(JournalError::Misuse("a group of batches exceeds 256 MiB".into()));
        };
        let started = Instant::now();
        match segment.append(record) {
            Ok(()) => {}
            Err(WriteFailure::Full(reason)) => {
                let place = self.options.dir.display().to_string();
                return Err(JournalError::Full { place, reason });
            }
            Err(WriteFailure::Unknown(reason)) => {
                self.segment_bad = true;
                self.refused = Some(reason.clone());
                return Err(JournalError::Poisoned { reason });
            }
        }
        self.last_sync = started.elapsed();
        self.log_bytes += record.len() as u64;
        self.head = last.rev;
        self.newest_ms = self.newest_ms.max(last.at_ms);
        self.standing.head.store(last.rev, Ordering::Release);
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        if self.refusal().is_some() {
            return false;
        }
        match self.segment.as_mut().expect("refusal() has looked").make_room() {
            Ok(()) => true,
            Err(WriteFailure::Full(_)) => false,
            Err(WriteFailure::Unknown(reason)) => {
                self.segment_bad = true;
                self.refused = Some(reason);
                false
            }
        }
    }

    fn snapshot_due(&self) -> bool {
        if self.segment.is_none() || self.writing.is_taken() {
            return false;
        }
        self.refused.is_some() || self.log_bytes >= self.due_at
    }

    fn begin_snapshot(&mut self, rev: u64) -> Result<Box<dyn SnapshotWriter + Send>, JournalError> {
        if rev != self.head {
            let head = self.head;
            return Err(JournalError::Misuse(format!("a snapshot of {rev} was begun at {head}")));
        }
        let Some(segment) = &self.segment else {
            return Err(JournalError::Fenced { reason: "leadership was not taken".into() });
        };
        let turn = self.writing.take()?;
        // Should this one fail, the next is due only after some more log, not at once.
        self.due_at = self.log_bytes + self.options.snapshot_after / 4;
        if self.segment_bad || segment.head.first_rev != rev + 1 {
            self.rotate()?;
        }
        self.log_at_begin = self.log_bytes;
        let (disk, dir) = (self.options.disk.clone(), &self.options.dir);
        Ok(Box::new(FileSnapshot::create(disk, dir, rev, self.newest_ms, turn)?))
    }

    fn install(&mut self, done: Installed) -> Result<(), JournalError> {
        self.snapshots.retain(|rev| *rev != done.rev);
        self.snapshots.push(done.rev);
        self.snapshot_bytes = done.bytes;
        self.log_bytes -= self.log_at_begin;
        self.log_at_begin = 0;
        self.due_at = self.options.snapshot_after.max(2 * done.bytes);
        if !self.segment_bad {
            self.refused = None;
        }
        self.drop_replaced();
        Ok(())
    }

    fn follower(&self) -> Follower {
        Follower(self.standing.clone())
    }

    fn status(&self) -> Status {
        Status {
            kind: "embedded",
            role: self.standing.role(),
            term: self.term,
            head: self.head,
            log_bytes: self.log_bytes,
            segments: self.kept.len() as u64 + u64::from(self.segment.is_some()),
            snapshot_rev: self.snapshots.last().copied().unwrap_or(0),
            snapshot_bytes: self.snapshot_bytes,
            last_sync: self.last_sync,
            refused: self.refused.clone(),
            leader: self.standing.leader(),
        }
    }

    fn resign(&mut self) {
        if let Some(mut segment) = self.segment.take() {
            if !self.segment_bad {
                segment.close();
            }
            self.kept.push(Kept { path: segment.path, first_rev: segment.head.first_rev });
            self.standing.resign();
        }
    }
}

/// Nobody else can lead a directory that we hold the lock of.
struct Alone {
    advertise: String,
    head: AtomicU64,
    /// 0 while not leading.
    term: AtomicU64,
    callbacks: Mutex<Vec<RoleCallback>>,
}

impl Alone {
    fn new(advertise: String) -> Alone {
        let callbacks = Mutex::default();
        Alone { advertise, head: AtomicU64::new(0), term: AtomicU64::new(0), callbacks }
    }

    fn lead(&self, term: u64) {
        self.term.store(term, Ordering::Release);
        self.tell(Role::Leader);
    }

    fn resign(&self) {
        self.term.store(0, Ordering::Release);
        self.tell(Role::Follower);
    }

    fn tell(&self, role: Role) {
        let callbacks = self.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
        callbacks.iter().for_each(|callback| callback(role));
    }
}

impl Standing for Alone {
    fn role(&self) -> Role {
        match self.term.load(Ordering::Acquire) {
            0 => Role::Follower,
            _ => Role::Leader,
        }
    }

    fn leader(&self) -> Option<LeaderInfo> {
        let term = self.term.load(Ordering::Acquire);
        (term > 0).then(|| LeaderInfo { address: self.advertise.clone(), term })
    }

    fn linearizable_head(&self) -> HeadFuture {
        let head = self.head.load(Ordering::Acquire);
        Box::pin(async move { Ok(head) })
    }

    fn on_change(&self, callback: RoleCallback) {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner).push(callback);
    }
}

/// A directory's files of one kind, sorted by name, which is their order.
fn files_of(dir: &Path, extension: &str) -> Result<Vec<PathBuf>, JournalError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(JournalError::io("list", dir))? {
        let path = entry.map_err(JournalError::io("list", dir))?.path();
        if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
