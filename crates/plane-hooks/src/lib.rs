//! Calls of webhooks. That one is due is a row; what came of it is a report. Nothing is kept here
//! that would be missed: a process that dies leaves the row, and whoever looks next calls again.

mod caller;
mod calls;
mod targets;

pub use caller::{CallError, Caller, Patience};
pub use calls::{Call, Future, World, run};
pub use targets::Targets;
