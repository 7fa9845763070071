//! Rows: what the slice remembers, one file a table. IAM is global: no key has a region.

pub mod access_key;
pub mod account;
