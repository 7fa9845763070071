//! The problem: a service, its versions, its tasks.

use core_types::Time;

use crate::{Kind, Tasks};

/// How a task does, as far as its service is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Not known yet, or in its grace period: neither counted nor replaced.
    Unproven,
    Good,
    Bad,
}

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Starting,
    Up,
    /// Told to stop, and not stopped yet.
    Leaving,
}

/// A task that has not stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task<K> {
    pub key: K,
    /// Which version it runs: an index into the service's, the newest first.
    pub version: usize,
    pub phase: Phase,
    pub health: Health,
    /// Asked not to be stopped by a scale-in or deployment.
    pub protected: bool,
    /// Its host is draining or leaves: to be replaced, bounds permitting.
    pub to_be_moved: bool,
    /// Its availability zone and host, by numbers of the caller's.
    pub zone: u32,
    pub host: u32,
    pub created_at: Time,
}

impl<K> Task<K> {
    pub fn kind(&self) -> Kind {
        let Task { phase, health, protected, to_be_moved, .. } = *self;
        Kind { phase, health, protected, to_be_moved }
    }

    /// Counted against the least.
    pub fn serves(&self) -> bool {
        self.kind().serves()
    }

    pub fn stays(&self) -> bool {
        self.kind().stays()
    }
}

/// A version of the service that tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Tasks of it that may be started now; a version that waits after failures starts none.
    pub may_start: bool,
    /// It has been tried and there is no place for one more of its tasks.
    pub crowded: bool,
    /// Of an older version that did well: the tasks that it has not been asked to give up. What is
    /// lost of them comes again for as long as too few serve.
    pub keeps: u32,
}

/// What a plan is made for.
#[derive(Clone, Copy)]
pub struct Service<'a, K> {
    pub desired: u32,
    pub bounds: crate::Bounds,
    /// The newest version has done enough: tasks of older ones go as far as the least allows, and
    /// do not wait until as many as desired serve without them.
    pub proven: bool,
    /// The newest first. Tasks of all others are on their way out.
    pub versions: &'a [Version],
    pub tasks: &'a dyn Tasks<K>,
}
