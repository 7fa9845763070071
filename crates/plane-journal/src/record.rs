//! One record = one group commit: a header, the batches, padding, a trailer.
//!
//! The record is the unit of one sync, and the next record is written only after that sync came
//! back. Two rules follow, and all of recovery rests on them:
//! * a bad record with a good one after it was damaged *after* it was acknowledged;
//! * a bad record at the very end is an unfinished write if some sector of it never arrived, and
//!   damage if all of it arrived and the checksum is wrong all the same.
//!
//! To tell "never arrived", the file is filled with zeros ahead of the writer, records start on
//! 32-byte bounds (so no header straddles a sector), the trailer is never zero, and a payload that
//! could hold an all-zero sector is always compressed.

use crate::Batch;
use crate::codec::{BadBytes, Reader, TableNames, put_batch};

pub(crate) const ALIGN: usize = 32;
pub(crate) const HEADER: usize = 32;
const TRAILER: [u8; 4] = *b"\xf5end";
const MAGIC: [u8; 4] = *b"\xf5rec";
/// The smallest unit that any disk of today writes as a whole.
const SECTOR: usize = 512;
/// Far above any group that the engine makes; a bound on what a false length can allocate.
pub(crate) const MAX_PAYLOAD: usize = 256 << 20;
/// Below this, compressing costs more time than the bytes it saves.
const COMPRESS_FROM: usize = 4096;

/// Encodes groups, keeping its buffers and its compressor from one to the next.
pub(crate) struct Encoder {
    raw: Vec<u8>,
    out: Vec<u8>,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    pub compress_from: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub stored: u32,
    pub raw: u32,
    pub first_rev: u64,
    pub count: u32,
    body_crc: u32,
}

impl Header {
    /// The whole record's length on disk.
    pub fn span(&self) -> usize {
        (HEADER + self.stored as usize + TRAILER.len()).next_multiple_of(ALIGN)
    }

    pub fn last_rev(&self) -> u64 {
        self.first_rev + u64::from(self.count) - 1
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder {
            raw: Vec::new(),
            out: Vec::new(),
            zstd: zstd::bulk::Compressor::new(1).ok(),
            compress_from: COMPRESS_FROM,
        }
    }
}

impl Encoder {
    /// The record of these batches, which must not be empty. `None`: the group is too large.
    pub fn encode(&mut self, batches: &[Batch], salt: u32) -> Option<&[u8]> {
        let first_rev = batches.first()?.rev;
        self.raw.clear();
        for batch in batches {
            put_batch(&mut self.raw, batch);
        }
        if self.raw.len() > MAX_PAYLOAD {
            return None;
        }
        let packed = self.compress();
        let body = packed.as_deref().unwrap_or(&self.raw);
        let mut header = Header {
            stored: body.len() as u32,
            raw: self.raw.len() as u32,
            first_rev,
            count: u32::try_from(batches.len()).ok()?,
            body_crc: 0,
        };
        self.out.clear();
        self.out.resize(HEADER, 0);
        self.out.extend_from_slice(body);
        self.out.resize(header.span() - TRAILER.len(), 0);
        header.body_crc = crc(salt, &self.out[HEADER..]);
        self.out.extend_from_slice(&TRAILER);
        write_header(&mut self.out[..HEADER], &header, salt);
        Some(&self.out)
    }

    fn compress(&mut self) -> Option<Vec<u8>> {
        if self.raw.len() < self.compress_from && !may_hold_zero_sector(&self.raw) {
            return None;
        }
        let packed = self.zstd.as_mut()?.compress(&self.raw).ok()?;
        // A shorter stored length is what marks a compressed payload.
        (packed.len() < self.raw.len()).then_some(packed)
    }
}

/// Any 512 zero bytes in a row cover one of these aligned quarters-of-a-kilobyte whole.
fn may_hold_zero_sector(bytes: &[u8]) -> bool {
    bytes.chunks_exact(SECTOR / 2).any(all_zero)
}

