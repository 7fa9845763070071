//! Rows: what the slice remembers, one file a table.

pub mod group;
pub mod stream;
