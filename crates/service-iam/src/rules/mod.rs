//! Rules: what names, lists, tags and policies must be, and AWS's words where they are not.

pub mod builtin;
pub mod certificates;
pub mod entities;
pub mod keys;
pub mod linked_roles;
pub mod lists;
pub mod mfa;
pub mod names;
pub mod passwords;
pub mod policies;
pub mod providers;
pub mod qr_code;
pub mod simulation;
pub mod ssh_keys;
pub mod tagged;
pub mod tags;
