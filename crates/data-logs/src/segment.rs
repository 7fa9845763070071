//! Segments: files of blocks. The last one of a group grows; the others are sealed by a footer.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, BufMut};
use core_types::Id128;

use crate::block::{Head, Span};
use crate::chunk::Chunk;
use crate::error::StoreError;

const MAGIC: u32 = u32::from_le_bytes(*b"WLF1");
const TRAILER: u64 = 32;

/// Where a block is, and what is in it.
#[derive(Clone, Debug)]
pub struct BlockRef {
    pub offset: u64,
    pub head: Arc<Head>,
}

/// A sealed segment, as much of it as is kept in memory.
#[derive(Debug)]
pub struct Sealed {
    pub number: u64,
    pub path: PathBuf,
    /// By stream, sorted.
    pub spans: Vec<Span>,
    pub max: i64,
}

/// The segment that grows, and what is in it.
#[derive(Debug)]
pub struct Active {
    pub file: Growing,
    pub blocks: Vec<BlockRef>,
}

/// The file of a segment that grows.
#[derive(Clone, Debug)]
pub struct Growing {
    pub number: u64,
    pub path: PathBuf,
    pub length: u64,
    /// When its first line came.
    pub begun: i64,
}

/// The spans of blocks, one a stream, sorted by stream.
pub fn spans_of<'a>(heads: impl Iterator<Item = &'a Head>) -> Vec<Span> {
    let mut all: Vec<Span> = heads.flat_map(|head| head.spans.iter().copied()).collect();
    all.sort_by_key(|span| span.stream);
    let mut spans: Vec<Span> = Vec::new();
    for span in all {
        match spans.last_mut().filter(|last| last.stream == span.stream) {
            Some(last) => last.add(&span),
            None => spans.push(span),
        }
    }
    spans
}

impl Growing {
    pub fn create(dir: &Path, number: u64, begun: i64) -> Result<Growing, StoreError> {
        let path = dir.join(format!("{number:010}.seg"));
        let made = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        made.map_err(|error| StoreError::io(&path, "made", &error))?;
        Ok(Growing { number, path, length: 0, begun })
    }

    /// Write behind what is there; after an error nothing has changed.
    pub fn write(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.open().and_then(|file| {
            let written = file.write_all_at(bytes, self.length);
            if written.is_err() {
                let _ = file.set_len(self.length);
            }
            written
        });
        written.map_err(|error| StoreError::io(&self.path, "written", &error))
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(&self.path)
    }

    pub fn sync(&self) -> Result<(), StoreError> {
        let synced = self.open().and_then(|file| file.sync_all());
        synced.map_err(|error| StoreError::io(&self.path, "synced", &error))
    }

    /// Write the footer, sync, and keep a summary.
    pub fn seal(&self, blocks: &[BlockRef]) -> Result<Sealed, StoreError> {
        let mut footer = Vec::new();
        footer.put_u32_le(u32::try_from(blocks.len()).expect("a segment has few blocks"));
        for block in blocks {
            footer.put_u64_le(block.offset);
            block.head.put(&mut footer);
        }
        let (length, checksum) = (footer.len() as u32, crc32fast::hash(&footer));
        footer.put_u64_le(self.length);
        footer.put_u32_le(length);
        footer.put_u32_le(checksum);
        footer.put_bytes(0, 12);
        footer.put_u32_le(MAGIC);
        self.write(&footer)?;
        self.sync()?;
        Ok(summary(self.number, self.path.clone(), blocks))
    }
}

pub fn summary(number: u64, path: PathBuf, blocks: &[BlockRef]) -> Sealed {
    let spans = spans_of(blocks.iter().map(|block| &*block.head));
    let max = spans.iter().map(|span| span.max).max().unwrap_or(i64::MIN);
    Sealed { number, path, spans, max }
}

/// The blocks of a sealed segment; `None` where the file has no intact footer.
pub fn footer(file: &File) -> io::Result<Option<Vec<BlockRef>>> {
    let length = file.metadata()?.len();
    let Some(at) = length.checked_sub(TRAILER) else { return Ok(None) };
    let mut trailer = [0; TRAILER as usize];
    file.read_exact_at(&mut trailer, at)?;
    let mut fields = &trailer[..];
    let (offset, size) = (fields.get_u64_le(), fields.get_u32_le());
    let checksum = fields.get_u32_le();
    let magic = u32::from_le_bytes(*trailer.last_chunk::<4>().expect("a trailer has 32 bytes"));
    if magic != MAGIC || offset.checked_add(u64::from(size)) != Some(at) {
        return Ok(None);
    }
    let mut packed = vec![0; size as usize];
    file.read_exact_at(&mut packed, offset)?;
    Ok((crc32fast::hash(&packed) == checksum).then(|| blocks(&packed)).flatten())
}

fn blocks(mut packed: &[u8]) -> Option<Vec<BlockRef>> {
    let count = (packed.len() >= 4).then(|| packed.get_u32_le())?;
    let mut blocks = Vec::new();
    for _ in 0..count {
        let (offset, rest) = packed.split_first_chunk::<8>()?;
        let head = Head::read(rest)?;
        packed = &rest[head.length()..];
        blocks.push(BlockRef { offset: u64::from_le_bytes(*offset), head: Arc::new(head) });
    }
    Some(blocks)
}

impl BlockRef {
    /// The chunks of the block; `None` when it is damaged.
    pub fn read(&self, file: &File) -> io::Result<Option<Vec<Chunk>>> {
        let mut payload = vec![0; self.head.stored as usize];
        match file.read_exact_at(&mut payload, self.offset + self.head.length() as u64) {
            Ok(()) => Ok(self.head.chunks(&payload)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Sealed {
    pub fn span(&self, stream: &Id128) -> Option<&Span> {
        let at = self.spans.binary_search_by_key(stream, |span| span.stream).ok()?;
        Some(&self.spans[at])
    }
}
