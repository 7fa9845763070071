//! The control plane as a plain function: `step(core, now, events) -> replies, changes, wake_at`.
//!
//! Actions and reports write rows; loops take a key, look at rows and write rows; nothing here
//! speaks to the world. Time, ids and randomness come in, so a step can be repeated exactly.

mod action;
mod call;
mod core;
mod loops;
pub mod page;
mod registry;

pub use crate::action::{
    Action, DataAction, Input, Job, Output, ReadAction, Run, View, WriteAction, data_action,
    read_action, write_action,
};
pub use crate::call::{Call, Caller, Demand, Demands, Origin, Principal};
pub use crate::core::{Core, Event, Handled, OnPanic, Reply, Step};
pub use crate::loops::{Loop, LoopDef, loop_def};
pub use crate::registry::{
    CredentialError, Credentials, Identity, Invariant, Registry, Report, Slice,
};
