//! The journal in etcd: for more than one server.
//!
//! A batch is durable when a transaction put the last part of its log value *and* the head, having
//! compared the leader key's create revision and the head's last write. Everything else follows:
//!
//! * **One writer.** Candidates put a key bound to their lease; the key that was created first
//!   leads. The winner takes the next term and removes log parts that were never committed, in one
//!   transaction.
//! * **No clock decides.** A leader that was stopped, cut off or has a jumping clock finds its key
//!   gone and gets [`JournalError::Fenced`].
//! * **Undecided writes.** Where etcd does not answer, the write is asked for again (it can land
//!   once only) until the answer is known or the lease's time is over. Then leadership is given up;
//!   `try_lead` stands for election with a *new* key, so a late arrival of that write fails its
//!   comparison, and feeds the sink what did land.
//!
//! gRPC by tonic with our own messages (see `wire`), because the build must need no `protoc`. The
//! journal has a runtime of its own with one thread, so that a busy server cannot starve the lease.

mod client;
mod feed;
mod fence;
mod layout;
mod options;
mod snapshot;
mod standing;
mod wire;

pub use options::{EtcdOptions, TlsFiles};

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::AbortHandle;

use crate::record::Encoder;
use crate::standing::Standing;
use crate::turn::Turns;
use crate::{
    Batch, Follower, Installed, Journal, JournalError, LeaderInfo, Recovered, Sink, SnapshotWriter,
    Status, Term,
};
use client::{CallError, Client, after_prefix};
use feed::{FeedError, Position, catch_up, get};
use fence::{Fence, put, sleep};
use layout::{Candidate, Head, Layout, Manifest, PART, from_json, to_json};
use snapshot::EtcdSnapshot;
use standing::{Shared, keep_lease, watch_now};
use wire::{
    ASCENDING, BY_CREATION, Compare, DeleteRangeRequest, PutRequest, RangeRequest, Request,
    RequestOp, TxnRequest, TxnResponse,
};

/// Followers look by themselves this often, should all news be lost.
const LOOK_ANYWAY: Duration = Duration::from_secs(2);

pub struct EtcdJournal {
    options: EtcdOptions,
    /// `Some` until dropped.
    runtime: Option<Runtime>,
    handle: Handle,
    shared: Arc<Shared>,
    recovered: bool,
    position: Position,
    candidacy: Option<Candidacy>,
    term: u64,
    looked: Option<Instant>,
    encoder: Encoder,
    last_sync: Duration,
    trouble: Option<String>,
    log_at_begin: u64,
    due_at: u64,
    /// The etcd revision before which no reader of ours looks any more.
    compact_at: i64,
    snapshots: Turns,
}

/// Our key in the election.
struct Candidacy {
    lease: i64,
    key: Vec<u8>,
    created: i64,
    keeper: AbortHandle,
    won: bool,
}

