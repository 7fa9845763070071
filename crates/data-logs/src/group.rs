//! One group: lines that wait to be moved, its segments, and what is known of its streams.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use core_types::Id128;

use crate::block::{self, Span};
use crate::chunk::Chunk;
use crate::error::StoreError;
use crate::segment::{self, Active, BlockRef, Growing, Sealed};
use crate::store::StreamTimes;

/// Lines of a group that wait before they are moved into its segment.
pub const MOVE_AT: usize = 2 << 20;
/// Moved at once.
const MOVE: usize = 8 << 20;
/// A segment is sealed at this size.
const SEAL_AT: u64 = 64 << 20;
/// Or after this time, in milliseconds, so that what expires goes within a day of its time.
const SEAL_AFTER: i64 = 24 * 3600 * 1000;

pub struct Group {
    pub id: Id128,
    pub dir: PathBuf,
    state: Mutex<State>,
    /// Held by whoever writes segments.
    moving: Mutex<()>,
    /// Whether it stands in the queue of what is to be moved.
    pub queued: AtomicBool,
    removed: AtomicBool,
}

#[derive(Default)]
pub struct State {
    /// The next line's number.
    pub next: u64,
    /// Durable and readable, not in a segment yet; in the order of their numbers.
    pub waiting: VecDeque<Arc<Chunk>>,
    pub waiting_bytes: usize,
    /// By number.
    pub sealed: Vec<Arc<Sealed>>,
    pub active: Option<Active>,
    pub streams: HashMap<Id128, StreamTimes>,
    /// Of all lines, before compression.
    pub bytes: u64,
}

impl State {
    pub fn take_in(&mut self, span: &Span) {
        self.streams.entry(span.stream).or_insert(StreamTimes::NONE).add(span);
        self.bytes += u64::from(span.bytes);
    }

    pub fn push(&mut self, chunk: Arc<Chunk>) {
        self.take_in(&Span::of(&chunk));
        self.waiting_bytes += chunk.size();
        self.waiting.push_back(chunk);
    }
}

