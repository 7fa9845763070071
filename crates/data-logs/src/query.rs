//! Reading: the first (or last) lines of some streams in a span of time, in the order of their times.
//!
//! Blocks are looked at in the order of the times that their heads tell, so reading ends as soon as
//! no block left can hold anything better than what was found. What is kept meanwhile is bounded
//! by what may be returned.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use core_types::Id128;

use crate::block::Span;
use crate::chunk::Chunk;
use crate::error::StoreError;
use crate::group::Group;
use crate::segment::{self, BlockRef};

/// A place in the order of a group's lines: by time, then by when they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub timestamp: i64,
    pub number: u64,
}

impl Position {
    /// Before every line of this time.
    pub fn before(timestamp: i64) -> Position {
        Position { timestamp, number: 0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Streams {
    All,
    Of(BTreeSet<Id128>),
}

impl Streams {
    fn has(&self, stream: &Id128) -> bool {
        match self {
            Streams::All => true,
            Streams::Of(wanted) => wanted.contains(stream),
        }
    }
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Query {
    pub group: Id128,
    pub streams: Streams,
    /// The first time that counts, and the first that does not any more.
    pub from: i64,
    pub to: i64,
    /// Only what stands behind it, in the direction of reading.
    pub after: Option<Position>,
    pub direction: Direction,
    /// How many lines at most, how many bytes of text, and how many bytes are read to find them.
    pub lines: usize,
    pub bytes: usize,
    pub scan: usize,
}

/// A line as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub stream: Id128,
    pub position: Position,
    pub ingested: i64,
    pub message: String,
}

/// Lines in the order of their times, whatever the direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub lines: Vec<Found>,
    /// Where reading went on; `None` when there is nothing more.
    pub more: Option<Position>,
    /// Damaged blocks that were passed over.
    pub damaged: u64,
}

/// Something that may hold wanted lines.
enum Source {
    Waiting(Arc<Chunk>),
    Block(Arc<PathBuf>, BlockRef),
}

/// A line's place in the direction of reading: smaller comes first.
type Rank = i128;

fn rank(direction: Direction, position: Position) -> Rank {
    let rank = i128::from(position.timestamp) << 64 | i128::from(position.number);
    match direction {
        Direction::Forward => rank,
        Direction::Backward => -rank,
    }
}

impl Query {
    /// The best rank that a line of this span can have, if it can be wanted at all.
    fn best(&self, spans: &[Span]) -> Option<Rank> {
        let wanted = spans.iter().filter(|span| {
            self.streams.has(&span.stream) && span.max >= self.from && span.min < self.to
        });
        let best = |span: &Span| match self.direction {
            Direction::Forward => rank(self.direction, Position::before(span.min.max(self.from))),
            Direction::Backward => {
                let timestamp = span.max.min(self.to.saturating_sub(1));
                rank(self.direction, Position { timestamp, number: u64::MAX })
            }
        };
        let after = self.after.map(|after| rank(self.direction, after));
        // The worst one must still be behind where reading goes on.
        let worst = |span: &Span| match self.direction {
            Direction::Forward => {
                rank(self.direction, Position { timestamp: span.max, number: u64::MAX })
            }
            Direction::Backward => rank(self.direction, Position::before(span.min)),
        };
        let open = |span: &&Span| after.is_none_or(|after| worst(span) > after);
        wanted.filter(open).map(best).min()
    }

    fn sources(&self, group: &Group) -> Result<Vec<(Rank, Source)>, StoreError> {
        let mut sources = Vec::new();
        let mut add = |path: &Arc<PathBuf>, blocks: &[BlockRef]| {
            for block in blocks {
                if let Some(best) = self.best(&block.head.spans) {
                    sources.push((best, Source::Block(path.clone(), block.clone())));
                }
            }
        };
        let (sealed, waiting) = {
            let state = group.lock();
            if let Some(active) = &state.active {
                add(&Arc::new(active.file.path.clone()), &active.blocks);
            }
            let wanted = |chunk: &&Arc<Chunk>| self.best(&[Span::of(chunk)]).is_some();
            let waiting: Vec<_> = state.waiting.iter().filter(wanted).cloned().collect();
            let wanted = |sealed: &&Arc<segment::Sealed>| match &self.streams {
                Streams::All => self.best(&sealed.spans).is_some(),
                Streams::Of(streams) => streams.iter().any(|stream| {
                    sealed.span(stream).is_some_and(|span| self.best(&[*span]).is_some())
                }),
            };
            (state.sealed.iter().filter(wanted).cloned().collect::<Vec<_>>(), waiting)
        };
        for sealed in sealed {
            let Some(file) = open(&sealed.path)? else { continue };
            let blocks = segment::footer(&file);
            let blocks = blocks.map_err(|error| StoreError::io(&sealed.path, "read", &error))?;
            match blocks {
                Some(blocks) => add(&Arc::new(sealed.path.clone()), &blocks),
                None => tracing::error!("{}: its footer is damaged", sealed.path.display()),
            }
        }
        for chunk in waiting {
            if let Some(best) = self.best(&[Span::of(&chunk)]) {
                sources.push((best, Source::Waiting(chunk)));
            }
        }
        sources.sort_by_key(|(best, _)| *best);
        Ok(sources)
    }

    pub fn run(&self, group: &Group, matches: &dyn Fn(&str) -> bool) -> Result<Page, StoreError> {
        let mut found = Best::new(self);
        let mut damaged = 0;
        let mut scanned = 0;
        let mut opened: Option<(Arc<PathBuf>, File)> = None;
        let start = self.start();
        let mut stopped_at = None;
        for (best, source) in self.sources(group)? {
            if found.is_full_before(best) {
                break;
            }
            // Only between blocks that do not overlap where reading began is there progress.
            if scanned >= self.scan && best > start {
                stopped_at = Some(best);
                break;
            }
            match source {
                Source::Waiting(chunk) => {
                    scanned += chunk.size();
                    found.take(&chunk, matches);
                }
                Source::Block(path, block) => {
                    if opened.as_ref().is_none_or(|(open, _)| *open != path) {
                        opened = open(&path)?.map(|file| (path.clone(), file));
                    }
                    // Expired while it was about to be read.
                    let Some((_, file)) = &opened else { continue };
                    scanned += block.head.raw as usize;
                    let chunks = block.read(file);
                    match chunks.map_err(|error| StoreError::io(&path, "read", &error))? {
                        Some(chunks) => chunks.iter().for_each(|c| found.take(c, matches)),
                        None => {
                            damaged += 1;
                            let at = block.offset;
                            tracing::error!("{}: the block at {at} is damaged", path.display());
                        }
                    }
                }
            }
        }
        Ok(found.page(stopped_at, damaged))
    }

    /// The rank at which reading begins.
    fn start(&self) -> Rank {
        let bound = match self.direction {
            Direction::Forward => Position::before(self.from),
            Direction::Backward => Position::before(self.to),
        };
        let bound = rank(self.direction, bound);
        self.after.map_or(bound, |after| bound.max(rank(self.direction, after)))
    }
}

fn open(path: &PathBuf) -> Result<Option<File>, StoreError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(path, "read", &error)),
    }
}