fn all_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn crc(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

fn write_header(out: &mut [u8], header: &Header, salt: u32) {
    out[0..4].copy_from_slice(&MAGIC);
    out[4..8].copy_from_slice(&header.stored.to_le_bytes());
    out[8..12].copy_from_slice(&header.raw.to_le_bytes());
    out[12..20].copy_from_slice(&header.first_rev.to_le_bytes());
    out[20..24].copy_from_slice(&header.count.to_le_bytes());
    out[24..28].copy_from_slice(&header.body_crc.to_le_bytes());
    let sum = crc(salt, &out[..28]);
    out[28..32].copy_from_slice(&sum.to_le_bytes());
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The header at the start of `bytes`, if it is whole and its own checksum holds.
pub(crate) fn read_header(bytes: &[u8], salt: u32) -> Option<Header> {
    let bytes = bytes.get(..HEADER)?;
    if bytes[..4] != MAGIC || u32_at(bytes, 28) != crc(salt, &bytes[..28]) {
        return None;
    }
    let header = Header {
        stored: u32_at(bytes, 4),
        raw: u32_at(bytes, 8),
        first_rev: u64::from(u32_at(bytes, 12)) | u64::from(u32_at(bytes, 16)) << 32,
        count: u32_at(bytes, 20),
        body_crc: u32_at(bytes, 24),
    };
    let sane = header.stored <= header.raw
        && header.raw as usize <= MAX_PAYLOAD
        && header.count > 0
        && header.first_rev.checked_add(u64::from(header.count)).is_some();
    sane.then_some(header)
}

/// One record that passed both checksums.
pub(crate) struct Record<'a> {
    pub header: Header,
    body: &'a [u8],
}

/// The record at the start of `bytes`, or `None` where anything about it is wrong.
pub(crate) fn read_record(bytes: &[u8], salt: u32) -> Option<Record<'_>> {
    let header = read_header(bytes, salt)?;
    let whole = bytes.get(..header.span())?;
    let (checked, trailer) = whole[HEADER..].split_at(whole.len() - HEADER - TRAILER.len());
    let good = trailer == TRAILER && crc(salt, checked) == header.body_crc;
    good.then(|| Record { header, body: &checked[..header.stored as usize] })
}

impl Record<'_> {
    pub fn batches(&self, names: &mut TableNames) -> Result<Vec<Batch>, String> {
        let unpacked;
        let raw = if self.header.stored < self.header.raw {
            unpacked = zstd::bulk::decompress(self.body, self.header.raw as usize)
                .map_err(|error| format!("a record does not unpack: {error}"))?;
            &unpacked[..]
        } else {
            self.body
        };
        let mut reader = Reader::new(raw);
        let batches = read_batches(&mut reader, self.header.count, names)
            .map_err(|error| error.to_string())?;
        if !reader.is_empty() {
            return Err("a record holds more than its batches".into());
        }
        let expected = self.header.first_rev..;
        if expected.zip(&batches).any(|(rev, batch)| rev != batch.rev) {
            return Err("a record's batches do not have the revisions that it says".into());
        }
        Ok(batches)
    }
}

fn read_batches(
    reader: &mut Reader<'_>,
    count: u32,
    names: &mut TableNames,
) -> Result<Vec<Batch>, BadBytes> {
    let mut batches = Vec::new();
    for _ in 0..count {
        batches.push(reader.batch(names)?);
    }
    Ok(batches)
}

/// What stands where the next record would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Only the zeros that were laid out ahead, or nothing.
    Clean,
    /// A write that did not finish: it was never acknowledged.
    Torn,
    /// Something that was whole once.
    Rotten(&'static str),
}