impl Group {
    pub fn new(id: Id128, dir: PathBuf, state: State) -> Group {
        Group {
            id,
            dir,
            state: Mutex::new(state),
            moving: Mutex::new(()),
            queued: AtomicBool::new(false),
            removed: AtomicBool::new(false),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moving(&self) -> MutexGuard<'_, ()> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Move waiting lines into the segment until fewer than `leave` bytes wait. Tells each time
    /// how many bytes wait no longer.
    pub fn settle(&self, leave: usize, moved: &dyn Fn(usize)) -> Result<(), StoreError> {
        let _moving = self.moving();
        while !self.removed() && self.settle_some(leave, moved)? {}
        Ok(())
    }

    fn settle_some(&self, leave: usize, moved: &dyn Fn(usize)) -> Result<bool, StoreError> {
        let mut state = self.lock();
        if state.waiting.is_empty() || state.waiting_bytes < leave {
            return Ok(false);
        }
        let mut size = 0;
        let fits = |chunk: &&Arc<Chunk>| {
            size += chunk.size();
            size <= MOVE || size == chunk.size()
        };
        let mut chunks: Vec<Arc<Chunk>> = state.waiting.iter().take_while(fits).cloned().collect();
        let (count, through) = (chunks.len(), chunks.last().expect("it is not empty").end());
        let size: usize = chunks.iter().map(|chunk| chunk.size()).sum();
        let file = match &state.active {
            Some(active) => active.file.clone(),
            None => {
                let number = state.sealed.last().map_or(1, |last| last.number + 1);
                let made = std::fs::create_dir_all(&self.dir);
                made.map_err(|error| StoreError::io(&self.dir, "made", &error))?;
                let file = Growing::create(&self.dir, number, chunks[0].ingested)?;
                state.active = Some(Active { file: file.clone(), blocks: Vec::new() });
                file
            }
        };
        // Readers go on while blocks are compressed and written: only a mover changes `active`.
        drop(state);
        let now = chunks[count - 1].ingested;
        let (bytes, heads) = block::build(&mut chunks, through);
        file.write(&bytes)?;
        let mut state = self.lock();
        state.waiting.drain(..count);
        state.waiting_bytes -= size;
        let active = state.active.as_mut().expect("only a mover takes it");
        active.file.length += bytes.len() as u64;
        active.blocks.extend(
            heads.into_iter().map(|(offset, head)| BlockRef {
                offset: file.length + offset,
                head: Arc::new(head),
            }),
        );
        let full = active.file.length >= SEAL_AT || now - file.begun >= SEAL_AFTER;
        drop(state);
        moved(size);
        if full {
            self.seal()?;
        }
        Ok(true)
    }

    /// Only a mover calls this.
    fn seal(&self) -> Result<(), StoreError> {
        let (file, blocks) = {
            let state = self.lock();
            let Some(active) = &state.active else { return Ok(()) };
            (active.file.clone(), active.blocks.clone())
        };
        let sealed = Arc::new(file.seal(&blocks)?);
        crate::wal::sync_dir(&self.dir)?;
        let mut state = self.lock();
        state.active = None;
        state.sealed.push(sealed);
        Ok(())
    }

    /// Make durable in segments all that waits.
    pub fn settle_durably(&self, moved: &dyn Fn(usize)) -> Result<(), StoreError> {
        self.settle(0, moved)?;
        let _moving = self.moving();
        if self.removed() {
            return Ok(());
        }
        let Some(file) = self.lock().active.as_ref().map(|active| active.file.clone()) else {
            return Ok(());
        };
        file.sync()?;
        crate::wal::sync_dir(&self.dir)
    }

    /// Forget it and its files. Returns how many bytes waited.
    pub fn remove(&self) -> Result<usize, StoreError> {
        let _moving = self.moving();
        self.removed.store(true, Ordering::Release);
        let waited = {
            let mut state = self.lock();
            let waited = state.waiting_bytes;
            *state = State::default();
            waited
        };
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io(&self.dir, "removed", &error))
            }
            _ => Ok(waited),
        }
    }

    /// Lines that came while it was being removed; returns how many bytes they are.
    pub fn drop_waiting(&self) -> usize {
        let mut state = self.lock();
        state.waiting.clear();
        std::mem::take(&mut state.waiting_bytes)
    }

    /// Delete segments in which everything is from before a time, or of streams that are gone.
    pub fn expire(&self, before: Option<i64>, dead: &BTreeSet<Id128>) -> Result<(), StoreError> {
        let _moving = self.moving();
        let stale = |spans: &[Span], max: i64| {
            before.is_some_and(|before| max < before)
                || spans.iter().all(|span| dead.contains(&span.stream))
        };
        let active_is_stale = {
            let state = self.lock();
            state.active.as_ref().filter(|active| !active.blocks.is_empty()).is_some_and(|active| {
                let spans = segment::spans_of(active.blocks.iter().map(|block| &*block.head));
                let max = spans.iter().map(|span| span.max).max().unwrap_or(i64::MIN);
                stale(&spans, max)
            })
        };
        if active_is_stale {
            self.seal()?;
        }
        let gone: Vec<Arc<Sealed>> = {
            let mut state = self.lock();
            let (gone, kept) = std::mem::take(&mut state.sealed)
                .into_iter()
                .partition(|sealed| stale(&sealed.spans, sealed.max));
            state.sealed = kept;
            state.streams.retain(|stream, _| !dead.contains(stream));
            gone
        };
        for sealed in gone {
            let bytes: u64 = sealed.spans.iter().map(|span| u64::from(span.bytes)).sum();
            let mut state = self.lock();
            state.bytes = state.bytes.saturating_sub(bytes);
            drop(state);
            if let Err(error) = std::fs::remove_file(&sealed.path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(StoreError::io(&sealed.path, "removed", &error));
            }
        }
        Ok(())
    }
}
