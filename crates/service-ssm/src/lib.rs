//! Systems Manager, as far as machines elsewhere become hosts through it (ECS Anywhere): activations,
//! and the machines that used one. Lists only.

mod actions;
mod invariants;
pub mod ops;
mod rows;
mod rules;
mod tables;
mod views;

use core_step::Slice;

pub static SLICE: Slice = Slice {
    service: &model_ssm::SERVICE,
    actions: actions::ACTIONS,
    loops: &[],
    tables: tables::declare,
    invariants: invariants::INVARIANTS,
};
