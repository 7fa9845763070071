//! IAM: accounts, users, groups, roles, policies, access keys, and the identity of every caller.
//! Lists only.

mod actions;
mod identity;
pub mod reports;
mod rows;
mod tables;

use core_step::Slice;

pub use identity::IamIdentity;

pub static SLICE: Slice = Slice {
    service: &model_iam::SERVICE,
    actions: actions::ACTIONS,
    loops: &[],
    tables: tables::declare,
    invariants: &[],
};
