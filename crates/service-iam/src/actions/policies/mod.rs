//! Customer managed policies and their versions; AWS's own, to read.

pub mod create;
pub mod delete;
pub mod entities_for;
pub mod get;
pub mod list;
pub mod versions;
