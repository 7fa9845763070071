//! Rows: what the slice remembers, one file a table.

pub mod cluster;
pub mod task;
