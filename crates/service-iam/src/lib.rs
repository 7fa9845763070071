//! IAM: accounts, users, groups, roles, policies, access keys, and the identity of every caller.
//! Lists only.

mod actions;
mod decide;
pub mod hosts;
mod identity;
mod invariants;
pub mod operator;
pub mod ops;
pub mod reports;
mod rows;
mod rules;
mod session;
mod tables;
mod views;

use core_step::Slice;

pub use identity::IamIdentity;

pub static SLICE: Slice = Slice {
    service: &model_iam::SERVICE,
    actions: actions::ACTIONS,
    loops: &[],
    tables: tables::declare,
    invariants: invariants::INVARIANTS,
};
