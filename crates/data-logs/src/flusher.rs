//! The thread that moves lines into segments and deletes write-ahead files that are done with.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::StoreError;
use crate::group::{Group, MOVE_AT};
use crate::store::Shared;

pub enum Work {
    Move(Arc<Group>),
    /// Delete a write-ahead file once all its lines are in synced segments.
    Retire {
        path: PathBuf,
        groups: Vec<Arc<Group>>,
    },
}

/// How long a trouble of the disk is left alone before the work is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Bytes that wait to be moved, and their bound: beyond it nothing more is taken.
pub struct Backlog {
    bytes: Mutex<usize>,
    less: Condvar,
    most: usize,
}

/// How long a writer waits for the backlog to shrink before it refuses.
const PATIENCE: Duration = Duration::from_secs(5);

impl Backlog {
    pub fn new(most: usize) -> Backlog {
        Backlog { bytes: Mutex::new(0), less: Condvar::new(), most }
    }

    pub fn add(&self, bytes: usize) {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) += bytes;
    }

    pub fn sub(&self, bytes: usize) {
        let mut all = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *all = all.saturating_sub(bytes);
        self.less.notify_all();
    }

    pub fn bytes(&self) -> usize {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until there is room again.
    pub fn wait(&self) -> Result<(), StoreError> {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |bytes: &mut usize| *bytes > self.most;
        let waited = self.less.wait_timeout_while(bytes, PATIENCE, full);
        let (bytes, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        match waited.timed_out() {
            true => Err(StoreError::Busy { waiting: *bytes }),
            false => Ok(()),
        }
    }
}

/// A lasting trouble is logged once, and its end too.
#[derive(Default)]
pub struct Trouble {
    told: AtomicBool,
}

impl Trouble {
    pub fn tell(&self, error: &StoreError) {
        if !self.told.swap(true, Ordering::AcqRel) {
            tracing::error!("the log store takes no lines: {error}");
        }
    }

    pub fn over(&self) {
        if self.told.load(Ordering::Acquire) && self.told.swap(false, Ordering::AcqRel) {
            tracing::info!("the log store takes lines again");
        }
    }
}

pub fn run(shared: &Shared, inbox: &Receiver<Work>) {
    let trouble = Trouble::default();
    let moved = |bytes| shared.backlog.sub(bytes);
    while let Ok(work) = inbox.recv() {
        while let Err(error) = do_work(&work, &moved) {
            trouble.tell(&error);
            if shared.stopping.load(Ordering::Acquire) {
                // Everything is in the write-ahead files still.
                return;
            }
            std::thread::sleep(AGAIN);
        }
        trouble.over();
    }
}

fn do_work(work: &Work, moved: &dyn Fn(usize)) -> Result<(), StoreError> {
    match work {
        Work::Move(group) => {
            // Cleared first: lines that come meanwhile put it into the queue again.
            group.queued.store(false, Ordering::Release);
            group.settle(MOVE_AT, moved)
        }
        Work::Retire { path, groups } => {
            for group in groups {
                group.settle_durably(moved)?;
            }
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(StoreError::io(path, "removed", &error))
                }
                _ => Ok(()),
            }
        }
    }
}
