//! Who leads, as seen from any thread.
//!
//! The journal itself is owned by one thread that blocks in it. Readers, the gateway and metrics
//! hold a [`Follower`] instead: cheap to clone, never blocked by an append.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::JournalError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads back, or applies the leader's batches.
    Follower,
    Leader,
}

/// Where writes are to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderInfo {
    /// The address that the leader advertises.
    pub address: String,
    pub term: u64,
}

/// The answer to come of [`Follower::linearizable_head`].
pub type HeadFuture = Pin<Box<dyn Future<Output = Result<u64, JournalError>> + Send>>;

/// Called on each change of role, from a thread of the journal's choosing: it must not block.
pub type RoleCallback = Box<dyn Fn(Role) + Send + Sync>;

pub(crate) trait Standing: Send + Sync {
    fn role(&self) -> Role;
    fn leader(&self) -> Option<LeaderInfo>;
    fn linearizable_head(&self) -> HeadFuture;
    fn on_change(&self, callback: RoleCallback);
}

/// A view of the journal's leadership that outlives any one call into the journal.
#[derive(Clone)]
pub struct Follower(pub(crate) Arc<dyn Standing>);

impl Follower {
    pub fn role(&self) -> Role {
        self.0.role()
    }

    /// The present leader, or `None` while there is none. May lag by the time news takes to come.
    pub fn leader(&self) -> Option<LeaderInfo> {
        self.0.leader()
    }

    /// The last durable revision at some moment after this call began. A view that has reached it
    /// answers a read as the leader would have.
    pub fn linearizable_head(&self) -> HeadFuture {
        self.0.linearizable_head()
    }

    /// Tells of every later change of role; above all, of leadership lost while nothing is written.
    pub fn on_change(&self, callback: impl Fn(Role) + Send + Sync + 'static) {
        self.0.on_change(Box::new(callback));
    }
}

/// Asks a thread that waits for leadership to give up.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
