//! A snapshot in etcd: the same blocks as in a file, cut into chunks of at most 1 MiB. It counts
//! once the manifest names it, which is written last and by itself. Chunks of an unfinished one stay
//! until the next is installed.

use super::fence::Fence;
use super::layout::PART;
use crate::embedded::BlockPacker;
use crate::turn::Turn;
use crate::{Installed, JournalError, RowChange, SnapshotWriter};

pub(super) struct EtcdSnapshot {
    fence: Fence,
    rev: u64,
    seq: u64,
    packer: BlockPacker,
    pending: Vec<u8>,
    chunks: u64,
    rows: u64,
    bytes: u64,
    turn: Turn,
}

impl EtcdSnapshot {
    pub fn new(fence: Fence, rev: u64, seq: u64, turn: Turn) -> EtcdSnapshot {
        let (packer, pending) = (BlockPacker::default(), Vec::new());
        EtcdSnapshot { fence, rev, seq, packer, pending, chunks: 0, rows: 0, bytes: 0, turn }
    }

    fn send(&mut self, chunk: Vec<u8>) -> Result<(), JournalError> {
        self.bytes += chunk.len() as u64;
        let key = self.fence.layout().chunk(self.rev, self.fence.term, self.chunks);
        self.chunks += 1;
        self.fence.put(key, chunk)
    }

    fn take_block(&mut self) -> Result<(), JournalError> {
        let block = self.packer.take();
        self.pending.extend_from_slice(&block);
        while self.pending.len() >= PART {
            let rest = self.pending.split_off(PART);
            let chunk = std::mem::replace(&mut self.pending, rest);
            self.send(chunk)?;
        }
        Ok(())
    }
}

impl SnapshotWriter for EtcdSnapshot {
    fn row(&mut self, row: &RowChange) -> Result<(), JournalError> {
        self.packer.push(row);
        self.rows += 1;
        if self.packer.is_full() { self.take_block() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<Installed, JournalError> {
        if !self.packer.is_empty() {
            self.take_block()?;
        }
        let footer = BlockPacker::footer(self.rows as u32);
        self.pending.extend_from_slice(&footer);
        let pending = std::mem::take(&mut self.pending);
        for chunk in pending.chunks(PART) {
            self.send(chunk.to_vec())?;
        }
        let (rev, rows, bytes, chunks) = (self.rev, self.rows, self.bytes, self.chunks);
        let (seq, term, _turn) = (self.seq, self.fence.term, self.turn);
        Ok(Installed { rev, rows, bytes, chunks, seq, term, _turn })
    }
}
