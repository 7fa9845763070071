//! Server certificates, and signing certificates of users.

pub mod server;
pub mod signing;
