//! The thread that makes lines durable: all that wait go with one write and one sync.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::chunk::Chunk;
use crate::error::StoreError;
use crate::flusher::Work;
use crate::group::{Group, MOVE_AT};
use crate::store::Shared;
use crate::wal::{self, Wal};

/// Bytes taken into one write.
const BATCH: usize = 8 << 20;
/// A write-ahead file of this size is followed by another.
const ROTATE_AT: u64 = 64 << 20;

/// Lines on their way.
pub struct Append {
    pub group: Arc<Group>,
    pub chunks: Vec<Chunk>,
    pub size: usize,
    /// Gets the number behind the last line's.
    pub reply: oneshot::Sender<Result<u64, StoreError>>,
    /// Bounds what is on its way.
    pub place: OwnedSemaphorePermit,
}

pub struct Writer {
    pub shared: Arc<Shared>,
    pub dir: PathBuf,
    /// Made when the first lines come: a start asks nothing of the disk.
    pub wal: Option<Wal>,
    pub next: u64,
    pub inbox: mpsc::Receiver<Append>,
    pub to_flusher: std::sync::mpsc::SyncSender<Work>,
}

impl Writer {
    pub fn run(mut self) {
        while let Some(first) = self.inbox.blocking_recv() {
            let mut size = first.size;
            let mut batch = vec![first];
            while size < BATCH
                && let Ok(more) = self.inbox.try_recv()
            {
                size += more.size;
                batch.push(more);
            }
            self.commit(batch);
        }
        // What waits stays in the write-ahead files; the next start finds it.
        self.shared.tails.close();
    }

    fn commit(&mut self, mut batch: Vec<Append>) {
        let written = self.shared.backlog.wait().and_then(|()| self.write(&mut batch));
        if let Err(error) = written {
            self.shared.trouble.tell(&error);
            for append in batch {
                let _ = append.reply.send(Err(error.clone()));
            }
            return;
        }
        self.shared.trouble.over();
        for Append { group, chunks, reply, place, .. } in batch {
            let mut end = 0;
            let waiting = {
                let mut state = group.lock();
                for chunk in chunks {
                    end = chunk.end();
                    let chunk = Arc::new(chunk);
                    self.shared.backlog.add(chunk.size());
                    self.shared.tails.tell(group.id, &chunk);
                    state.push(chunk);
                }
                state.waiting_bytes
            };
            if group.removed() {
                self.shared.backlog.sub(group.drop_waiting());
            }
            drop(place);
            let _ = reply.send(Ok(end));
            if waiting >= MOVE_AT && !group.queued.swap(true, Ordering::AcqRel) {
                self.send(Work::Move(group));
            }
        }
        if self.wal.as_ref().is_some_and(|wal| wal.length >= ROTATE_AT) {
            self.rotate();
        }
    }

    fn write(&mut self, batch: &mut [Append]) -> Result<(), StoreError> {
        let size: usize = batch.iter().map(|append| append.size).sum();
        let mut bytes = Vec::with_capacity(size + (size >> 4));
        for append in batch.iter_mut() {
            let mut state = append.group.lock();
            for chunk in &mut append.chunks {
                chunk.first = state.next.max(1);
                state.next = chunk.end();
                wal::put(&mut bytes, append.group.id, chunk);
            }
        }
        let wal = match &mut self.wal {
            Some(wal) => wal,
            none => {
                let made = Wal::create(&self.dir, self.next)?;
                self.next += 1;
                none.insert(made)
            }
        };
        if let Err((error, usable)) = wal.append(&bytes) {
            if !usable {
                self.rotate();
            }
            return Err(error);
        }
        for append in batch {
            wal.groups.entry(append.group.id).or_insert_with(|| append.group.clone());
        }
        Ok(())
    }

    /// The next lines go into another file; this one goes once its lines are in segments.
    fn rotate(&mut self) {
        if let Some(Wal { path, groups, .. }) = self.wal.take() {
            self.send(Work::Retire { path, groups: groups.into_values().collect() });
        }
    }

    fn send(&self, work: Work) {
        // The flusher lives until this end of its queue is dropped.
        let _ = self.to_flusher.send(work);
    }
}
