//! Where tasks go: instances with what they have and hold, constraints, strategies, and why not.
//!
//! A [`Pool`] is told of each instance and of each task that comes and goes; it is asked for places
//! and reserves what it gives. It can be built for one question or be kept as state changes: the
//! questions are the same. Whatever is not placed comes back with a reason an instance.

mod ask;
mod index;
mod instance;
mod pool;
mod query;

pub use ask::{Ask, Constraint, Field, Strategy, split};
pub use instance::{Free, Instance, Need, Reason};
pub use pool::{Placed, Placement, Pool, Refused};
pub use query::{BadQuery, Facts, Query, ReadTime};
