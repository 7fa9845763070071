//! Embedded policies of users, groups and roles: the three differ in their names only.

pub mod delete;
pub mod get;
pub mod list;
pub mod put;