/// Judges what `bytes` hold from `at`, where [`read_record`] found no good record.
pub(crate) fn judge_ending(bytes: &[u8], at: usize, salt: u32, next_rev: u64) -> Ending {
    let rest = &bytes[at..];
    if all_zero(rest) {
        return Ending::Clean;
    }
    let ending = judge_last(rest, at, salt);
    if ending == Ending::Torn && good_record_after(rest, salt, next_rev) {
        return Ending::Rotten("a record is damaged, and acknowledged ones follow it");
    }
    ending
}

fn judge_last(rest: &[u8], at: usize, salt: u32) -> Ending {
    if rest.len() <= HEADER || all_zero(&rest[HEADER..]) || all_zero(&rest[..HEADER]) {
        return Ending::Torn;
    }
    let Some(header) = read_header(rest, salt) else {
        return Ending::Rotten("a record's header fails its checksum");
    };
    let Some(whole) = rest.get(..header.span()) else {
        return Ending::Torn;
    };
    // A write that was cut inside the trailer leaves its beginning, then zeros.
    let trailer = &whole[whole.len() - TRAILER.len()..];
    let arrived = trailer.iter().zip(TRAILER).take_while(|(found, whole)| *found == whole).count();
    if arrived < TRAILER.len() && all_zero(&trailer[arrived..]) {
        return Ending::Torn;
    }
    // Sectors are counted from the start of the file, not of the record.
    let first = at.next_multiple_of(SECTOR) - at;
    let missing = whole.get(first..).unwrap_or_default().chunks_exact(SECTOR).any(all_zero);
    if missing { Ending::Torn } else { Ending::Rotten("a record fails its checksum") }
}

/// The salt differs in every segment, so a record that users stored inside a row does not count.
fn good_record_after(rest: &[u8], salt: u32, next_rev: u64) -> bool {
    (ALIGN..rest.len()).step_by(ALIGN).any(|at| {
        rest[at..].starts_with(&MAGIC)
            && read_record(&rest[at..], salt).is_some_and(|r| r.header.first_rev >= next_rev)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RowChange;

    fn batch(rev: u64, value: Vec<u8>) -> Batch {
        let row = RowChange { table: "t".into(), version: 1, key: vec![1], value: Some(value) };
        Batch { rev, at_ms: 5, changes: vec![row] }
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 9u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn plain_packed_and_zero_filled_payloads_come_back() {
        for value in [vec![], noise(100), vec![7; 100_000], vec![0; 2000], noise(9000)] {
            let group = [batch(3, value.clone()), batch(4, value)];
            let mut encoder = Encoder::default();
            let bytes = encoder.encode(&group, 7).unwrap().to_vec();
            assert_eq!(bytes.len() % ALIGN, 0);
            let record = read_record(&bytes, 7).unwrap();
            assert_eq!(record.batches(&mut TableNames::default()).unwrap(), group);
            assert!(read_record(&bytes, 8).is_none(), "another segment's salt");
        }
    }

    #[test]
    fn a_lost_sector_is_torn_and_a_flipped_bit_is_rot() {
        let mut encoder = Encoder::default();
        let mut file = encoder.encode(&[batch(1, noise(64))], 0).unwrap().to_vec();
        let start = file.len();
        file.extend_from_slice(encoder.encode(&[batch(2, noise(3000))], 0).unwrap());
        let whole = file.clone();
        file.resize(whole.len() + 4096, 0);
        for sector in (start.next_multiple_of(SECTOR)..whole.len()).step_by(SECTOR) {
            let mut torn = file.clone();
            torn[sector..sector + SECTOR].fill(0);
            assert_eq!(judge_ending(&torn, start, 0, 2), Ending::Torn, "sector at {sector}");
        }
        for bit in 0..(whole.len() - start) * 8 {
            let mut flipped = file.clone();
            flipped[start + bit / 8] ^= 1 << (bit % 8);
            assert!(read_record(&flipped[start..], 0).is_none(), "bit {bit}");
            let ending = judge_ending(&flipped, start, 0, 2);
            assert!(matches!(ending, Ending::Rotten(_)), "bit {bit}: {ending:?}");
        }
    }
}
