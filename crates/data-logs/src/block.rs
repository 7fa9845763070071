//! A block of a segment: chunks, compressed together, behind a head that tells what is in it.
//!
//! Blocks that were moved in one go belong together: only the last of them is marked, and what
//! stands behind the last mark did not happen.

use bytes::{Buf, BufMut, Bytes};
use core_types::Id128;

use crate::chunk::{Chunk, FULL, LARGEST};

const MAGIC: u32 = u32::from_le_bytes(*b"WLB1");

/// Bytes of a head's fixed part and of one span.
pub const FIXED: usize = 40;
const SPAN: usize = 48;

/// A block is full at `FULL` bytes, and a chunk may be larger by itself.
const LARGEST_RAW: usize = FULL + LARGEST;

/// zstd's fastest level that compresses lines well: about a tenth of their size.
const LEVEL: i32 = 1;

/// What a block, or a whole segment, holds of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub stream: Id128,
    pub min: i64,
    pub max: i64,
    /// The latest of the times when its lines came.
    pub ingested: i64,
    pub lines: u32,
    pub bytes: u32,
}

impl Span {
    pub fn add(&mut self, other: &Span) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.ingested = self.ingested.max(other.ingested);
        self.lines = self.lines.saturating_add(other.lines);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub fn of(chunk: &Chunk) -> Span {
        Span {
            stream: chunk.stream,
            min: chunk.min,
            max: chunk.max,
            ingested: chunk.ingested,
            lines: chunk.count,
            bytes: u32::try_from(chunk.lines.len()).unwrap_or(u32::MAX),
        }
    }
}

/// A block's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whether the move that wrote the block is complete with it.
    pub complete: bool,
    /// All lines of the group below this number are in this move or before it.
    pub through: u64,
    pub raw: u32,
    pub stored: u32,
    pub checksum: u32,
    pub spans: Vec<Span>,
}

impl Head {
    pub fn length(&self) -> usize {
        FIXED + self.spans.len() * SPAN
    }

    /// Bytes of the whole block.
    pub fn block(&self) -> usize {
        self.length() + self.stored as usize
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        let at = out.len();
        out.put_u32_le(MAGIC);
        out.put_u32_le(u32::from(self.complete));
        out.put_u64_le(self.through);
        out.put_u32_le(self.raw);
        out.put_u32_le(self.stored);
        out.put_u32_le(self.checksum);
        out.put_u32_le(u32::try_from(self.spans.len()).expect("a block has few streams"));
        let mut spans = Vec::with_capacity(self.spans.len() * SPAN);
        for span in &self.spans {
            spans.put_slice(&span.stream.0);
            spans.put_i64_le(span.min);
            spans.put_i64_le(span.max);
            spans.put_i64_le(span.ingested);
            spans.put_u32_le(span.lines);
            spans.put_u32_le(span.bytes);
        }
        out.put_u32_le(crc32fast::hash(&spans));
        out.put_u32_le(crc32fast::hash(&out[at..]));
        out.put_slice(&spans);
    }

    /// The head at the beginning of `bytes`; `None` where there is none, or a damaged one.
    pub fn read(bytes: &[u8]) -> Option<Head> {
        let mut fixed = bytes.get(..FIXED)?;
        let checksum_of_fixed = crc32fast::hash(&fixed[..FIXED - 4]);
        let magic = fixed.get_u32_le();
        let complete = fixed.get_u32_le() != 0;
        let through = fixed.get_u64_le();
        let (raw, stored) = (fixed.get_u32_le(), fixed.get_u32_le());
        let checksum = fixed.get_u32_le();
        let count = fixed.get_u32_le() as usize;
        let checksum_of_spans = fixed.get_u32_le();
        if magic != MAGIC || fixed.get_u32_le() != checksum_of_fixed {
            return None;
        }
        let end = count.checked_mul(SPAN)?.checked_add(FIXED)?;
        let mut packed = bytes.get(FIXED..end)?;
        if crc32fast::hash(packed) != checksum_of_spans {
            return None;
        }
        let mut spans = Vec::with_capacity(count);
        for _ in 0..count {
            let (stream, rest) = packed.split_first_chunk::<16>()?;
            packed = rest;
            spans.push(Span {
                stream: Id128(*stream),
                min: packed.get_i64_le(),
                max: packed.get_i64_le(),
                ingested: packed.get_i64_le(),
                lines: packed.get_u32_le(),
                bytes: packed.get_u32_le(),
            });
        }
        Some(Head { complete, through, raw, stored, checksum, spans })
    }

    /// The offset of the next intact head at or behind `from`.
    pub fn find(bytes: &[u8], from: usize) -> Option<usize> {
        let magic = MAGIC.to_le_bytes();
        let found =
            |at: &usize| bytes[*at..].starts_with(&magic) && Head::read(&bytes[*at..]).is_some();
        (from..bytes.len().saturating_sub(FIXED - 1)).find(found)
    }

