//! Server certificates, and what users upload: signing certificates and SSH public keys.

pub mod server;
pub mod signing;
pub mod ssh;
