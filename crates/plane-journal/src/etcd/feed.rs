//! Reading etcd's copy: the snapshot, then the log values after it, all at one etcd revision.
//!
//! A follower is woken by a watch but reads by ranges, from where it stands to the head. That is
//! level-triggered: lost news, a compacted history or a new connection need no case of their own,
//! and a follower that is behind takes many log values in one answer.

use std::collections::VecDeque;
use std::io::{self, Read};

use tokio::runtime::Handle;

use super::client::{CallError, after_prefix};
use super::layout::{Head, Manifest, damaged, from_json};
use super::standing::Shared;
use super::wire::{KeyValue, RangeRequest, Request, TxnRequest, TxnResponse};
use crate::codec::TableNames;
use crate::embedded::Block;
use crate::record::{read_header, read_record};
use crate::{JournalError, Sink};

/// Parts or chunks in one answer; each is at most 1 MiB.
const PAGE: i64 = 16;

/// How far this process has read, or written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    pub seq: u64,
    pub rev: u64,
    /// When etcd's head key was last written: the other half of what an append compares.
    pub head_written: i64,
    pub batches: u64,
    /// The newest time of any batch.
    pub newest_ms: i64,
    /// The snapshot that this position was read from, or that was installed since.
    pub manifest: Manifest,
    pub log_bytes: u64,
}

pub(super) enum FeedError {
    Call(CallError),
    Journal(JournalError),
}

impl From<CallError> for FeedError {
    fn from(error: CallError) -> FeedError {
        FeedError::Call(error)
    }
}

impl From<JournalError> for FeedError {
    fn from(error: JournalError) -> FeedError {
        FeedError::Journal(error)
    }
}

impl From<FeedError> for JournalError {
    fn from(error: FeedError) -> JournalError {
        match error {
            FeedError::Call(error) => error.into(),
            FeedError::Journal(error) => error,
        }
    }
}

pub(super) fn get(key: Vec<u8>) -> Request {
    Request::Range(RangeRequest { key, ..Default::default() })
}

/// Feeds everything durable past `position`, and moves it along.
pub(super) fn catch_up(
    shared: &Shared,
    handle: &Handle,
    position: &mut Position,
    sink: &mut dyn Sink,
) -> Result<(), FeedError> {
    loop {
        match catch_up_at_one_revision(shared, handle, position, sink) {
            // Compacted under our feet. What was fed counts; the rest is read at a newer revision.
            Err(FeedError::Call(error)) if error.is_compacted() => {}
            other => return other,
        }
    }
}

fn catch_up_at_one_revision(
    shared: &Shared,
    handle: &Handle,
    position: &mut Position,
    sink: &mut dyn Sink,
) -> Result<(), FeedError> {
    let layout = &shared.layout;
    let both = vec![get(layout.head()).into(), get(layout.manifest()).into()];
    let request = TxnRequest { success: both, ..Default::default() };
    let answer: TxnResponse = handle.block_on(shared.client.txn(request))?;
    let head: Head = answer.found(0).map(from_json).transpose()?.unwrap_or_default();
    let manifest: Option<Manifest> = answer.found(1).map(from_json).transpose()?;
    let reader = At { shared, handle, revision: answer.revision() };
    if head.seq < position.seq || head.rev < position.rev {
        let reason = format!(
            "it went back to revision {} while {} was seen before; was a backup restored?",
            head.rev, position.rev
        );
        return Err(damaged(&layout.head(), &reason).into());
    }
    if let Some(manifest) = manifest {
        // A new reader begins with the snapshot; so does one that the trimmed log left behind.
        if position.seq < manifest.trimmed || (position.seq == 0 && manifest.seq > 0) {
            reader.feed_snapshot(&manifest, sink)?;
            position.seq = manifest.seq;
            position.rev = manifest.rev;
            position.newest_ms = position.newest_ms.max(manifest.at_ms);
            position.log_bytes = 0;
        }
        position.manifest = manifest;
    }
    reader.feed_log(head.seq, position, sink)?;
    position.head_written = answer.found(0).map_or(0, |kv| kv.mod_revision);
    Ok(())
}

/// Reads at one etcd revision, so that nothing moves meanwhile.
struct At<'a> {
    shared: &'a Shared,
    handle: &'a Handle,
    revision: i64,
}

