//! The agent of one host: it takes tasks from the control plane, makes containers of them, and tells
//! what becomes of them.
//!
//! What to do next is decided by `engine`, which knows no clock and no I/O: a task's specification,
//! what is observed, and the time go in, steps come out. Everything else carries steps out.

pub mod acs;
mod agent;
pub mod clock;
pub mod config;
pub mod driver;
pub mod engine;
mod exec;
pub mod journal;
pub mod known;
pub mod logs;
pub mod meter;
pub mod plane;
pub mod registration;
pub mod tasks;
pub mod tcs;
pub mod traffic;

pub use agent::{Agent, AgentError};

/// The release of AWS's agent whose protocol and behaviour this agent has. AWS: clients and placement
/// constraints compare an instance's `agentVersion` with the release that a feature came with, so the
/// number means the same here.
pub const VERSION: &str = "1.105.1";
/// This program's own version, where AWS's agent names its commit.
pub const HASH: &str = concat!("wharf-", env!("CARGO_PKG_VERSION"));
