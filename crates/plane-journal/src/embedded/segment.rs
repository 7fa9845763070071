//! A log segment: a 64-byte header, then records, then zeros laid out ahead of the writer.
//!
//! A segment is born under a temporary name and renamed once its header is durable, so a `.seg`
//! file always has a whole header. The header says which revision comes first: that is a statement
//! that everything before it was durable elsewhere, and it overrules any older segment's tail.

use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use crate::Batch;
use crate::JournalError;
use crate::codec::TableNames;
use crate::error::is_full;
use crate::record::{Ending, Header, judge_ending, read_record};

const MAGIC: [u8; 8] = *b"WHARFLOG";
pub(crate) const FORMAT: u32 = 1;
pub(crate) const HEAD: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    /// Rises with every segment of a directory.
    pub index: u64,
    pub term: u64,
    pub first_rev: u64,
    /// Tells this segment's records from any other's.
    pub salt: u32,
}

impl SegmentHead {
    fn bytes(&self) -> [u8; HEAD] {
        let mut out = [0; HEAD];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        out[12..16].copy_from_slice(&self.salt.to_le_bytes());
        out[16..24].copy_from_slice(&self.index.to_le_bytes());
        out[24..32].copy_from_slice(&self.term.to_le_bytes());
        out[32..40].copy_from_slice(&self.first_rev.to_le_bytes());
        let sum = crc32fast::hash(&out[..60]);
        out[60..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    pub fn read(path: &Path, bytes: &[u8]) -> Result<SegmentHead, JournalError> {
        let bad = |reason| JournalError::corrupt(path, 0, reason);
        let head = bytes.get(..HEAD).ok_or_else(|| bad("the segment's header is cut short"))?;
        let u32_at = |at: usize| {
            u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes were taken"))
        };
        let u64_at = |at: usize| {
            u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes were taken"))
        };
        if u32_at(60) != crc32fast::hash(&head[..60]) {
            return Err(bad("the segment's header fails its checksum"));
        }
        if head[..8] != MAGIC {
            return Err(bad("this is not a journal segment"));
        }
        if u64_at(32) == 0 {
            return Err(bad("the segment begins before the first revision"));
        }
        if u32_at(8) != FORMAT {
            let (found, known) = (u32_at(8), FORMAT);
            return Err(JournalError::Version { file: path.into(), found, known });
        }
        Ok(SegmentHead {
            index: u64_at(16),
            term: u64_at(24),
            first_rev: u64_at(32),
            salt: u32_at(12),
        })
    }
}

pub(crate) fn segment_name(index: u64) -> String {
    format!("{index:012}.seg")
}

/// The segment that appends go to.
pub(crate) struct SegmentWriter {
    file: Box<dyn DiskFile>,
    pub path: PathBuf,
    pub head: SegmentHead,
    /// Where the next record goes.
    pub end: u64,
    /// Up to where zeros were laid out and synced.
    room: u64,
    grow: u64,
}

/// What a failed write left behind.
pub(crate) enum WriteFailure {
    /// Nothing of the record was written; the file is as it was.
    Full(String),
    /// Nobody knows what the file holds now.
    Unknown(String),
}

/// A segment that could not be opened.
pub(crate) struct Unborn {
    pub error: JournalError,
    /// It may exist all the same, now or after a crash: an older segment's further records would
    /// then be overruled by it.
    pub may_exist: bool,
}

impl SegmentWriter {
    pub fn create(
        disk: &dyn Disk,
        dir: &Path,
        head: SegmentHead,
        grow: u64,
    ) -> Result<SegmentWriter, Unborn> {
        let path = dir.join(segment_name(head.index));
        let fresh = path.with_extension("tmp");
        let unborn = |error, may_exist| {
            // Only tidies up: recovery deletes what has this name.
            let _ = disk.remove(&fresh);
            Unborn { error: JournalError::io("create", &path)(error), may_exist }
        };
        let mut file = disk.create(&fresh).map_err(|error| unborn(error, false))?;
        file.write_at(&head.bytes(), 0)
            .and_then(|()| file.sync())
            .map_err(|error| unborn(error, false))?;
        disk.rename(&fresh, &path)
            .and_then(|()| disk.sync_dir(dir))
            .map_err(|error| unborn(error, true))?;
        let room = HEAD as u64;
        Ok(SegmentWriter { file, path, head, end: room, room, grow })
    }

    /// Writes and syncs one record.
    /// Lay out room for a few records more.
    pub fn make_room(&mut self) -> Result<(), WriteFailure> {
        let end = self.end + (64 << 10);
        if end > self.room { self.lay_out(end) } else { Ok(()) }
    }

    pub fn append(&mut self, record: &[u8]) -> Result<(), WriteFailure> {
        let end = self.end + record.len() as u64;
        if end > self.room {
            self.lay_out(end)?;
        }
        let written = self.file.write_at(record, self.end).and_then(|()| self.file.sync());
        if let Err(error) = written {
            return Err(WriteFailure::Unknown(format!("{}: {error}", self.path.display())));
        }
        self.end = end;
        Ok(())
    }

    /// Gives back what was laid out and not used. Nothing hangs on its success.
    pub fn close(&mut self) {
        if let Err(error) = self.file.set_len(self.end) {
            tracing::debug!(path = %self.path.display(), %error, "cannot trim a closed segment");
        }
    }

    /// Fills with zeros ahead of the writer. A sync then has no file size or block map to write, and
    /// a full disk shows here, before anything of a record is written.
    fn lay_out(&mut self, needed: u64) -> Result<(), WriteFailure> {
        let ample = needed.next_multiple_of(self.grow.max(4096));
        match self.fill_to(ample) {
            Err(error) if is_full(&error) => {}
            other => return other.map_err(|error| self.unknown(&error)),
        }
        let scant = needed.next_multiple_of(4096);
        match self.fill_to(scant) {
            Err(error) if is_full(&error) => {
                // The zeros that did get written are given back, for others to breathe.
                self.file.set_len(self.room).map_err(|error| self.unknown(&error))?;
                Err(WriteFailure::Full(error.to_string()))
            }
            other => other.map_err(|error| self.unknown(&error)),
        }
    }

    fn unknown(&self, error: &std::io::Error) -> WriteFailure {
        WriteFailure::Unknown(format!("{}: {error}", self.path.display()))
    }

    fn fill_to(&mut self, target: u64) -> std::io::Result<()> {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        let mut at = self.room;
        while at < target {
            let step = (target - at).min(ZEROS.len() as u64);
            self.file.write_at(&ZEROS[..step as usize], at)?;
            at += step;
        }
        self.file.sync()?;
        self.room = target;
        Ok(())
    }
}

/// A whole segment in memory, walked record by record. Segments are rotated at a bounded size.
pub(crate) struct SegmentReader {
    pub path: PathBuf,
    pub head: SegmentHead,
    bytes: Vec<u8>,
    at: usize,
    pub next_rev: u64,
}

pub(crate) enum Item {
    Group { header: Header, batches: Vec<Batch> },
    End { offset: u64, left: u64, ending: Ending },
}

impl SegmentReader {
    pub fn open(path: &Path) -> Result<SegmentReader, JournalError> {
        let bytes = std::fs::read(path).map_err(JournalError::io("read", path))?;
        let head = SegmentHead::read(path, &bytes)?;
        let next_rev = head.first_rev;
        Ok(SegmentReader { path: path.into(), head, bytes, at: HEAD, next_rev })
    }

    /// The next record, or how the segment ends. Call no more after the end.
    pub fn next(&mut self, names: &mut TableNames) -> Result<Item, JournalError> {
        let offset = self.at as u64;
        let salt = self.head.salt;
        let Some(record) = read_record(&self.bytes[self.at..], salt) else {
            let ending = judge_ending(&self.bytes, self.at, salt, self.next_rev);
            return Ok(Item::End { offset, left: (self.bytes.len() - self.at) as u64, ending });
        };
        let header = record.header;
        if header.first_rev != self.next_rev {
            let reason =
                format!("revision {} stands where {} belongs", header.first_rev, self.next_rev);
            return Err(JournalError::corrupt(&self.path, offset, reason));
        }
        let batches = record
            .batches(names)
            .map_err(|reason| JournalError::corrupt(&self.path, offset, reason))?;
        self.at += header.span();
        self.next_rev = header.last_rev() + 1;
        Ok(Item::Group { header, batches })
    }
}
