//! What has changed for one link since it last looked: a set of tasks, or "everything".
//!
//! Bounded: a link that does not get to look for long has one list fewer to keep, not one more.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use core_types::Id128;
use tokio::sync::Notify;

use crate::world::Touched;

/// Tasks that are remembered one by one.
const TASKS: usize = 4096;

/// Why a connection shall end, told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A newer connection of the same agent stands.
    Superseded,
    /// This process does not lead any more, or stops: the agent shall dial anew.
    Leaving,
}

#[derive(Debug, Default)]
pub(crate) struct Dirty {
    pub tasks: BTreeSet<Id128>,
    pub everything: bool,
    pub instance: bool,
    pub exec: bool,
    pub ending: Option<Ending>,
}

#[derive(Default)]
pub(crate) struct Mailbox {
    dirty: Mutex<Dirty>,
    arrived: Notify,
}

impl Mailbox {
    fn put(&self, change: impl FnOnce(&mut Dirty)) {
        change(&mut self.dirty.lock().unwrap_or_else(PoisonError::into_inner));
        self.arrived.notify_one();
    }

    pub fn touch(&self, touched: Touched) {
        self.put(|dirty| match touched {
            Touched::Instance => dirty.instance = true,
            Touched::Exec => dirty.exec = true,
            Touched::Task(_) if dirty.everything => {}
            Touched::Task(task) => {
                dirty.tasks.insert(task);
                if dirty.tasks.len() > TASKS {
                    dirty.tasks.clear();
                    dirty.everything = true;
                }
            }
        });
    }

    pub fn everything(&self) {
        self.put(|dirty| {
            dirty.tasks.clear();
            (dirty.everything, dirty.instance, dirty.exec) = (true, true, true);
        });
    }

    pub fn end(&self, ending: Ending) {
        self.put(|dirty| dirty.ending = dirty.ending.or(Some(ending)));
    }

    /// Until something was put since the last look.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    pub fn take(&self) -> Dirty {
        std::mem::take(&mut self.dirty.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_tasks_become_everything() {
        let mailbox = Mailbox::default();
        for n in 0..=TASKS as u128 {
            mailbox.touch(Touched::Task(Id128(n.to_be_bytes())));
        }
        mailbox.touch(Touched::Task(Id128([9; 16])));
        let dirty = mailbox.take();
        assert!(dirty.everything && dirty.tasks.is_empty() && !dirty.instance);
        assert!(!mailbox.take().everything);
    }

    #[test]
    fn the_first_reason_to_end_stays() {
        let mailbox = Mailbox::default();
        mailbox.end(Ending::Superseded);
        mailbox.end(Ending::Leaving);
        assert_eq!(mailbox.take().ending, Some(Ending::Superseded));
    }
}
