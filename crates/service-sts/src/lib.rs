//! STS: temporary credentials. Lists only.
//!
//! The slice has no rows: a session is a sealed token that its caller carries (`service-iam` makes
//! and opens them, as it owns the identities that they stand for).

mod actions;
mod rules;
mod views;

use core_step::Slice;

pub static SLICE: Slice = Slice {
    service: &model_sts::SERVICE,
    actions: actions::ACTIONS,
    loops: &[],
    tables: |_| {},
    invariants: &[],
};