impl EtcdJournal {
    /// Connects on first use; `recover` is the first to report an etcd that is not there.
    pub fn open(options: EtcdOptions) -> Result<EtcdJournal, JournalError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("journal-etcd")
            .enable_all()
            .build()
            .map_err(JournalError::io("start threads for", "etcd"))?;
        let handle = runtime.handle().clone();
        let client = {
            let _inside = handle.enter();
            Client::new(&options)?
        };
        let shared = Arc::new(Shared::new(client, Layout::new(&options.prefix)));
        handle.spawn(watch_now(shared.clone()));
        Ok(EtcdJournal {
            due_at: options.snapshot_after,
            options,
            runtime: Some(runtime),
            handle,
            shared,
            recovered: false,
            position: Position::default(),
            candidacy: None,
            term: 0,
            looked: None,
            encoder: Encoder::default(),
            last_sync: Duration::ZERO,
            trouble: None,
            log_at_begin: 0,
            compact_at: 0,
            snapshots: Turns::default(),
        })
    }

    fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    /// Puts a new key bound to a new lease, and removes the one before.
    fn register(&mut self) -> Result<(), CallError> {
        let asked = Instant::now();
        let seconds = self.options.lease_ttl.as_secs_f64().ceil().max(1.0) as i64;
        let client = &self.shared.client;
        let lease = self.handle.block_on(client.grant(seconds))?;
        let key = self.layout().candidate(lease.id);
        let value = to_json(&Candidate { address: self.options.advertise.clone(), term: 0 });
        let fresh = PutRequest { key: key.clone(), value, lease: lease.id };
        let mut success: Vec<RequestOp> = vec![Request::Put(fresh).into()];
        if let Some(old) = &self.candidacy {
            // Its late writes fail from here on, and it cannot stand before the new one.
            success.push(delete(old.key.clone(), Vec::new()));
        }
        let request = TxnRequest { success, ..Default::default() };
        let answer = self.handle.block_on(client.txn(request))?;
        if let Some(old) = self.candidacy.take() {
            old.keeper.abort();
            let shared = self.shared.clone();
            // Only tidies up: the lease ends by itself too.
            self.handle.spawn(async move { shared.client.revoke(old.lease).await });
        }
        let ttl = Duration::from_secs(lease.ttl.max(1) as u64);
        self.shared.hold_lease(lease.id, asked + ttl);
        let keeper = keep_lease(self.shared.clone(), lease.id, ttl);
        self.candidacy = Some(Candidacy {
            lease: lease.id,
            key,
            created: answer.revision(),
            keeper: self.handle.spawn(keeper).abort_handle(),
            won: false,
        });
        Ok(())
    }

    /// One look: stand for election, feed what is new, take the lead where it is ours.
    fn look(&mut self, sink: &mut dyn Sink) -> Result<Option<Term>, FeedError> {
        if self.candidacy.is_none() || self.shared.lost().is_some() {
            self.register()?;
        }
        catch_up(&self.shared, &self.handle, &mut self.position, sink)?;
        self.campaign()
    }

    fn campaign(&mut self) -> Result<Option<Term>, FeedError> {
        let Some(us) = &self.candidacy else { return Ok(None) };
        let layout = &self.shared.layout;
        let candidates = layout.candidates();
        let first = RangeRequest {
            range_end: after_prefix(&candidates),
            key: candidates,
            limit: 1,
            sort_order: ASCENDING,
            sort_target: BY_CREATION,
            ..Default::default()
        };
        let ask = vec![Request::Range(first).into(), get(layout.term()).into()];
        let request = TxnRequest { success: ask, ..Default::default() };
        let answer = self.handle.block_on(self.shared.client.txn(request))?;
        let first = answer.found(0);
        if first.is_none_or(|kv| kv.key != us.key) {
            let leader = first.map(from_json::<Candidate>).transpose()?;
            let leader = leader.filter(|leader| leader.term > 0);
            let told = leader.map(|c| LeaderInfo { address: c.address, term: c.term });
            self.shared.set_leader(told);
            return Ok(None);
        }
        let term_kv = answer.found(1);
        let term = term_kv.map(from_json::<u64>).transpose()?.unwrap_or(0) + 1;
        let term_written = term_kv.map_or(0, |kv| kv.mod_revision);
        self.take_lead(term, term_written)
    }

    fn take_lead(&mut self, term: u64, term_written: i64) -> Result<Option<Term>, FeedError> {
        let Some(us) = &mut self.candidacy else { return Ok(None) };
        let layout = &self.shared.layout;
        let address = self.options.advertise.clone();
        let value = to_json(&Candidate { address: address.clone(), term });
        let claim = PutRequest { key: us.key.clone(), value, lease: us.lease };
        let request = TxnRequest {
            compare: vec![
                Compare::created_at(us.key.clone(), us.created),
                Compare::written_at(layout.head(), self.position.head_written),
                Compare::written_at(layout.term(), term_written),
            ],
            success: vec![
                put(layout.term(), to_json(&term)),
                Request::Put(claim).into(),
                // Parts that a leader before us left without a commit.
                delete(layout.log_value(self.position.seq + 1), after_prefix(&layout.log())),
            ],
            failure: Vec::new(),
        };
        let answer = self.handle.block_on(self.shared.client.txn(request))?;
        if !answer.succeeded {
            // Something moved since we looked: look again.
            self.shared.stir();
            return Ok(None);
        }
        us.won = true;
        self.term = term;
        self.compact_at = answer.revision();
        self.due_at = self.options.snapshot_after.max(2 * self.position.manifest.bytes);
        self.shared.won(LeaderInfo { address, term });
        Ok(Some(Term(term)))
    }

    fn fence(&self) -> Result<Fence, JournalError> {
        if let Some(reason) = self.shared.lost() {
            return Err(JournalError::Fenced { reason });
        }
        match &self.candidacy {
            Some(us) if us.won => Ok(Fence {
                shared: self.shared.clone(),
                handle: self.handle.clone(),
                lease: us.lease,
                key: us.key.clone(),
                created: us.created,
                term: self.term,
                patience: self.options.lease_ttl,
            }),
            _ => Err(JournalError::Fenced { reason: "leadership was not taken".into() }),
        }
    }

    fn pause(&self, wait: Duration) {
        let news = self.shared.news();
        // Either way the caller looks at the state next.
        let _ = self.handle.block_on(async { tokio::time::timeout(wait, news).await });
    }

    /// Puts the commit part and the head in one transaction.
    fn commit(
        &mut self,
        fence: &Fence,
        key: Vec<u8>,
        part: Vec<u8>,
        head: Head,
    ) -> Result<(), JournalError> {
        let layout = fence.layout();
        let unmoved = Compare::written_at(layout.head(), self.position.head_written);
        let success = vec![put(key, part), put(layout.head(), to_json(&head))];
        let head_now = || vec![get(layout.head()).into()];
        let answer = match fence.write(vec![unmoved], success, head_now()) {
            // The write that crosses etcd's quota is applied, and only then said to have no room.
            Err(error @ JournalError::Full { .. }) => {
                let answer = fence.write(Vec::new(), head_now(), head_now())?;
                return self.landed(&answer, &head)?.then_some(()).ok_or(error);
            }
            answer => answer?,
        };
        if answer.succeeded {
            self.position.head_written = answer.revision();
            return Ok(());
        }
        match self.landed(&answer, &head)? {
            true => Ok(()),
            false => Err(fence.fenced("another server leads")),
        }
    }

    /// Whether the head that was read is the one of our write: nobody else has our term, so then
    /// an earlier try of it has landed.
    fn landed(&mut self, answer: &TxnResponse, head: &Head) -> Result<bool, JournalError> {
        match answer.found(0) {
            Some(kv) if from_json::<Head>(kv)? == *head => {
                self.position.head_written = kv.mod_revision;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

fn delete(key: Vec<u8>, range_end: Vec<u8>) -> RequestOp {
    Request::Delete(DeleteRangeRequest { key, range_end }).into()
}

impl Journal for EtcdJournal {
    fn recover(&mut self, sink: &mut dyn Sink) -> Result<Recovered, JournalError> {
        if self.recovered {
            return Err(JournalError::Misuse("recover was called twice".into()));
        }
        let started = Instant::now();
        loop {
            match catch_up(&self.shared, &self.handle, &mut self.position, sink) {
                Ok(()) => break,
                Err(FeedError::Call(error))
                    if error.is_transient() && started.elapsed() < self.options.lease_ttl =>
                {
                    sleep(&self.handle, Duration::from_millis(100));
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.recovered = true;
        Ok(Recovered {
            rev: self.position.rev,
            snapshot_rev: self.position.manifest.rev,
            batches: self.position.batches,
            ..Recovered::default()
        })
    }

    fn try_lead(
        &mut self,
        sink: &mut dyn Sink,
        wait: Duration,
    ) -> Result<Option<Term>, JournalError> {
        if !self.recovered {
            return Err(JournalError::Misuse("lead was called before recover".into()));
        }
        if self.fence().is_ok() {
            return Ok(Some(Term(self.term)));
        }
        let end = Instant::now() + wait;
        loop {
            let stale = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_ANYWAY);
            if self.shared.take_stirred() || stale {
                self.looked = Some(Instant::now());
                match self.look(sink) {
                    Ok(Some(term)) => {
                        self.trouble = None;
                        return Ok(Some(term));
                    }
                    Ok(None) => self.trouble = None,
                    Err(FeedError::Call(error)) if error.is_transient() || error.is_full() => {
                        // It may pass, so this is no reason to give up; status() tells of it.
                        self.trouble = Some(JournalError::from(error).to_string());
                        self.looked = None;
                        let pause = Duration::from_millis(200).min(wait);
                        sleep(&self.handle, pause);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            let now = Instant::now();
            if now >= end {
                return Ok(None);
            }
            self.pause((end - now).min(LOOK_ANYWAY));
        }
    }

    fn append(&mut self, batches: &[Batch]) -> Result<(), JournalError> {
        let fence = self.fence()?;
        crate::check_order(self.position.rev, batches)?;
        let Some(last) = batches.last() else { return Ok(()) };
        let started = Instant::now();
        let Some(record) = self.encoder.encode(batches, 0) else {
            return Err(JournalError::Misuse("a group of batches exceeds 256 MiB".into()));
        };
        let mut parts: Vec<Vec<u8>> = record.chunks(PART).map(<[u8]>::to_vec).collect();
        let bytes = record.len() as u64;
        let commit_part = parts.pop().unwrap_or_default();
        let seq = self.position.seq + 1;
        let commit_key = fence.layout().log_part(seq, parts.len());
        for (number, part) in parts.into_iter().enumerate() {
            fence.put(fence.layout().log_part(seq, number), part)?;
        }
        let head = Head { seq, rev: last.rev, term: self.term };
        self.commit(&fence, commit_key, commit_part, head)?;
        self.position.seq = seq;
        self.position.rev = last.rev;
        self.position.newest_ms = self.position.newest_ms.max(last.at_ms);
        self.position.log_bytes += bytes;
        self.last_sync = started.elapsed();
        Ok(())
    }

    fn snapshot_due(&self) -> bool {
        !self.snapshots.is_taken() && self.position.log_bytes >= self.due_at && self.fence().is_ok()
    }

    fn begin_snapshot(&mut self, rev: u64) -> Result<Box<dyn SnapshotWriter + Send>, JournalError> {
        let fence = self.fence()?;
        let head = self.position.rev;
        if rev != head {
            return Err(JournalError::Misuse(format!("a snapshot of {rev} was begun at {head}")));
        }
        let turn = self.snapshots.take()?;
        // Should this one fail, the next is due only after some more log, not at once.
        self.due_at = self.position.log_bytes + self.options.snapshot_after / 4;
        self.log_at_begin = self.position.log_bytes;
        Ok(Box::new(EtcdSnapshot::new(fence, rev, self.position.seq, turn)))
    }

    fn install(&mut self, done: Installed) -> Result<(), JournalError> {
        let fence = self.fence()?;
        if done.term != fence.term {
            return Err(JournalError::Fenced { reason: "the snapshot is of an older term".into() });
        }
        let layout = fence.layout();
        let manifest = Manifest {
            rev: done.rev,
            seq: done.seq,
            // The log since the snapshot before is kept for followers that are on their way.
            trimmed: self.position.manifest.seq.min(done.seq),
            term: done.term,
            chunks: done.chunks,
            rows: done.rows,
            bytes: done.bytes,
            at_ms: self.position.newest_ms,
        };
        let (all, this) = (layout.snapshots(), layout.snapshot(done.rev, done.term));
        let success = vec![
            put(layout.manifest(), to_json(&manifest)),
            delete(all.clone(), this.clone()),
            delete(after_prefix(&this), after_prefix(&all)),
            delete(layout.log(), layout.log_value(manifest.trimmed + 1)),
        ];
        let answer = fence.write(Vec::new(), success, Vec::new())?;
        if !answer.succeeded {
            return Err(fence.fenced("another server leads"));
        }
        self.position.manifest = manifest;
        self.position.log_bytes = self.position.log_bytes.saturating_sub(self.log_at_begin);
        self.log_at_begin = 0;
        self.due_at = self.options.snapshot_after.max(2 * done.bytes);
        // What was deleted one generation ago goes now; readers at older revisions start over.
        let compact_at = std::mem::replace(&mut self.compact_at, answer.revision());
        if let Err(error) = self.handle.block_on(self.shared.client.compact(compact_at)) {
            tracing::debug!(error = %JournalError::from(error), "etcd was not compacted");
        }
        Ok(())
    }

    fn follower(&self) -> Follower {
        Follower(self.shared.clone())
    }

    fn status(&self) -> Status {
        let manifest = &self.position.manifest;
        Status {
            kind: "etcd",
            role: self.shared.role(),
            term: self.term,
            head: self.position.rev,
            log_bytes: self.position.log_bytes,
            segments: self.position.seq - manifest.trimmed,
            snapshot_rev: manifest.rev,
            snapshot_bytes: manifest.bytes,
            last_sync: self.last_sync,
            refused: self.shared.lost().or_else(|| self.trouble.clone()),
            leader: self.shared.leader(),
        }
    }

    fn resign(&mut self) {
        let Some(us) = self.candidacy.take() else { return };
        us.keeper.abort();
        // Should etcd not answer, the lease ends by itself.
        let _ = self.handle.block_on(self.shared.client.revoke(us.lease));
        self.shared.lose(us.lease, "resigned");
    }
}

impl Drop for EtcdJournal {
    fn drop(&mut self) {
        self.resign();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
