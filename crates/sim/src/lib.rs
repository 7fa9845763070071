//! Seeded worlds around the real core: users, hosts, links, clocks and a journal that crash, all of
//! one process, one thread and one seed.
//!
//! Only the world is made up. The core, its slices, what hosts are told (`service_ecs::feeds`) and
//! what they tell are the ones that run in production, so what breaks here breaks there, and what
//! broke is a number that anyone can run again.

mod agent;
mod auditor;
mod balancer;
mod chaos;
mod group;
pub mod picture;
pub mod plan;
mod plane;
mod registry;
mod shifts;
mod workloads;
mod world;

pub use chaos::{Ran, run};
pub use world::{Link, World};

/// What must not be. The text says what was seen.
#[derive(Debug)]
pub struct Violation(pub String);

pub type Outcome<T> = Result<T, Violation>;

/// Refuse what must not be.
#[macro_export]
macro_rules! hold {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err($crate::Violation(format!($($text)+)));
        }
    };
}
