//! A snapshot file: a header, blocks of rows with a checksum each, a footer that counts them.
//!
//! It is written under a temporary name, read back, synced and renamed, so a `.snap` file was whole
//! once. Reading goes over it twice, first checking and only then feeding: a sink never sees half
//! of a damaged snapshot.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use crate::codec::{Reader, TableNames, put_row};
use crate::turn::Turn;
use crate::{Installed, JournalError, RowChange, Sink, SnapshotWriter};

const MAGIC: [u8; 8] = *b"WHARFSNP";
const FORMAT: u32 = 1;
const HEAD: usize = 32;
const BLOCK_HEAD: usize = 16;
/// Rows are gathered into blocks of about this many bytes.
const BLOCK: usize = 256 << 10;
const MAX_BLOCK: u32 = 512 << 20;

pub(crate) fn snapshot_name(rev: u64) -> String {
    format!("{rev:020}.snap")
}

fn head_bytes(rev: u64, at_ms: i64) -> [u8; HEAD] {
    let mut out = [0; HEAD];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    out[12..20].copy_from_slice(&rev.to_le_bytes());
    out[20..28].copy_from_slice(&at_ms.to_le_bytes());
    let sum = crc32fast::hash(&out[..28]);
    out[28..].copy_from_slice(&sum.to_le_bytes());
    out
}

/// Packs rows into blocks. The same blocks are a file's here and etcd values there.
///
/// A block: stored length, raw length, rows, checksum of all before it and of the body. The last
/// block has no body, and its row count is that of the whole snapshot (modulo 2^32).
#[derive(Default)]
pub(crate) struct BlockPacker {
    raw: Vec<u8>,
    rows: u32,
}

impl BlockPacker {
    pub fn push(&mut self, row: &RowChange) {
        put_row(&mut self.raw, row);
        self.rows += 1;
    }

    pub fn is_full(&self) -> bool {
        self.raw.len() >= BLOCK
    }

    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// What ends a snapshot of that many rows.
    pub fn footer(rows: u32) -> Vec<u8> {
        block_bytes(&[], 0, rows)
    }

    pub fn take(&mut self) -> Vec<u8> {
        // Zstandard never fails on memory to memory with room; if it did, plain bytes do as well.
        let packed = zstd::bulk::compress(&self.raw, 1).unwrap_or_default();
        let packs = !packed.is_empty() && packed.len() < self.raw.len();
        let body = if packs { &packed } else { &self.raw };
        let block = block_bytes(body, self.raw.len(), self.rows);
        self.raw.clear();
        self.rows = 0;
        block
    }
}

fn block_bytes(body: &[u8], raw: usize, rows: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(BLOCK_HEAD + body.len());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&(raw as u32).to_le_bytes());
    out.extend_from_slice(&rows.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&out);
    hasher.update(body);
    out.extend_from_slice(&hasher.finalize().to_le_bytes());
    out.extend_from_slice(body);
    out
}

pub(crate) struct Block {
    raw_length: u32,
    pub rows: u32,
    body: Vec<u8>,
}

impl Block {
    pub fn read(from: &mut dyn Read) -> Result<Block, String> {
        let mut head = [0; BLOCK_HEAD];
        from.read_exact(&mut head).map_err(|error| format!("a block is cut short: {error}"))?;
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (stored, raw_length, rows) = (word(0), word(4), word(8));
        if stored > MAX_BLOCK || raw_length > MAX_BLOCK || stored > raw_length {
            return Err("a block's length makes no sense".into());
        }
        // Grows as bytes arrive, so a false length costs no more than the file is long.
        let mut body = Vec::new();
        from.take(u64::from(stored))
            .read_to_end(&mut body)
            .map_err(|error| format!("a block cannot be read: {error}"))?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&head[..12]);
        hasher.update(&body);
        if body.len() != stored as usize || hasher.finalize() != word(12) {
            return Err("a block fails its checksum".into());
        }
        Ok(Block { raw_length, rows, body })
    }

    pub fn is_footer(&self) -> bool {
        self.raw_length == 0
    }

    pub fn feed(&self, names: &mut TableNames, sink: &mut dyn Sink) -> Result<(), JournalError> {
        let broken = |reason: String| JournalError::Sink(crate::SinkError(reason));
        let unpacked;
        let raw = if (self.body.len() as u32) < self.raw_length {
            unpacked = zstd::bulk::decompress(&self.body, self.raw_length as usize)
                .map_err(|error| broken(format!("a snapshot block does not unpack: {error}")))?;
            &unpacked[..]
        } else {
            &self.body[..]
        };
        let mut reader = Reader::new(raw);
        for _ in 0..self.rows {
            let row = reader.row(names).map_err(|error| broken(error.to_string()))?;
            sink.snapshot_row(row)?;
        }
        Ok(())
    }
}

