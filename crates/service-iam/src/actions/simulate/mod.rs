//! The policy simulator: what would be decided, and why.

pub mod context_keys;
pub mod custom;
pub mod principal;
