//! Rules of the slice.

pub mod activations;
pub mod roles;
pub mod secrets;
