//! Processes of which a machine has many, or beside which it has little room: they ask the allocator to
//! take memory page by page, and to give back what is free.
//!
//! Left alone it lays out its arenas for pages of 2 MiB, of which each thread's first few allocations
//! fill several with zeros, and each thread keeps what it once needed: good for a server's speed, and most
//! of what an agent and a shim would weigh. It reads its settings when the process begins, before any code
//! of ours.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

/// The allocator's settings and what they are to be.
pub const FRUGAL: [(&str, &str); 5] = [
    ("MIMALLOC_ARENA_EAGER_COMMIT", "0"),
    // What is free goes back at once, in pieces of a page (KiB).
    ("MIMALLOC_PURGE_DELAY", "0"),
    ("MIMALLOC_MINIMAL_PURGE_SIZE", "4"),
    // A thread keeps no empty pages, and looks for them often: in so many of its slower allocations once.
    ("MIMALLOC_PAGE_FULL_RETAIN", "0"),
    ("MIMALLOC_GENERIC_COLLECT", "200"),
];

/// Become the same program with these settings, unless it has them already.
pub fn become_small() -> Result<()> {
    if FRUGAL.iter().all(|(name, _)| std::env::var_os(name).is_some()) {
        return Ok(());
    }
    let mut again = Command::new("/proc/self/exe");
    again.args(std::env::args_os().skip(1)).envs(FRUGAL);
    if let Some(word) = std::env::args_os().next() {
        again.arg0(word);
    }
    Err(again.exec()).context("cannot start this program again")
}
