//! Access keys.

pub mod create;
pub mod delete;
pub mod last_used;
pub mod list;
pub mod update;
