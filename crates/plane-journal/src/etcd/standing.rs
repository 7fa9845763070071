//! Who leads, as this process knows it: shared between the journal's thread, the background tasks
//! that keep the lease and watch, and every [`Follower`](crate::Follower).
//!
//! Time is only ever used against ourselves. A leader that has not heard from etcd for its lease's
//! time, measured from *before* it asked and by the monotonic clock, takes itself for deposed. That
//! it may not write is decided by etcd alone, in the transaction that compares its key: no clock
//! that jumps, and no process that sleeps, can get a write past that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::client::Client;
use super::layout::{Head, Layout, from_json};
use super::wire::{DELETED, RangeRequest, WatchResponse};
use crate::standing::{HeadFuture, RoleCallback, Standing};
use crate::{JournalError, LeaderInfo, Role};

#[derive(Default)]
struct State {
    leader: Option<LeaderInfo>,
    /// Our own lease, while we have one.
    lease: Option<i64>,
    /// Until when etcd is bound to keep it.
    lease_until: Option<Instant>,
    /// We won with this lease, and nothing has told otherwise.
    leading: bool,
    /// Why we lead no more.
    lost: Option<String>,
}

pub(super) struct Shared {
    pub client: Client,
    pub layout: Layout,
    state: Mutex<State>,
    callbacks: Mutex<Vec<RoleCallback>>,
    wake: Notify,
    stirred: AtomicBool,
}

impl Shared {
    pub fn new(client: Client, layout: Layout) -> Shared {
        Shared {
            client,
            layout,
            state: Mutex::default(),
            callbacks: Mutex::default(),
            wake: Notify::new(),
            stirred: AtomicBool::new(true),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn hold_lease(&self, lease: i64, until: Instant) {
        let mut state = self.state();
        state.lease = Some(lease);
        state.lease_until = Some(until);
        state.leading = false;
        state.lost = None;
    }

    pub fn won(&self, leader: LeaderInfo) {
        {
            let mut state = self.state();
            state.leader = Some(leader);
            state.leading = true;
        }
        self.tell(Role::Leader);
    }

    pub fn set_leader(&self, leader: Option<LeaderInfo>) {
        self.state().leader = leader;
    }

    /// Why this process may not write, if it led or stood for election and does so no more.
    pub fn lost(&self) -> Option<String> {
        self.state().lost.clone()
    }

    /// The lease is of no use any more. Told once for each lease.
    pub fn lose(&self, lease: i64, reason: &str) {
        let was_leading = {
            let mut state = self.state();
            if state.lease != Some(lease) || state.lost.is_some() {
                return;
            }
            state.lost = Some(reason.to_owned());
            state.lease_until = None;
            if state.leading {
                state.leader = None;
            }
            std::mem::take(&mut state.leading)
        };
        if was_leading {
            tracing::warn!(reason, "leadership lost");
            self.tell(Role::Follower);
        }
        self.stir();
    }

    /// There may be news under `now/`.
    pub fn stir(&self) {
        self.stirred.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether there may be news since this was last asked.
    pub fn take_stirred(&self) -> bool {
        self.stirred.swap(false, Ordering::AcqRel)
    }

    pub async fn news(&self) {
        self.wake.notified().await;
    }

    fn tell(&self, role: Role) {
        let callbacks = self.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
        callbacks.iter().for_each(|callback| callback(role));
    }

    fn extend(&self, lease: i64, until: Instant) {
        let mut state = self.state();
        if state.lease == Some(lease) && state.lost.is_none() {
            state.lease_until = Some(until);
        }
    }

    fn lease_until(&self) -> Option<Instant> {
        self.state().lease_until
    }
}

impl Standing for Shared {
    fn role(&self) -> Role {
        let state = self.state();
        // Looked at anew on each call: a process that was stopped learns here that it overslept.
        let alive = state.lease_until.is_some_and(|until| Instant::now() < until);
        if state.leading && alive { Role::Leader } else { Role::Follower }
    }

    fn leader(&self) -> Option<LeaderInfo> {
        self.state().leader.clone()
    }

    fn linearizable_head(&self) -> HeadFuture {
        let client = self.client.clone();
        let key = self.layout.head();
        Box::pin(async move {
            // Without `serializable`, etcd answers only after its quorum has agreed.
            let answer = client.range(RangeRequest { key, ..Default::default() }).await?;
            match answer.kvs.first() {
                None => Ok(0),
                Some(kv) => from_json::<Head>(kv).map(|head| head.rev),
            }
        })
    }

    fn on_change(&self, callback: RoleCallback) {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner).push(callback);
    }
}

/// Keeps one lease alive until it is lost.
pub(super) async fn keep_lease(shared: Arc<Shared>, lease: i64, ttl: Duration) {
    loop {
        let asked = Instant::now();
        match shared.client.keep_alive(lease).await {
            Ok(seconds) if seconds > 0 => {
                shared.extend(lease, asked + Duration::from_secs(seconds as u64));
            }
            Ok(_) => return shared.lose(lease, "etcd has let the lease expire"),
            Err(error) => {
                let late = shared.lease_until().is_none_or(|until| Instant::now() >= until);
                if late {
                    let told = JournalError::from(error);
                    return shared.lose(lease, &format!("no contact for the lease's time: {told}"));
                }
            }
        }
        let next = asked + ttl / 3;
        // Never in a tight loop, also where an error comes back at once.
        let soon = Instant::now() + Duration::from_millis(100);
        tokio::time::sleep_until(next.max(soon).into()).await;
    }
}

/// Wakes the journal whenever something under `now/` changes, for as long as the journal lives.
/// News may be lost while a watch is set up again: so each new watch wakes it as well.
pub(super) async fn watch_now(shared: Arc<Shared>) {
    loop {
        if let Ok(mut answers) = shared.client.watch(&shared.layout.now()).await {
            while let Ok(Some(answer)) = answers.message().await {
                if answer.canceled {
                    tracing::debug!(reason = answer.cancel_reason, "etcd ended a watch");
                    break;
                }
                note_lost_key(&shared, &answer);
                shared.stir();
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Our own key deleted (its lease expired, or somebody removed it) means that we lead no more.
fn note_lost_key(shared: &Shared, answer: &WatchResponse) {
    let Some(lease) = shared.state().lease else { return };
    let ours = shared.layout.candidate(lease);
    let gone = |event: &super::wire::Event| {
        event.kind == DELETED && event.kv.as_ref().is_some_and(|kv| kv.key == ours)
    };
    if answer.events.iter().any(gone) {
        shared.lose(lease, "the leader key is gone from etcd");
    }
}
