//! Those who watch lines as they come. A watcher that is slow misses lines, and is told so.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use core_types::Id128;
use tokio::sync::mpsc;

use crate::chunk::Chunk;

/// Lines of one stream that have just become durable.
#[derive(Clone)]
pub struct Tailed {
    pub group: Id128,
    chunk: Arc<Chunk>,
}

impl Tailed {
    pub fn stream(&self) -> Id128 {
        self.chunk.stream
    }

    pub fn ingested(&self) -> i64 {
        self.chunk.ingested
    }

    /// Time and text of each line.
    pub fn lines(&self) -> impl Iterator<Item = (i64, std::borrow::Cow<'_, str>)> {
        self.chunk.lines().map(|(timestamp, _, text)| (timestamp, String::from_utf8_lossy(text)))
    }
}

/// What a watcher holds; dropping it ends the watching.
pub struct Tail {
    from: mpsc::Receiver<Tailed>,
    missed: Arc<AtomicU64>,
}

impl Tail {
    /// The next lines; `None` when the store has stopped.
    pub async fn next(&mut self) -> Option<Tailed> {
        self.from.recv().await
    }

    /// How many lines were missed since the last question.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

struct Watcher {
    groups: BTreeSet<Id128>,
    to: mpsc::Sender<Tailed>,
    missed: Arc<AtomicU64>,
}

#[derive(Default)]
pub struct Tails {
    watchers: Mutex<Vec<Watcher>>,
    any: AtomicBool,
}

/// Chunks that may wait for one watcher.
const QUEUE: usize = 256;

impl Tails {
    pub fn watch(&self, groups: BTreeSet<Id128>) -> Tail {
        let (to, from) = mpsc::channel(QUEUE);
        let missed = Arc::new(AtomicU64::new(0));
        let watcher = Watcher { groups, to, missed: missed.clone() };
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.push(watcher);
        self.any.store(true, Ordering::Release);
        Tail { from, missed }
    }

    pub fn tell(&self, group: Id128, chunk: &Arc<Chunk>) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| !watcher.to.is_closed());
        self.any.store(!watchers.is_empty(), Ordering::Release);
        for watcher in watchers.iter().filter(|watcher| watcher.groups.contains(&group)) {
            if watcher.to.try_send(Tailed { group, chunk: chunk.clone() }).is_err() {
                watcher.missed.fetch_add(u64::from(chunk.count), Ordering::Relaxed);
            }
        }
    }

    /// Watchers see the end.
    pub fn close(&self) {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
