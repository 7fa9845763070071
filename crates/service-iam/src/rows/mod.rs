//! Rows: what the slice remembers, one file a table. IAM is global: no key has a region.

pub mod access_key;
pub mod account;
pub mod certificate;
pub mod document;
pub mod entity;
pub mod group;
pub mod instance_profile;
pub mod last_use;
pub mod mfa_device;
pub mod policy;
pub mod provider;
pub mod role;
pub mod seal;
pub mod ssh_key;
pub mod user;
