//! Reading a directory back after any kind of end.
//!
//! The newest snapshot that passes its checksums is fed, then every later batch. Two things are
//! told apart with care (see `record`): an unfinished write at the end of a segment, which nobody
//! was told of and which is cut off; and damage to what was acknowledged, which is fatal and leaves
//! every file as it is.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::segment::{HEAD, Item, SegmentHead, SegmentReader};
use super::snapshot::{check_snapshot, feed_snapshot};
use super::{Disk, Kept, files_of};
use crate::codec::TableNames;
use crate::record::Ending;
use crate::{JournalError, Recovered, Sink};

#[derive(Default)]
pub(super) struct Found {
    pub recovered: Recovered,
    pub term: u64,
    pub last_index: u64,
    pub kept: Vec<Kept>,
    pub snapshots: Vec<u64>,
    pub useless: Vec<PathBuf>,
    pub snapshot_bytes: u64,
    pub log_bytes: u64,
    pub newest_ms: i64,
}

pub(super) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    sink: &mut dyn Sink,
) -> Result<Found, JournalError> {
    let mut found = Found::default();
    for path in files_of(dir, "tmp")? {
        disk.remove(&path).map_err(JournalError::io("remove", &path))?;
    }
    let newest = choose_snapshot(dir, &mut found)?;
    let segments = read_heads(dir)?;
    if let Some(path) = &newest {
        let rev = found.recovered.snapshot_rev;
        sink.snapshot_begin(rev);
        found.newest_ms = feed_snapshot(path, sink)?;
        sink.snapshot_done(rev);
    }
    for (at, (path, head)) in segments.iter().enumerate() {
        let next = segments.get(at + 1).map(|(_, next)| next.first_rev);
        found.term = found.term.max(head.term);
        found.last_index = head.index;
        found.kept.push(Kept { path: path.clone(), first_rev: head.first_rev });
        // Everything in it is in the snapshot already.
        if next.is_some_and(|next| next <= found.recovered.snapshot_rev + 1) {
            continue;
        }
        feed_segment(disk, path, next, sink, &mut found)?;
    }
    Ok(found)
}

/// The newest snapshot that passes its checks; older ones were kept for when it does not.
fn choose_snapshot(dir: &Path, found: &mut Found) -> Result<Option<PathBuf>, JournalError> {
    let mut newest = None;
    let mut damage = None;
    for path in files_of(dir, "snap")?.into_iter().rev() {
        match check_snapshot(&path) {
            Ok((rev, _)) => {
                found.snapshots.insert(0, rev);
                if newest.is_none() {
                    found.recovered.snapshot_rev = rev;
                    found.recovered.rev = rev;
                    found.snapshot_bytes = path.metadata().map_or(0, |meta| meta.len());
                    newest = Some(path);
                }
            }
            Err(error @ JournalError::Corrupt { .. }) => {
                found.recovered.warnings.push(error.to_string());
                found.useless.push(path);
                damage = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match damage {
        // With no snapshot left, the log has to reach back to the first revision.
        Some(error) if newest.is_none() && first_revision(dir)? != Some(1) => Err(error),
        _ => Ok(newest),
    }
}

fn first_revision(dir: &Path) -> Result<Option<u64>, JournalError> {
    Ok(read_heads(dir)?.first().map(|(_, head)| head.first_rev))
}

pub(super) fn read_heads(dir: &Path) -> Result<Vec<(PathBuf, SegmentHead)>, JournalError> {
    let mut heads: Vec<(PathBuf, SegmentHead)> = Vec::new();
    for path in files_of(dir, "seg")? {
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(HEAD as u64).read_to_end(&mut bytes))
            .map_err(JournalError::io("read", &path))?;
        let head = SegmentHead::read(&path, &bytes)?;
        if let Some((_, before)) = heads.last()
            && (head.index <= before.index || head.first_rev < before.first_rev)
        {
            return Err(JournalError::corrupt(&path, 0, "the segment is out of order"));
        }
        heads.push((path, head));
    }
    Ok(heads)
}

/// Feeds what of one segment comes after the snapshot and before the next segment.
fn feed_segment(
    disk: &dyn Disk,
    path: &Path,
    next: Option<u64>,
    sink: &mut dyn Sink,
    found: &mut Found,
) -> Result<(), JournalError> {
    let mut reader = SegmentReader::open(path)?;
    let first = reader.head.first_rev;
    if first > found.recovered.rev + 1 {
        let missing = found.recovered.rev + 1;
        let reason = format!("revisions {missing} to {} are in no file", first - 1);
        return Err(JournalError::corrupt(path, 0, reason));
    }
    // What stands at or past the next segment's beginning was refused to its callers.
    let limit = next.unwrap_or(u64::MAX);
    let mut names = TableNames::default();
    loop {
        match reader.next(&mut names)? {
            Item::Group { header, batches, .. } => {
                found.log_bytes += header.span() as u64;
                for batch in batches {
                    if batch.rev > found.recovered.rev && batch.rev < limit {
                        found.recovered.rev = batch.rev;
                        found.recovered.batches += 1;
                        found.newest_ms = found.newest_ms.max(batch.at_ms);
                        sink.batch(batch)?;
                    }
                }
            }
            Item::End { offset, left, ending } => {
                return end_segment(disk, &reader, next, (offset, left, ending), found);
            }
        }
    }
}

fn end_segment(
    disk: &dyn Disk,
    reader: &SegmentReader,
    next: Option<u64>,
    (offset, left, ending): (u64, u64, Ending),
    found: &mut Found,
) -> Result<(), JournalError> {
    let path = &reader.path;
    if let Some(next) = next {
        if reader.next_rev >= next {
            return Ok(());
        }
        let what = match ending {
            Ending::Clean => "are in no file",
            Ending::Torn | Ending::Rotten(_) => "were here and are unreadable",
        };
        let reason = format!("revisions {} to {} {what}", reader.next_rev, next - 1);
        return Err(JournalError::corrupt(path, offset, reason));
    }
    match ending {
        Ending::Rotten(reason) => return Err(JournalError::corrupt(path, offset, reason)),
        Ending::Torn => found.recovered.torn_bytes = left,
        Ending::Clean if left == 0 => return Ok(()),
        Ending::Clean => {}
    }
    // Only gives space back: a new segment is opened in any case, and that one's header says where
    // this one ends.
    if let Err(error) = disk.truncate(path, offset) {
        found.recovered.warnings.push(format!("cannot cut {}: {error}", path.display()));
    }
    Ok(())
}
