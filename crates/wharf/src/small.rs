//! Processes of which a machine has many, or beside which it has little room: they ask the allocator to
//! take memory page by page.
//!
//! Left alone it lays out its arenas for pages of 2 MiB, of which each thread's first few allocations
//! fill several with zeros: good for a server's speed, and most of what an agent and a shim would
//! weigh. It reads its settings when the process begins, before any code of ours.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

/// The allocator's setting and what it is to be.
pub const PAGE_BY_PAGE: (&str, &str) = ("MIMALLOC_ARENA_EAGER_COMMIT", "0");

/// Become the same program with that setting, unless it has it already.
pub fn become_small() -> Result<()> {
    let (name, value) = PAGE_BY_PAGE;
    if std::env::var_os(name).is_some() {
        return Ok(());
    }
    let mut again = Command::new("/proc/self/exe");
    again.args(std::env::args_os().skip(1)).env(name, value);
    if let Some(word) = std::env::args_os().next() {
        again.arg0(word);
    }
    Err(again.exec()).context("cannot start this program again")
}
