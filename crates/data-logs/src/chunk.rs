//! A chunk: lines of one stream that came together. It is the unit that is written, moved and read.
//!
//! Its head has a fixed size; its lines are packed as differences of time and lengths in variable
//! numbers of bytes. Checksums of head and lines stand in the head.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use core_types::Id128;

/// One line as it comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Milliseconds since 1970, as the sender says.
    pub timestamp: i64,
    pub message: String,
}

/// Lines beyond this many bytes go into another chunk, so that blocks keep their size.
pub const FULL: usize = 256 << 10;

/// Bytes of a head.
pub const HEAD: usize = 72;

/// A chunk may hold one line of the largest size that is accepted, and not much more.
pub const LARGEST: usize = 8 << 20;

/// Lines of one stream, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub stream: Id128,
    /// When they came, in milliseconds.
    pub ingested: i64,
    /// The first line's number in its group; the others follow. Numbers begin at 1.
    pub first: u64,
    pub count: u32,
    pub min: i64,
    pub max: i64,
    pub lines: Bytes,
    pub checksum: u32,
}

impl Chunk {
    /// Pack lines, in as many chunks as their size asks for.
    pub fn pack(stream: Id128, ingested: i64, lines: &[Line]) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut rest = lines;
        while !rest.is_empty() {
            let mut size = 0;
            let mut end = 0;
            while end < rest.len() && (end == 0 || size + rest[end].message.len() <= FULL) {
                size += rest[end].message.len() + 8;
                end += 1;
            }
            let (now, later) = rest.split_at(end);
            chunks.push(Chunk::of(stream, ingested, now, size));
            rest = later;
        }
        chunks
    }

    fn of(stream: Id128, ingested: i64, lines: &[Line], size: usize) -> Chunk {
        let mut packed = BytesMut::with_capacity(size + lines.len() * 4);
        let (mut min, mut max, mut last) = (i64::MAX, i64::MIN, 0i64);
        for line in lines {
            put_number(&mut packed, zigzag(line.timestamp.wrapping_sub(last)));
            put_number(&mut packed, line.message.len() as u64);
            packed.extend_from_slice(line.message.as_bytes());
            last = line.timestamp;
            min = min.min(last);
            max = max.max(last);
        }
        let lines_packed = packed.freeze();
        let checksum = crc32fast::hash(&lines_packed);
        let count = u32::try_from(lines.len()).expect("a call has at most 10,000 lines");
        Chunk { stream, ingested, first: 0, count, min, max, lines: lines_packed, checksum }
    }

    /// The number after the last line's.
    pub fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// What it takes on its way and at rest, before compression.
    pub fn size(&self) -> usize {
        HEAD + self.lines.len()
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        let at = out.len();
        out.put_slice(&self.stream.0);
        out.put_i64_le(self.ingested);
        out.put_u64_le(self.first);
        out.put_i64_le(self.min);
        out.put_i64_le(self.max);
        out.put_u32_le(self.count);
        out.put_u32_le(u32::try_from(self.lines.len()).expect("a chunk is below 4 GiB"));
        out.put_u32_le(self.checksum);
        out.put_bytes(0, HEAD - 4 - (out.len() - at));
        out.put_u32_le(crc32fast::hash(&out[at..]));
        out.put_slice(&self.lines);
    }

    /// The chunk at the beginning of `bytes`; `None` where there is none, or a damaged one.
    pub fn take(bytes: &mut Bytes) -> Option<Chunk> {
        let head = bytes.get(..HEAD)?;
        let (fields, mut checksum) = head.split_at(HEAD - 4);
        if crc32fast::hash(fields) != checksum.get_u32_le() {
            return None;
        }
        let (stream, mut fields) = fields.split_first_chunk::<16>()?;
        let stream = Id128(*stream);
        let (ingested, first) = (fields.get_i64_le(), fields.get_u64_le());
        let (min, max) = (fields.get_i64_le(), fields.get_i64_le());
        let (count, length) = (fields.get_u32_le(), fields.get_u32_le() as usize);
        let checksum = fields.get_u32_le();
        let lines = HEAD.checked_add(length).filter(|end| length <= LARGEST && *end <= bytes.len());
        let lines = bytes.slice(HEAD..lines?);
        if crc32fast::hash(&lines) != checksum {
            return None;
        }
        bytes.advance(HEAD + length);
        Some(Chunk { stream, ingested, first, count, min, max, lines, checksum })
    }

    /// Time, number and text of each line.
    pub fn lines(&self) -> Lines<'_> {
        Lines { bytes: &self.lines, last: 0, next: self.first, left: self.count }
    }
}

