//! The rows, one file a table.

pub mod activation;
pub mod managed_instance;
