//! How many tasks there are of each kind. Most plans choose none of them, and then need no more than
//! these counts: a service of thousands is planned for as fast as one of a few.

use std::collections::BTreeMap;

use crate::{Health, Phase, Task};

/// A task as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    pub phase: Phase,
    pub health: Health,
    pub protected: bool,
    pub to_be_moved: bool,
}

impl Kind {
    /// Counted against the least.
    pub fn serves(self) -> bool {
        self.phase == Phase::Up && self.health == Health::Good
    }

    pub fn stays(self) -> bool {
        self.phase != Phase::Leaving
    }

    /// Nothing asks for another in its place.
    pub fn is_fine(self) -> bool {
        self.health != Health::Bad && !self.to_be_moved
    }
}

/// Counts by version and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census(BTreeMap<(usize, Kind), u32>);

impl Census {
    pub fn add(&mut self, version: usize, kind: Kind, count: u32) {
        *self.0.entry((version, kind)).or_default() += count;
    }

    pub fn count(&self, of: impl Fn(usize, Kind) -> bool) -> u32 {
        self.0.iter().filter(|((version, kind), _)| of(*version, *kind)).map(|(_, n)| n).sum()
    }

    pub fn all(&self) -> u32 {
        self.count(|_, _| true)
    }

    /// All of them are of the newest version, and serve.
    pub fn all_newest_serve(&self) -> bool {
        self.count(|version, kind| version > 0 || !kind.serves()) == 0
    }
}

/// The tasks of a service that have not stopped.
pub trait Tasks<K> {
    fn census(&self) -> &Census;
    /// Each of them, for a plan that must choose.
    fn each(&self) -> Vec<Task<K>>;
}

/// Tasks that are at hand one by one.
#[derive(Clone, Debug)]
pub struct Listed<K> {
    tasks: Vec<Task<K>>,
    census: Census,
}

impl<K> From<Vec<Task<K>>> for Listed<K> {
    fn from(tasks: Vec<Task<K>>) -> Self {
        let mut census = Census::default();
        tasks.iter().for_each(|task| census.add(task.version, task.kind(), 1));
        Listed { tasks, census }
    }
}

impl<K: Clone> Tasks<K> for Listed<K> {
    fn census(&self) -> &Census {
        &self.census
    }

    fn each(&self) -> Vec<Task<K>> {
        self.tasks.clone()
    }
}
