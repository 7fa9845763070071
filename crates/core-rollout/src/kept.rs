//! The version that serves while a newer one comes up. AWS: what is lost of it is replaced by its own
//! kind, however the newer one does.

use crate::{Census, Health, Kind, Task, Version};

/// Tasks of an older version to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restore {
    /// An index into the service's versions.
    pub version: usize,
    pub count: u32,
}

/// The older version that keeps tasks, and how it is with them.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    version: usize,
    may_start: bool,
    /// Of those that it keeps, gone by no doing of ours.
    lost: u32,
    /// On their way to serve.
    pub coming: u32,
}

impl Kept {
    pub fn find(versions: &[Version], census: &Census) -> Option<Self> {
        let mut older = versions.iter().enumerate().skip(1);
        let (version, found) = older.find(|(_, version)| version.keeps > 0)?;
        let well = |kind: Kind| kind.stays() && kind.health != Health::Bad;
        let there = census.count(|of, kind| of == version && well(kind));
        let serving = census.count(|of, kind| of == version && kind.serves());
        Some(Kept {
            version,
            may_start: found.may_start,
            lost: found.keeps.saturating_sub(there),
            coming: there - serving,
        })
    }

    /// Whether a task is on its way to serve for this version.
    pub fn awaits<K>(&self, task: &Task<K>) -> bool {
        self.is_coming(task.version, task.kind())
    }

    pub fn is_coming(&self, version: usize, kind: Kind) -> bool {
        version == self.version && kind.stays() && !kind.serves() && kind.health != Health::Bad
    }

    /// What comes again so that `wanted` serve, where `serving` do of all versions.
    pub fn again(&mut self, wanted: u32, serving: u32, room: u32) -> u32 {
        if !self.may_start {
            return 0;
        }
        let lacking = wanted.saturating_sub(serving.saturating_add(self.coming));
        let count = self.lost.min(lacking).min(room);
        self.lost -= count;
        self.coming += count;
        count
    }

    pub fn restore(&self, count: u32) -> Option<Restore> {
        (count > 0).then_some(Restore { version: self.version, count })
    }
}
