//! The handle: append, read, watch, and keep what the control plane still has.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use core_types::Id128;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::block::Span;
use crate::chunk::{Chunk, Line};
use crate::error::StoreError;
use crate::flusher::{self, Backlog, Trouble, Work};
use crate::group::{Group, State};
use crate::query::{Page, Query};
use crate::recovery;
use crate::tail::{Tail, Tails};
use crate::wal;
use crate::writer::{Append, Writer};

/// Bounds of the store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of lines on their way to the disk; who comes beyond it waits.
    pub under_way: usize,
    /// How long they wait before they are refused.
    pub patience: Duration,
    /// Bytes of durable lines that are not in segments yet.
    pub backlog: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { under_way: 32 << 20, patience: Duration::from_secs(10), backlog: 96 << 20 }
    }
}

/// When the lines of a stream are from, and when the last of them came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTimes {
    pub first: i64,
    pub last: i64,
    pub ingested: i64,
}

impl StreamTimes {
    pub(crate) const NONE: StreamTimes =
        StreamTimes { first: i64::MAX, last: i64::MIN, ingested: i64::MIN };

    pub(crate) fn add(&mut self, span: &Span) {
        self.first = self.first.min(span.min);
        self.last = self.last.max(span.max);
        self.ingested = self.ingested.max(span.ingested);
    }
}

/// For `/metrics`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub groups: u64,
    pub lines: u64,
    pub bytes: u64,
    pub waiting_bytes: u64,
    /// Damaged places that were found.
    pub damaged: u64,
}

/// What the handle and the threads share.
pub(crate) struct Shared {
    pub tails: Tails,
    pub backlog: Backlog,
    pub trouble: Trouble,
    pub stopping: AtomicBool,
}

/// The store. Its threads end when it is dropped.
pub struct Store {
    shared: Arc<Shared>,
    groups: RwLock<HashMap<Id128, Arc<Group>>>,
    groups_dir: PathBuf,
    to_writer: Mutex<Option<mpsc::Sender<Append>>>,
    places: Arc<Semaphore>,
    options: Options,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lines: AtomicU64,
    bytes: AtomicU64,
    damaged: AtomicU64,
}

/// Appends that may wait for the writer; their bytes are bounded apart.
const QUEUE: usize = 4096;
/// A place stands for so many bytes.
const PLACE: usize = 1024;

