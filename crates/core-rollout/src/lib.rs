//! How a service stays at its desired count, and how it comes from one version to the next.
//!
//! Plain functions over a small problem: what is wanted, which tasks there are and how they do. A
//! plan is what may be done *now*; each change of the world asks again. Two bounds hold at every
//! instant and not just on average: what is healthy is never brought under the least by a plan of
//! ours, and what runs or is on its way never over the most.

mod backoff;
mod balance;
mod bounds;
mod breaker;
mod census;
mod daemon;
mod early;
mod kept;
mod rolling;
mod stages;
mod stop_order;
mod traffic;
mod world;

pub use backoff::{Backoff, Wait};
pub use balance::{Zone, plan_balance};
pub use bounds::Bounds;
pub use breaker::{Breaker, threshold};
pub use census::{Census, Kind, Listed, Tasks};
pub use daemon::{Ground, Host, plan_daemon};
pub use early::Criteria;
pub use kept::Restore;
pub use rolling::{Plan, Stop, Why, plan_rolling};
pub use stages::{Cause, Course, Hooks, Next, Progress, Sight, Stage, Terms, advance, wanted};
pub use stop_order::choose_stops;
pub use traffic::{ALL, Shift};
pub use world::{Health, Phase, Service, Task, Version};
