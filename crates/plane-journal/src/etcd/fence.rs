//! Every write of a leader compares the leader key's create revision: with another leader, or none,
//! it changes nothing. That one comparison is what makes two leaders harmless.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::layout::Layout;
use super::standing::Shared;
use super::wire::{Compare, PutRequest, Request, RequestOp, TxnRequest, TxnResponse};
use crate::JournalError;

/// The right to write, as long as it lasts.
#[derive(Clone)]
pub(super) struct Fence {
    pub shared: Arc<Shared>,
    pub handle: Handle,
    pub lease: i64,
    pub key: Vec<u8>,
    pub created: i64,
    pub term: u64,
    /// How long an unanswered write is asked for again before leadership is given up.
    pub patience: Duration,
}

/// A timer has to be made inside the runtime that is to run it.
pub(super) fn sleep(handle: &Handle, time: Duration) {
    handle.block_on(async { tokio::time::sleep(time).await });
}

pub(super) fn put(key: Vec<u8>, value: Vec<u8>) -> RequestOp {
    Request::Put(PutRequest { key, value, lease: 0 }).into()
}

impl Fence {
    pub fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    pub fn fenced(&self, reason: &str) -> JournalError {
        self.shared.lose(self.lease, reason);
        JournalError::Fenced { reason: reason.to_owned() }
    }

    /// Asks until etcd has answered. The write may have landed at an earlier try than the one that
    /// was answered: `success` must bear that, and `failure` must show it.
    pub fn write(
        &self,
        compare: Vec<Compare>,
        success: Vec<RequestOp>,
        failure: Vec<RequestOp>,
    ) -> Result<TxnResponse, JournalError> {
        let mut all = vec![Compare::created_at(self.key.clone(), self.created)];
        all.extend(compare);
        let request = TxnRequest { compare: all, success, failure };
        let started = Instant::now();
        let mut unsure = false;
        loop {
            if let Some(reason) = self.shared.lost() {
                return Err(JournalError::Fenced { reason });
            }
            let error = match self.handle.block_on(self.shared.client.txn(request.clone())) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !error.is_transient() && !error.is_overload() {
                // A refusal says nothing about an earlier try that was not answered.
                return Err(match unsure {
                    true => self.fenced("etcd refuses writes, and an earlier one is undecided"),
                    false => error.into(),
                });
            }
            unsure |= error.is_transient();
            if started.elapsed() >= self.patience {
                let told = JournalError::from(error);
                return Err(self.fenced(&format!("etcd does not take writes: {told}")));
            }
            sleep(&self.handle, Duration::from_millis(50));
        }
    }

    /// A write whose repetition does no harm.
    pub fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<(), JournalError> {
        let answer = self.write(Vec::new(), vec![put(key, value)], Vec::new())?;
        if answer.succeeded { Ok(()) } else { Err(self.fenced("another server leads")) }
    }
}
