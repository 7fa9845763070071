//! Rules: what AWS accepts, its defaults and limits.

pub mod events;
pub mod groups;
pub mod pattern;
pub mod permissions;
pub mod tags;