impl At<'_> {
    fn page(&self, from: Vec<u8>, to: Vec<u8>) -> Result<(Vec<KeyValue>, bool), CallError> {
        let request = RangeRequest {
            key: from,
            range_end: to,
            limit: PAGE,
            revision: self.revision,
            ..Default::default()
        };
        let answer = self.handle.block_on(self.shared.client.range(request))?;
        Ok((answer.kvs, answer.more))
    }

    fn feed_log(
        &self,
        last: u64,
        position: &mut Position,
        sink: &mut dyn Sink,
    ) -> Result<(), FeedError> {
        let layout = &self.shared.layout;
        let mut from = layout.log_value(position.seq + 1);
        // Parts past the head were never committed.
        let to = layout.log_value(last + 1);
        let mut names = TableNames::default();
        let mut parts: Vec<u8> = Vec::new();
        while position.seq < last {
            let (page, more) = self.page(from.clone(), to.clone())?;
            for kv in &page {
                let seq = layout.seq_of(&kv.key);
                if seq == Some(position.seq) {
                    // Left over from a longer attempt at this value that did not commit.
                    continue;
                }
                if seq != Some(position.seq + 1) {
                    let reason = format!("log value {} is missing before it", position.seq + 1);
                    return Err(damaged(&kv.key, &reason).into());
                }
                parts.extend_from_slice(&kv.value);
                let whole = read_header(&parts, 0).is_some_and(|h| parts.len() >= h.span());
                if whole {
                    feed_record(kv, &parts, position, &mut names, sink)?;
                    parts.clear();
                }
            }
            match page.last() {
                Some(kv) if more => from = [&kv.key[..], &[0]].concat(),
                _ if position.seq < last => {
                    let key = layout.log_value(position.seq + 1);
                    return Err(damaged(&key, "the log value is missing or incomplete").into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn feed_snapshot(&self, manifest: &Manifest, sink: &mut dyn Sink) -> Result<(), FeedError> {
        let prefix = self.shared.layout.snapshot(manifest.rev, manifest.term);
        let mut chunks = Chunks {
            at: self,
            from: prefix.clone(),
            to: after_prefix(&prefix),
            more: true,
            ready: VecDeque::new(),
            offset: 0,
            failed: None,
        };
        let mut names = TableNames::default();
        let mut rows = 0;
        sink.snapshot_begin(manifest.rev);
        loop {
            let block = match Block::read(&mut chunks) {
                Ok(block) => block,
                Err(reason) => {
                    let call = chunks.failed.take().map(FeedError::Call);
                    return Err(call.unwrap_or_else(|| damaged(&prefix, &reason).into()));
                }
            };
            if block.is_footer() {
                break;
            }
            rows += u64::from(block.rows);
            block.feed(&mut names, sink)?;
        }
        if rows != manifest.rows {
            let reason = format!("the snapshot has {rows} rows instead of {}", manifest.rows);
            return Err(damaged(&prefix, &reason).into());
        }
        sink.snapshot_time(manifest.at_ms);
        sink.snapshot_done(manifest.rev);
        Ok(())
    }
}

fn feed_record(
    kv: &KeyValue,
    bytes: &[u8],
    position: &mut Position,
    names: &mut TableNames,
    sink: &mut dyn Sink,
) -> Result<(), JournalError> {
    let record = read_record(bytes, 0)
        .ok_or_else(|| damaged(&kv.key, "the log value fails its checksum"))?;
    let batches = record.batches(names).map_err(|reason| damaged(&kv.key, &reason))?;
    for batch in batches {
        if batch.rev != position.rev + 1 {
            let reason = format!("revision {} follows {}", batch.rev, position.rev);
            return Err(damaged(&kv.key, &reason));
        }
        position.rev = batch.rev;
        position.batches += 1;
        position.newest_ms = position.newest_ms.max(batch.at_ms);
        sink.batch(batch)?;
    }
    position.seq += 1;
    position.log_bytes += bytes.len() as u64;
    Ok(())
}

/// A snapshot's chunks, page by page, as one stream of bytes.
struct Chunks<'a> {
    at: &'a At<'a>,
    from: Vec<u8>,
    to: Vec<u8>,
    more: bool,
    ready: VecDeque<KeyValue>,
    /// Within the first chunk that is ready.
    offset: usize,
    failed: Option<CallError>,
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(kv) = self.ready.front() {
                let rest = &kv.value[self.offset..];
                if rest.is_empty() {
                    self.ready.pop_front();
                    self.offset = 0;
                    continue;
                }
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                self.offset += count;
                return Ok(count);
            }
            if !self.more {
                return Ok(0);
            }
            match self.at.page(self.from.clone(), self.to.clone()) {
                Ok((page, more)) => {
                    if let Some(last) = page.last() {
                        self.from = [&last.key[..], &[0]].concat();
                    }
                    self.more = more;
                    self.ready = page.into();
                }
                Err(error) => {
                    self.failed = Some(error);
                    return Err(io::Error::other("etcd did not answer"));
                }
            }
        }
    }
}
