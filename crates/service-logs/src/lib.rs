//! CloudWatch Logs: log groups and streams, and what may be done with their lines. Lists only.
//!
//! Groups and streams are rows. Their lines are not: the data actions say which lines of which ids
//! are wanted or come in, and `data-logs` keeps them. What the binary binds to is in [`data`].

mod actions;
mod invariants;
mod loops;
pub mod ops;
pub mod rows;
mod rules;
mod tables;
mod views;

use core_step::Slice;

/// The data actions, their jobs, and the pure end of their answers.
pub mod data {
    pub use crate::actions::describe_log_groups::{self, DescribeLogGroups};
    pub use crate::actions::describe_log_streams::{self, DescribeLogStreams};
    pub use crate::actions::filter_log_events::{self, FilterLogEvents};
    pub use crate::actions::get_log_events::{self, GetLogEvents};
    pub use crate::actions::put_log_events::{self, PutLogEvents};
    pub use crate::actions::start_live_tail::{self, StartLiveTail};
    pub use crate::rules::events::{Event, PAGE_BYTES, Place, Wanted};
    pub use crate::rules::pattern::FilterPattern;
    pub use crate::views::Times;
}

pub static SLICE: Slice = Slice {
    service: &model_logs::SERVICE,
    actions: actions::ACTIONS,
    loops: loops::LOOPS,
    tables: tables::declare,
    invariants: invariants::INVARIANTS,
};
