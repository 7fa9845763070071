//! One task's life as a plain function.
//!
//! `settle` draws the conclusions from what was observed, `plan` names the steps that are due now
//! and the time at which to look again, `report` names what the control plane has not been told.
//! All three are level-triggered: they look at state, never at events, so a step that was lost with
//! the process that began it is simply planned again.
//!
//! ```text
//!   TaskSpec ─┐
//!   TaskState ┼─ settle ─► plan ─► steps ─► (driver) ─► TaskState::apply(Event) ─┐
//!   now ──────┘     ▲                                                          │
//!                   └──────────────────────────────────────────────────────────┘
//! ```

mod admission;
mod depend;
mod health;
mod plan;
mod report;
mod settle;
mod spec;
mod state;
#[cfg(test)]
mod world;

pub use admission::{Needs, Queue, Room};
pub use health::{Health, HealthCheck, HealthStatus, Probe};
pub use plan::{Plan, Step, plan};
pub use report::{PartChange, Report, Status, TaskChange, Told, report};
pub use settle::settle;
pub use spec::{Condition, DEFAULT_STOP_TIMEOUT, Dependency, Part, Restart, SpecError, TaskSpec};
pub use state::{Binding, Doing, Event, Failure, Network, PartState, Phase, TaskState};
