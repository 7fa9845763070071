//! The part of Amazon EC2 that goes with hosts: the default VPC, its subnets, interfaces and instances. Lists only.
//!
//! Nothing of it is made by a caller. The machine's range comes in as a report; every account sees it as its own default
//! VPC, under ids that follow from account and region.

mod actions;
mod invariants;
pub mod ops;
pub mod reports;
pub mod rows;
mod rules;
mod tables;
mod views;

use core_step::Slice;

pub static SLICE: Slice = Slice {
    service: &model_ec2::SERVICE,
    actions: actions::ACTIONS,
    loops: &[],
    tables: tables::declare,
    invariants: invariants::INVARIANTS,
};
