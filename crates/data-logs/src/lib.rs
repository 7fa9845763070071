//! The store of log lines: what was acknowledged is there after any crash, and little more is kept.
//!
//! An append goes to one write-ahead file for all groups, with one sync for all that wait; then it
//! is answered and readable. Each group's lines are moved in the background into that group's
//! segments: zstd blocks of about 256 KiB, mostly of one stream each, with a head that tells
//! streams and times, so that a reader opens only blocks that can hold what it wants. Write-ahead
//! files whose lines have all arrived in synced segments are deleted; expired segments too.
//!
//! ```text
//! <dir>/wal/0000000001.wal          record = head(group, stream, times, seq, checksums) + events
//! <dir>/groups/<id>/0000000001.seg  block = head(streams, times, checksums) + zstd(chunks), … footer
//! ```
//!
//! The store knows ids only. Names, retention and permissions are rows of the control plane, and
//! whoever sees both tells it what is gone (`Store::remove`, `Store::expire`).

mod block;
mod chunk;
mod error;
mod flusher;
mod group;
mod query;
mod recovery;
mod segment;
mod store;
mod tail;
mod wal;
mod writer;

pub use chunk::Line;
pub use error::StoreError;
pub use query::{Direction, Found, Page, Position, Query, Streams};
pub use store::{Figures, Options, Store, StreamTimes};
pub use tail::{Tail, Tailed};