/// Writes a snapshot on whatever thread has the rows.
pub(crate) struct FileSnapshot {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    fresh: PathBuf,
    file: Box<dyn DiskFile>,
    at: u64,
    packer: BlockPacker,
    rev: u64,
    rows: u64,
    turn: Turn,
}

impl FileSnapshot {
    pub fn create(
        disk: Arc<dyn Disk>,
        dir: &Path,
        rev: u64,
        at_ms: i64,
        turn: Turn,
    ) -> Result<FileSnapshot, JournalError> {
        let fresh = dir.join(snapshot_name(rev)).with_extension("tmp");
        let file = disk.create(&fresh).map_err(JournalError::io("create", &fresh))?;
        let (dir, packer) = (dir.into(), BlockPacker::default());
        let mut writer = FileSnapshot { disk, dir, fresh, file, at: 0, packer, rev, rows: 0, turn };
        writer.write(&head_bytes(rev, at_ms))?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        self.file.write_at(bytes, self.at).map_err(JournalError::io("write", &self.fresh))?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

impl SnapshotWriter for FileSnapshot {
    fn row(&mut self, row: &RowChange) -> Result<(), JournalError> {
        self.packer.push(row);
        self.rows += 1;
        if self.packer.is_full() {
            let block = self.packer.take();
            self.write(&block)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Installed, JournalError> {
        if !self.packer.is_empty() {
            let block = self.packer.take();
            self.write(&block)?;
        }
        self.write(&BlockPacker::footer(self.rows as u32))?;
        self.file.sync().map_err(JournalError::io("sync", &self.fresh))?;
        // Proven by reading, before anything that it replaces may be deleted.
        check_snapshot(&self.fresh)?;
        let path = self.dir.join(snapshot_name(self.rev));
        self.disk.rename(&self.fresh, &path).map_err(JournalError::io("rename", &self.fresh))?;
        self.disk.sync_dir(&self.dir).map_err(JournalError::io("sync", &self.dir))?;
        let (rev, rows, bytes, _turn) = (self.rev, self.rows, self.at, self.turn.clone());
        Ok(Installed { rev, rows, bytes, chunks: 1, seq: 0, term: 0, _turn })
    }
}

impl Drop for FileSnapshot {
    fn drop(&mut self) {
        // After a rename there is nothing of that name; after a failure the rest must not stay.
        let _ = self.disk.remove(&self.fresh);
    }
}

struct Counted<R> {
    inner: R,
    at: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

struct Walked {
    rev: u64,
    rows: u64,
    at_ms: i64,
}

fn walk(
    path: &Path,
    mut each: impl FnMut(&Block) -> Result<(), JournalError>,
) -> Result<Walked, JournalError> {
    let file = File::open(path).map_err(JournalError::io("open", path))?;
    let mut from = Counted { inner: BufReader::with_capacity(1 << 16, file), at: 0 };
    let mut head = [0; HEAD];
    from.read_exact(&mut head)
        .map_err(|error| JournalError::corrupt(path, 0, error.to_string()))?;
    let found = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
    let rev = u64::from_le_bytes(head[12..20].try_into().expect("eight bytes were taken"));
    let at_ms = i64::from_le_bytes(head[20..28].try_into().expect("eight bytes were taken"));
    // The checksum first: a version is only believed from a header that is whole.
    if head[28..] != crc32fast::hash(&head[..28]).to_le_bytes() || head[..8] != MAGIC {
        return Err(JournalError::corrupt(path, 0, "the snapshot's header fails its checksum"));
    }
    if found != FORMAT {
        return Err(JournalError::Version { file: path.into(), found, known: FORMAT });
    }
    let mut rows = 0u64;
    loop {
        let offset = from.at;
        let bad = |reason: String| JournalError::corrupt(path, offset, reason);
        let block = Block::read(&mut from).map_err(bad)?;
        if block.is_footer() {
            if block.rows != rows as u32 {
                return Err(bad("the snapshot's row count is wrong".into()));
            }
            return Ok(Walked { rev, rows, at_ms });
        }
        rows += u64::from(block.rows);
        each(&block)?;
    }
}

/// Reads the whole file against its checksums: its revision and its number of rows.
pub(crate) fn check_snapshot(path: &Path) -> Result<(u64, u64), JournalError> {
    walk(path, |_| Ok(())).map(|walked| (walked.rev, walked.rows))
}

/// Feeds the rows and the time, which it returns.
pub(crate) fn feed_snapshot(path: &Path, sink: &mut dyn Sink) -> Result<i64, JournalError> {
    let mut names = TableNames::default();
    let walked = walk(path, |block| block.feed(&mut names, sink))?;
    sink.snapshot_time(walked.at_ms);
    Ok(walked.at_ms)
}