    /// The chunks of the block that `payload` is; `None` when it is damaged.
    pub fn chunks(&self, payload: &[u8]) -> Option<Vec<Chunk>> {
        let raw = self.raw as usize;
        if payload.len() != self.stored as usize
            || raw > LARGEST_RAW
            || crc32fast::hash(payload) != self.checksum
        {
            return None;
        }
        let mut bytes = Bytes::from(zstd::bulk::decompress(payload, raw).ok()?);
        let mut chunks = Vec::new();
        while !bytes.is_empty() {
            chunks.push(Chunk::take(&mut bytes)?);
        }
        Some(chunks)
    }

    pub fn intact(&self, payload: &[u8]) -> bool {
        payload.len() == self.stored as usize && crc32fast::hash(payload) == self.checksum
    }
}

/// Writes chunks as blocks, those of one stream beside each other, and tells where each begins.
pub fn build(chunks: &mut [std::sync::Arc<Chunk>], through: u64) -> (Vec<u8>, Vec<(u64, Head)>) {
    // Stable: lines of one stream stay in their order.
    chunks.sort_by_key(|chunk| chunk.stream);
    let (mut out, mut heads) = (Vec::new(), Vec::new());
    let mut at = 0;
    let mut raw = Vec::with_capacity(FULL);
    while at < chunks.len() {
        raw.clear();
        let begin = at;
        while at < chunks.len() && (at == begin || raw.len() + chunks[at].size() <= FULL) {
            chunks[at].put(&mut raw);
            at += 1;
        }
        let stored = zstd::bulk::compress(&raw, LEVEL).expect("zstd compresses any bytes");
        let head = Head {
            complete: at == chunks.len(),
            through,
            raw: u32::try_from(raw.len()).expect("a block is below 4 GiB"),
            stored: u32::try_from(stored.len()).expect("a block is below 4 GiB"),
            checksum: crc32fast::hash(&stored),
            spans: spans(&chunks[begin..at]),
        };
        let offset = out.len() as u64;
        head.put(&mut out);
        out.extend_from_slice(&stored);
        heads.push((offset, head));
    }
    (out, heads)
}

fn spans(chunks: &[std::sync::Arc<Chunk>]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for chunk in chunks {
        let span = Span::of(chunk);
        match spans.last_mut().filter(|last| last.stream == span.stream) {
            Some(last) => last.add(&span),
            None => spans.push(span),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::chunk::Line;

    fn chunks() -> impl Strategy<Value = Vec<Arc<Chunk>>> {
        let one = (0..4u8, -5i64..5, "[ -~]{0,300}", 1..40usize);
        proptest::collection::vec(one, 1..30).prop_map(|all| {
            let make = |(stream, timestamp, message, times): (u8, i64, String, usize)| {
                let line = Line { timestamp, message };
                Chunk::pack(Id128([stream; 16]), timestamp + 1, &vec![line; times])
            };
            all.into_iter().flat_map(make).map(Arc::new).collect()
        })
    }

    proptest! {
        #[test]
        fn reads_what_it_built(chunks in chunks()) {
            let mut sorted = chunks.clone();
            let (bytes, heads) = build(&mut sorted, 77);
            let mut back = Vec::new();
            for (nth, (offset, head)) in heads.iter().enumerate() {
                let at = *offset as usize;
                prop_assert_eq!(Head::find(&bytes, at), Some(at));
                let read = Head::read(&bytes[at..]).unwrap();
                prop_assert_eq!(&read, head);
                prop_assert_eq!(read.complete, nth + 1 == heads.len());
                let payload = &bytes[at + read.length()..at + read.block()];
                let found = read.chunks(payload).unwrap();
                let lines: u32 = found.iter().map(|chunk| chunk.count).sum();
                prop_assert_eq!(lines, read.spans.iter().map(|span| span.lines).sum::<u32>());
                back.extend(found);
            }
            let sorted: Vec<Chunk> = sorted.iter().map(|chunk| (**chunk).clone()).collect();
            prop_assert_eq!(back, sorted);
        }

        #[test]
        fn a_flipped_bit_is_noticed(chunks in chunks(), at: prop::sample::Index, bit in 0..8u8) {
            let mut sorted = chunks;
            let (mut bytes, heads) = build(&mut sorted, 77);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let whole = heads.iter().all(|(offset, _)| {
                let block = &bytes[*offset as usize..];
                Head::read(block).is_some_and(|head| {
                    block.len() >= head.block() && head.intact(&block[head.length()..head.block()])
                })
            });
            prop_assert!(!whole);
        }

        #[test]
        fn takes_any_bytes(bytes: Vec<u8>) {
            prop_assert!(Head::read(&bytes).is_none());
            prop_assert!(Head::find(&bytes, 0).is_none());
        }
    }
}