impl Store {
    /// Open or make the store in a directory. One process at a time.
    pub fn open(dir: &Path, options: Options) -> Result<Store, StoreError> {
        let (wal_dir, groups_dir) = (dir.join("wal"), dir.join("groups"));
        let found = recovery::recover(&wal_dir, &groups_dir)?;
        let last = found.wals.last().map_or(0, |(number, _)| *number);
        let backlog = Backlog::new(options.backlog.max(found.waiting * 2));
        backlog.add(found.waiting);
        let shared = Arc::new(Shared {
            tails: Tails::default(),
            backlog,
            trouble: Trouble::default(),
            stopping: AtomicBool::new(false),
        });
        let (to_writer, inbox) = mpsc::channel(QUEUE);
        let (to_flusher, work) = std::sync::mpsc::sync_channel(QUEUE);
        // Before the first old write-ahead file goes, all that they hold is settled.
        let mut groups: Vec<Arc<Group>> = found.groups.values().cloned().collect();
        for (_, path) in found.wals {
            let groups = std::mem::take(&mut groups);
            let _ = to_flusher.send(Work::Retire { path, groups });
        }
        let writer = Writer {
            shared: shared.clone(),
            dir: wal_dir,
            wal: None,
            next: last + 1,
            inbox,
            to_flusher,
        };
        let for_flusher = shared.clone();
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
            spawned.map_err(|error| StoreError::io(dir, "served by a thread", &error))
        };
        let threads = vec![
            spawn("wharf-log-wal", Box::new(move || writer.run()))?,
            spawn("wharf-log-move", Box::new(move || flusher::run(&for_flusher, &work)))?,
        ];
        Ok(Store {
            shared,
            groups: RwLock::new(found.groups.into_iter().collect()),
            groups_dir,
            to_writer: Mutex::new(Some(to_writer)),
            places: Arc::new(Semaphore::new(options.under_way.div_ceil(PLACE))),
            options,
            threads: Mutex::new(threads),
            lines: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            damaged: AtomicU64::new(found.damage),
        })
    }

    fn find(&self, group: &Id128) -> Option<Arc<Group>> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner).get(group).cloned()
    }

    fn find_or_make(&self, id: Id128) -> Arc<Group> {
        if let Some(group) = self.find(&id) {
            return group;
        }
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        let dir = self.groups_dir.join(id.to_string());
        let make = || Arc::new(Group::new(id, dir, State::default()));
        groups.entry(id).or_insert_with(make).clone()
    }

    /// Keep lines of a stream. They are durable and readable when this returns the number behind
    /// the last one's; a number is given once in a group, and later lines have higher ones.
    pub async fn append(
        &self,
        group: Id128,
        stream: Id128,
        ingested: i64,
        lines: &[Line],
    ) -> Result<u64, StoreError> {
        let chunks = Chunk::pack(stream, ingested, lines);
        let size: usize = chunks.iter().map(|chunk| chunk.size() + wal::HEAD).sum();
        let places = size.div_ceil(PLACE).min(self.options.under_way / PLACE) as u32;
        let place = self.places.clone().acquire_many_owned(places);
        let busy = || StoreError::Busy { waiting: self.shared.backlog.bytes() };
        let place = match tokio::time::timeout(self.options.patience, place).await {
            Ok(place) => place.map_err(|_| StoreError::Stopping)?,
            Err(_) => return Err(busy()),
        };
        let to_writer = {
            let to_writer = self.to_writer.lock().unwrap_or_else(PoisonError::into_inner);
            to_writer.clone().ok_or(StoreError::Stopping)?
        };
        let (reply, answer) = oneshot::channel();
        let group = self.find_or_make(group);
        let append = Append { group, chunks, size, reply, place };
        to_writer.send(append).await.map_err(|_| StoreError::Stopping)?;
        drop(to_writer);
        let end = answer.await.map_err(|_| StoreError::Stopping)??;
        self.lines.fetch_add(lines.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(size as u64, Ordering::Relaxed);
        Ok(end)
    }

    /// Read lines that match. Blocks; for a thread that may.
    pub fn read(&self, query: &Query, matches: &dyn Fn(&str) -> bool) -> Result<Page, StoreError> {
        let Some(group) = self.find(&query.group) else { return Ok(Page::default()) };
        let page = query.run(&group, matches)?;
        self.damaged.fetch_add(page.damaged, Ordering::Relaxed);
        Ok(page)
    }

    /// Watch lines of groups as they come.
    pub fn watch(&self, groups: BTreeSet<Id128>) -> Tail {
        self.shared.tails.watch(groups)
    }

    /// What is known of a group's streams; those without lines are not in it.
    pub fn streams(&self, group: Id128) -> BTreeMap<Id128, StreamTimes> {
        let Some(group) = self.find(&group) else { return BTreeMap::new() };
        let state = group.lock();
        state.streams.iter().map(|(stream, times)| (*stream, *times)).collect()
    }

    pub fn stream(&self, group: Id128, stream: Id128) -> Option<StreamTimes> {
        self.find(&group)?.lock().streams.get(&stream).copied()
    }

    /// Bytes of a group's lines, before compression.
    pub fn stored_bytes(&self, group: Id128) -> u64 {
        self.find(&group).map_or(0, |group| group.lock().bytes)
    }

    /// The groups that have lines. Whoever deletes what is gone asks this first and looks at the
    /// control plane's rows afterwards: the other way round a new group would seem to be gone.
    pub fn groups(&self) -> Vec<Id128> {
        let groups = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        groups.keys().copied().collect()
    }

    /// Delete a group's lines. Blocks.
    pub fn remove(&self, group: Id128) -> Result<(), StoreError> {
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        let Some(group) = groups.remove(&group) else { return Ok(()) };
        drop(groups);
        self.shared.backlog.sub(group.remove()?);
        Ok(())
    }

    /// Delete files of a group in which all lines are from before a time, or of streams that are
    /// gone. Blocks.
    pub fn expire(
        &self,
        group: Id128,
        before: Option<i64>,
        gone: &BTreeSet<Id128>,
    ) -> Result<(), StoreError> {
        self.find(&group).map_or(Ok(()), |group| group.expire(before, gone))
    }

    pub fn figures(&self) -> Figures {
        Figures {
            groups: self.groups.read().unwrap_or_else(PoisonError::into_inner).len() as u64,
            lines: self.lines.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            waiting_bytes: self.shared.backlog.bytes() as u64,
            damaged: self.damaged.load(Ordering::Relaxed),
        }
    }

    /// Take nothing more, finish what is under way, end the threads. Blocks.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.to_writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let threads = {
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *threads)
        };
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the log store ended in a panic");
            }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop();
    }
}
