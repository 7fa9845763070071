//! Six kinds of failure, each with real processes: kill -9, torn and rotten files, a full disk, lost
//! leaders, partitions, jumps of the clock; and clients that behave badly. `WHARF_LONG=1` runs more
//! rounds, `WHARF_SEED=n` repeats a run's choices.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clients;
mod clock;
mod disk;
mod kill;
mod leaders;
mod logs;
mod partition;
mod torn;
mod world;
