//! The start: segments are looked through, and write-ahead files say what is missing in them.
//!
//! A torn end of the growing segment is cut off when the write-ahead files hold what was in it.
//! Damage that they do not cover is rot: it is told, left alone, and what is intact around it is
//! served.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use core_types::Id128;

use crate::block::Head;
use crate::chunk::Chunk;
use crate::error::StoreError;
use crate::group::{Group, State};
use crate::segment::{self, Active, BlockRef, Growing};
use crate::wal;

/// What was found.
#[derive(Default)]
pub struct Recovered {
    pub groups: BTreeMap<Id128, Arc<Group>>,
    /// All write-ahead files, which go once their lines are in segments.
    pub wals: Vec<(u64, PathBuf)>,
    /// Bytes that wait to be moved.
    pub waiting: usize,
    /// Places where bytes were not as they were written, and no copy of them is left.
    pub damage: u64,
}

pub fn recover(wal_dir: &Path, groups_dir: &Path) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    let mut logged: BTreeMap<Id128, Vec<Chunk>> = BTreeMap::new();
    let read = |path: &Path, error| StoreError::io(path, "read", &error);
    recovered.wals = wal::list(wal_dir).map_err(|error| read(wal_dir, error))?;
    for (nth, (_, path)) in recovered.wals.iter().enumerate() {
        let bytes = std::fs::read(path).map_err(|error| read(path, error))?;
        let lost = wal::read(Bytes::from(bytes), &mut |group, chunk| {
            logged.entry(group).or_default().push(chunk);
        });
        // The last file may end in what was being written; nobody was told that it is there.
        if lost > 0 && nth + 1 < recovered.wals.len() {
            recovered.damage += 1;
            tracing::error!("{}: {lost} bytes are damaged", path.display());
        } else if lost > 0 {
            tracing::warn!("{}: cut off {lost} bytes at its end", path.display());
        }
    }
    for path in wal::entries(groups_dir).map_err(|error| read(groups_dir, error))? {
        let Some(id) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
            continue;
        };
        let chunks = logged.remove(&id).unwrap_or_default();
        let group = recover_group(id, path, chunks, &mut recovered.damage)?;
        recovered.groups.insert(id, Arc::new(group));
    }
    for (id, chunks) in logged {
        let dir = groups_dir.join(id.to_string());
        let mut state = State::default();
        replay(&mut state, chunks, 0);
        recovered.groups.insert(id, Arc::new(Group::new(id, dir, state)));
    }
    recovered.waiting = recovered.groups.values().map(|group| group.lock().waiting_bytes).sum();
    Ok(recovered)
}

/// Lines of the write-ahead files that no segment has.
fn replay(state: &mut State, mut chunks: Vec<Chunk>, through: u64) {
    state.next = state.next.max(through);
    chunks.sort_by_key(|chunk| chunk.first);
    for chunk in chunks {
        state.next = state.next.max(chunk.end());
        if chunk.first >= through {
            state.push(Arc::new(chunk));
        }
    }
}

fn recover_group(
    id: Id128,
    dir: PathBuf,
    logged: Vec<Chunk>,
    damage: &mut u64,
) -> Result<Group, StoreError> {
    let covered = logged.iter().map(|chunk| chunk.first).min();
    let mut state = State::default();
    let mut through = 0;
    let read = |path: &Path, error| StoreError::io(path, "read", &error);
    let files = wal::numbered(&dir, "seg").map_err(|error| read(&dir, error))?;
    let count = files.len();
    for (nth, (number, path)) in files.into_iter().enumerate() {
        let file = File::open(&path).map_err(|error| read(&path, error))?;
        let found = segment::footer(&file).map_err(|error| read(&path, error))?;
        let (blocks, growing) = match found {
            Some(blocks) => (blocks, None),
            None => {
                let found = look_through(&path, through, covered)?;
                let growing = Growing {
                    number,
                    path: path.clone(),
                    length: found.length,
                    begun: begun(&found.blocks),
                };
                if found.damaged > 0 {
                    *damage += found.damaged;
                    tracing::error!("{}: {} places are damaged", path.display(), found.damaged);
                }
                (found.blocks, Some((growing, found.damaged > 0)))
            }
        };
        for block in &blocks {
            through = through.max(block.head.through);
            block.head.spans.iter().for_each(|span| state.take_in(span));
        }
        match growing {
            // Only the last one grows; one that rots is closed and left as it is.
            Some((file, false)) if nth + 1 == count => {
                state.active = Some(Active { file, blocks });
            }
            Some((file, _)) => state.sealed.push(Arc::new(file.seal(&blocks)?)),
            None => state.sealed.push(Arc::new(segment::summary(number, path, &blocks))),
        }
    }
    replay(&mut state, logged, through);
    Ok(Group::new(id, dir, state))
}

fn begun(blocks: &[BlockRef]) -> i64 {
    let spans = blocks.iter().flat_map(|block| &block.head.spans);
    spans.map(|span| span.ingested).min().unwrap_or(i64::MAX)
}

struct Looked {
    blocks: Vec<BlockRef>,
    length: u64,
    damaged: u64,
}

/// Every intact block of a segment without a footer.
fn look_through(path: &Path, before: u64, covered: Option<u64>) -> Result<Looked, StoreError> {
    let bytes = std::fs::read(path).map_err(|error| StoreError::io(path, "read", &error))?;
    let (mut blocks, mut damaged, mut at) = (Vec::new(), 0, 0);
    // The blocks of a move count once its last one is there.
    let (mut open, mut good, mut through) = (Vec::new(), 0, before);
    while at < bytes.len() {
        let head = Head::read(&bytes[at..]);
        let whole = head.as_ref().is_some_and(|head| {
            bytes.get(at + head.length()..at + head.block()).is_some_and(|p| head.intact(p))
        });
        if let (true, Some(head)) = (whole, head) {
            let (offset, next) = (at as u64, at + head.block());
            let complete = head.complete;
            let end = head.through;
            open.push(BlockRef { offset, head: Arc::new(head) });
            at = next;
            if complete {
                blocks.append(&mut open);
                through = through.max(end);
                good = at;
            }
            continue;
        }
        // Lines from `through` on were in this move. If they are all in the write-ahead files,
        // the move is made again.
        if covered.is_some_and(|first| first <= through.max(1)) {
            break;
        }
        damaged += 1;
        let Some(next) = Head::find(&bytes, at + 1) else { break };
        at = next;
    }
    // Blocks without their last one, not covered: they are intact, and all that there is.
    if !open.is_empty() && covered.is_none_or(|first| first > through.max(1)) {
        good =
            open.last().map_or(good, |block: &BlockRef| block.offset as usize + block.head.block());
        blocks.append(&mut open);
    }
    if good < bytes.len() && damaged == 0 {
        let file = OpenOptions::new().write(true).open(path);
        let cut = file.and_then(|file| file.set_len(good as u64).and_then(|()| file.sync_all()));
        cut.map_err(|error| StoreError::io(path, "cut", &error))?;
        tracing::info!("{}: cut off {} bytes at its end", path.display(), bytes.len() - good);
    }
    let length = if damaged == 0 { good } else { bytes.len() };
    Ok(Looked { blocks, length: length as u64, damaged })
}
