//! Rows, one file a table.

pub mod host;
pub mod interface;
pub mod network;
