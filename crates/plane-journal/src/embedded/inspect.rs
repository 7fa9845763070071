//! Looking at a journal directory without changing it: for `wharf replay` and for an operator who
//! was told of damage. Takes no lock, so it works beside a running server too.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::files_of;
use super::recovery::read_heads;
use super::segment::{Item, SegmentReader};
use super::snapshot::{check_snapshot, feed_snapshot};
use crate::codec::TableNames;
use crate::record::Ending;
use crate::{Batch, JournalError, Sink};

#[derive(Debug, Default)]
pub struct Inspection {
    pub snapshots: Vec<SnapshotSummary>,
    pub segments: Vec<SegmentSummary>,
    pub problems: Vec<Problem>,
}

#[derive(Debug)]
pub struct SnapshotSummary {
    pub path: PathBuf,
    pub rev: u64,
    pub rows: u64,
    pub bytes: u64,
}

#[derive(Debug)]
pub struct SegmentSummary {
    pub path: PathBuf,
    pub index: u64,
    pub term: u64,
    pub first_rev: u64,
    /// `first_rev - 1` where it holds no record.
    pub last_rev: u64,
    /// Group commits.
    pub records: u64,
    pub batches: u64,
    pub bytes: u64,
}

#[derive(Debug)]
pub struct Problem {
    pub file: PathBuf,
    pub offset: u64,
    /// Whether acknowledged batches are at stake; an unfinished write at the end is not that.
    pub fatal: bool,
    pub reason: String,
}

/// Everything that is in a journal directory, read against its checksums.
pub fn inspect(dir: &Path) -> Result<Inspection, JournalError> {
    let mut out = Inspection::default();
    for path in files_of(dir, "snap")? {
        match check_snapshot(&path) {
            Ok((rev, rows)) => {
                let bytes = path.metadata().map_or(0, |meta| meta.len());
                out.snapshots.push(SnapshotSummary { path, rev, rows, bytes });
            }
            Err(error) => out.problems.push(problem(&path, &error)),
        }
    }
    let segments = files_of(dir, "seg")?;
    for (at, path) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        match inspect_segment(path, last, &mut out.problems) {
            Ok(summary) => out.segments.push(summary),
            Err(error) => out.problems.push(problem(path, &error)),
        }
    }
    Ok(out)
}

fn problem(path: &Path, error: &JournalError) -> Problem {
    match error {
        JournalError::Corrupt { file, offset, reason } => {
            Problem { file: file.clone(), offset: *offset, fatal: true, reason: reason.clone() }
        }
        other => Problem { file: path.into(), offset: 0, fatal: true, reason: other.to_string() },
    }
}

fn inspect_segment(
    path: &Path,
    last: bool,
    problems: &mut Vec<Problem>,
) -> Result<SegmentSummary, JournalError> {
    let mut reader = SegmentReader::open(path)?;
    let head = reader.head;
    let mut summary = SegmentSummary {
        path: path.into(),
        index: head.index,
        term: head.term,
        first_rev: head.first_rev,
        last_rev: head.first_rev - 1,
        records: 0,
        batches: 0,
        bytes: path.metadata().map_or(0, |meta| meta.len()),
    };
    let mut names = TableNames::default();
    loop {
        match reader.next(&mut names) {
            Ok(Item::Group { header, .. }) => {
                summary.records += 1;
                summary.batches += u64::from(header.count);
                summary.last_rev = header.last_rev();
            }
            Ok(Item::End { offset, ending, .. }) => {
                let (fatal, reason) = match ending {
                    Ending::Clean => return Ok(summary),
                    Ending::Torn if last => (false, "an unfinished write, never acknowledged"),
                    Ending::Torn => (false, "an unfinished write before the next segment"),
                    Ending::Rotten(reason) => (true, reason),
                };
                let file = path.into();
                problems.push(Problem { file, offset, fatal, reason: reason.into() });
                return Ok(summary);
            }
            Err(error) => {
                problems.push(problem(path, &error));
                return Ok(summary);
            }
        }
    }
}

/// Feeds one snapshot that [`inspect`] has listed, once all of it has passed its checksums.
pub fn read_snapshot(path: &Path, sink: &mut dyn Sink) -> Result<(), JournalError> {
    let (rev, _) = check_snapshot(path)?;
    sink.snapshot_begin(rev);
    feed_snapshot(path, sink)?;
    sink.snapshot_done(rev);
    Ok(())
}

/// Every batch that is still in the log, oldest first, as far as it can be read.
pub struct History {
    segments: VecDeque<(PathBuf, Option<u64>)>,
    reader: Option<(SegmentReader, Option<u64>)>,
    ready: VecDeque<Batch>,
    names: TableNames,
    last_rev: u64,
}

pub fn history(dir: &Path) -> Result<History, JournalError> {
    let heads = read_heads(dir)?;
    let nexts = heads.iter().skip(1).map(|(_, head)| Some(head.first_rev)).chain([None]);
    let segments = heads.iter().map(|(path, _)| path.clone()).zip(nexts).collect();
    let (ready, names) = (VecDeque::new(), TableNames::default());
    Ok(History { segments, reader: None, ready, names, last_rev: 0 })
}

impl History {
    /// `Ok(false)` at the end of the last segment.
    fn read_on(&mut self) -> Result<bool, JournalError> {
        let Some((reader, next)) = &mut self.reader else {
            let Some((path, next)) = self.segments.pop_front() else { return Ok(false) };
            self.reader = Some((SegmentReader::open(&path)?, next));
            return Ok(true);
        };
        let limit = next.unwrap_or(u64::MAX);
        match reader.next(&mut self.names)? {
            Item::Group { batches, .. } => {
                let fresh = batches.into_iter().filter(|b| b.rev > self.last_rev && b.rev < limit);
                self.ready.extend(fresh);
                self.last_rev = self.ready.back().map_or(self.last_rev, |batch| batch.rev);
            }
            Item::End { offset, ending: Ending::Rotten(reason), .. } if reader.next_rev < limit => {
                return Err(JournalError::corrupt(&reader.path, offset, reason));
            }
            Item::End { .. } => self.reader = None,
        }
        Ok(true)
    }
}

impl Iterator for History {
    type Item = Result<Batch, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Some(Ok(batch));
            }
            match self.read_on() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    // Told once; after it there is nothing that could be trusted to be in order.
                    self.segments.clear();
                    self.reader = None;
                    return Some(Err(error));
                }
            }
        }
    }
}