pub struct Lines<'a> {
    bytes: &'a [u8],
    last: i64,
    next: u64,
    left: u32,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (i64, u64, &'a [u8]);
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let difference = take_number(&mut self.bytes)?;
        let length = usize::try_from(take_number(&mut self.bytes)?).ok()?;
        let (text, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        self.last = self.last.wrapping_add(unzigzag(difference));
        self.next += 1;
        Some((self.last, self.next - 1, text))
    }
}

fn zigzag(n: i64) -> u64 {
    (n << 1 ^ n >> 63) as u64
}

fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

fn put_number(out: &mut BytesMut, mut n: u64) {
    while n >= 0x80 {
        out.put_u8(n as u8 | 0x80);
        n >>= 7;
    }
    out.put_u8(n as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines() -> impl Strategy<Value = Vec<Line>> {
        let line = (any::<i64>(), ".{0,60}");
        let line = line.prop_map(|(timestamp, message)| Line { timestamp, message });
        proptest::collection::vec(line, 1..40)
    }

    proptest! {
        #[test]
        fn unpacks_what_it_packed(lines in lines(), first in 1u64..1 << 60) {
            let mut chunks = Chunk::pack(Id128([7; 16]), 99, &lines);
            prop_assert_eq!(chunks.len(), 1);
            chunks[0].first = first;
            let mut bytes = Vec::new();
            chunks[0].put(&mut bytes);
            let mut bytes = Bytes::from(bytes);
            let back = Chunk::take(&mut bytes).unwrap();
            prop_assert!(bytes.is_empty());
            prop_assert_eq!(&back, &chunks[0]);
            let seen: Vec<Line> = back.lines().map(|(timestamp, _, text)| {
                Line { timestamp, message: String::from_utf8(text.to_vec()).unwrap() }
            }).collect();
            prop_assert_eq!(seen, lines);
            prop_assert_eq!(back.lines().last().unwrap().1, back.end() - 1);
        }

        #[test]
        fn a_flipped_bit_is_noticed(lines in lines(), at: prop::sample::Index, bit in 0..8u8) {
            let mut bytes = Vec::new();
            Chunk::pack(Id128([7; 16]), 99, &lines)[0].put(&mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Chunk::take(&mut bytes.into()).is_none());
        }

        #[test]
        fn takes_any_bytes(bytes: Vec<u8>, count: u32) {
            prop_assert!(Chunk::take(&mut bytes.clone().into()).is_none());
            let lines = Lines { bytes: &bytes, last: 0, next: 1, left: count };
            prop_assert!(lines.count() <= bytes.len());
        }
    }

    #[test]
    fn large_batches_become_several_chunks() {
        let line = Line { timestamp: 5, message: "x".repeat(FULL / 2 - 100) };
        let chunks = Chunk::pack(Id128([1; 16]), 6, &vec![line; 9]);
        assert_eq!(chunks.iter().map(|chunk| chunk.count).collect::<Vec<_>>(), [2, 2, 2, 2, 1]);
        let large = Line { timestamp: 5, message: "x".repeat(1 << 20) };
        assert_eq!(Chunk::pack(Id128([1; 16]), 6, &[large]).len(), 1);
    }
}