/// The best lines so far, no more than may be returned.
struct Best<'q> {
    query: &'q Query,
    lines: BTreeMap<Rank, Found>,
    bytes: usize,
    /// Something that would have matched was left out.
    overflow: bool,
    after: Option<Rank>,
}

impl<'q> Best<'q> {
    fn new(query: &'q Query) -> Self {
        let after = query.after.map(|after| rank(query.direction, after));
        Best { query, lines: BTreeMap::new(), bytes: 0, overflow: false, after }
    }

    fn full(&self) -> bool {
        self.lines.len() >= self.query.lines || self.bytes >= self.query.bytes
    }

    /// Nothing of this rank or behind it is wanted any more.
    fn is_full_before(&mut self, best: Rank) -> bool {
        let worst = self.lines.last_key_value().map(|(rank, _)| *rank);
        let done = self.full() && worst.is_some_and(|worst| worst < best);
        self.overflow |= done;
        done
    }

    fn take(&mut self, chunk: &Chunk, matches: &dyn Fn(&str) -> bool) {
        let query = self.query;
        if !query.streams.has(&chunk.stream) {
            return;
        }
        for (timestamp, number, text) in chunk.lines() {
            if timestamp < query.from || timestamp >= query.to {
                continue;
            }
            let position = Position { timestamp, number };
            let rank = rank(query.direction, position);
            if self.after.is_some_and(|after| rank <= after) {
                continue;
            }
            let text = String::from_utf8_lossy(text);
            let worse = |(worst, _): (&Rank, &Found)| *worst < rank;
            if self.full() && self.lines.last_key_value().is_some_and(worse) {
                self.overflow |= self.overflow || matches(&text);
                continue;
            }
            if !matches(&text) {
                continue;
            }
            self.bytes += text.len();
            let (stream, ingested) = (chunk.stream, chunk.ingested);
            let line = Found { stream, position, ingested, message: text.into_owned() };
            self.lines.insert(rank, line);
            self.shrink();
        }
    }

    /// Drop what is too much: lines without which there is still enough.
    fn shrink(&mut self) {
        while self.lines.len() > 1 {
            let last = self.lines.last_key_value().map_or(0, |(_, line)| line.message.len());
            let without = self.bytes - last;
            if self.lines.len() <= self.query.lines && without < self.query.bytes {
                return;
            }
            self.lines.pop_last();
            self.bytes = without;
            self.overflow = true;
        }
    }

    fn page(mut self, stopped_at: Option<Rank>, damaged: u64) -> Page {
        // AWS: an answer does not exceed its size, unless one line alone does.
        while self.bytes > self.query.bytes && self.lines.len() > 1 {
            let (_, line) = self.lines.pop_last().expect("there are at least two");
            self.bytes -= line.message.len();
            self.overflow = true;
        }
        let mut more = None;
        if let Some(stop) = stopped_at {
            // Behind this rank not everything was looked at.
            let behind = self.lines.split_off(&stop);
            let sign = if self.query.direction == Direction::Forward { 1 } else { -1 };
            let stop = sign * stop;
            let position =
                Position { timestamp: (stop >> 64) as i64, number: (stop & MASK) as u64 };
            more =
                (!self.overflow || self.lines.is_empty() || !behind.is_empty()).then_some(position);
        }
        if more.is_none() && self.overflow {
            more = self.lines.last_key_value().map(|(_, line)| line.position);
        }
        let mut lines: Vec<Found> = self.lines.into_values().collect();
        if self.query.direction == Direction::Backward {
            lines.reverse();
        }
        Page { lines, more, damaged }
    }
}

const MASK: i128 = u64::MAX as i128;
