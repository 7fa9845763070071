//! Managed policies on users, groups and roles: the three differ in their names only.

pub mod attach;
pub mod detach;
pub mod list;
