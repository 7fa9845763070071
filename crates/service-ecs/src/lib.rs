//! Amazon ECS: clusters, task definitions, container instances, tasks, services. Lists only.

mod actions;
pub mod explain;
pub mod feeds;
mod invariants;
mod loops;
pub mod ops;
pub mod reports;
pub mod rows;
mod rules;
mod tables;
mod views;

use core_step::Slice;

pub use rows::cluster::{Cluster, ClusterKey, ClusterStatus};

pub static SLICE: Slice = Slice {
    service: &model_ecs::SERVICE,
    actions: actions::ACTIONS,
    loops: loops::LOOPS,
    tables: tables::declare,
    invariants: invariants::INVARIANTS,
};
