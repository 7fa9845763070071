//! Write-ahead files: what was just acknowledged, of all groups, in the order in which it came.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use core_types::Id128;

use crate::chunk::Chunk;
use crate::error::StoreError;
use crate::group::Group;

const MAGIC: u32 = u32::from_le_bytes(*b"WLR1");

/// Magic, group, and their checksum; the chunk that follows carries its own.
pub const HEAD: usize = 24;

/// A file that is being written.
pub struct Wal {
    pub path: PathBuf,
    pub length: u64,
    /// Groups with lines in it, whose segments must be synced before it can go.
    pub groups: BTreeMap<Id128, Arc<Group>>,
    file: File,
}

pub fn put(out: &mut Vec<u8>, group: Id128, chunk: &Chunk) {
    let at = out.len();
    out.put_u32_le(MAGIC);
    out.put_slice(&group.0);
    out.put_u32_le(crc32fast::hash(&out[at..]));
    chunk.put(out);
}

fn take(bytes: &mut Bytes) -> Option<(Id128, Chunk)> {
    let mut head = bytes.get(..HEAD)?;
    let checksum = crc32fast::hash(&head[..HEAD - 4]);
    let magic = head.get_u32_le();
    let (group, mut rest) = head.split_first_chunk::<16>()?;
    if magic != MAGIC || rest.get_u32_le() != checksum {
        return None;
    }
    let group = Id128(*group);
    let mut behind = bytes.slice(HEAD..);
    let chunk = Chunk::take(&mut behind)?;
    *bytes = behind;
    Some((group, chunk))
}

/// Hands on every intact record; returns how many bytes belong to none.
pub fn read(bytes: Bytes, visit: &mut dyn FnMut(Id128, Chunk)) -> usize {
    let (mut rest, mut lost) = (bytes, 0);
    let magic = MAGIC.to_le_bytes();
    while !rest.is_empty() {
        if let Some((group, chunk)) = take(&mut rest) {
            visit(group, chunk);
            continue;
        }
        // A torn end, or rot inside: records behind it are as good as any.
        let skip = rest[1..].windows(4).position(|four| four == magic);
        let skip = skip.map_or(rest.len(), |at| at + 1);
        lost += skip;
        rest.advance(skip);
    }
    lost
}

/// The files there are, by number.
pub fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    numbered(dir, "wal")
}

/// What is in a directory, which need not be there.
pub fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Files named by a number and an extension, in order.
pub fn numbered(dir: &Path, extension: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for path in entries(dir)? {
        if path.extension().is_some_and(|found| found == extension)
            && let Some(number) = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok())
        {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files)
}

pub fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| StoreError::io(dir, "synced", &error))
}

impl Wal {
    pub fn create(dir: &Path, number: u64) -> Result<Wal, StoreError> {
        let made = std::fs::create_dir_all(dir);
        made.map_err(|error| StoreError::io(dir, "made", &error))?;
        let path = dir.join(format!("{number:010}.wal"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|error| StoreError::io(&path, "made", &error))?;
        sync_dir(dir)?;
        Ok(Wal { path, length: 0, groups: BTreeMap::new(), file })
    }

    /// Write and sync. After an error nothing of it counts, and the flag tells whether the file
    /// may be written on.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), (StoreError, bool)> {
        if let Err(error) = self.file.write_all_at(bytes, self.length) {
            let usable = self.file.set_len(self.length).is_ok();
            return Err((StoreError::io(&self.path, "written", &error), usable));
        }
        if let Err(error) = self.file.sync_data() {
            // What a failed sync left on the disk is not known, so the file is not trusted again.
            let _ = self.file.set_len(self.length);
            return Err((StoreError::io(&self.path, "synced", &error), false));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chunk::Line;

    fn records(count: u8) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for n in 0..count {
            let line = Line { timestamp: i64::from(n), message: "x".repeat(usize::from(n)) };
            put(&mut bytes, Id128([n; 16]), &Chunk::pack(Id128([9; 16]), 5, &[line])[0]);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn found(bytes: Vec<u8>) -> (Vec<u8>, usize) {
        let mut seen = Vec::new();
        let lost = read(bytes.into(), &mut |group, _| seen.push(group.0[0]));
        (seen, lost)
    }

    proptest! {
        #[test]
        fn a_torn_end_loses_only_what_was_not_written(cut: prop::sample::Index) {
            let (mut bytes, ends) = records(20);
            let cut = cut.index(bytes.len() + 1);
            bytes.truncate(cut);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let (seen, lost) = found(bytes);
            prop_assert_eq!(seen, (0..whole as u8).collect::<Vec<_>>());
            prop_assert_eq!(lost, cut - whole.checked_sub(1).map_or(0, |last| ends[last]));
        }

        #[test]
        fn rot_loses_only_the_record_it_hits(at: prop::sample::Index, bit in 0..8u8) {
            let (mut bytes, ends) = records(20);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let hit = ends.iter().position(|end| at < *end).unwrap() as u8;
            let (seen, lost) = found(bytes);
            prop_assert_eq!(seen, (0..20).filter(|n| *n != hit).collect::<Vec<_>>());
            prop_assert!(lost > 0);
        }

        #[test]
        fn takes_any_bytes(bytes: Vec<u8>) {
            let length = bytes.len();
            prop_assert_eq!(found(bytes), (Vec::new(), length));
        }
    }
}
