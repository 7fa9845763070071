//! Roles.

pub mod boundary;
pub mod create;
pub mod delete;
pub mod get;
pub mod linked;
pub mod list;
pub mod update;
