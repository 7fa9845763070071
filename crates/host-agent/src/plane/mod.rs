//! Talking to the control plane: calls of the ECS API, and the two sockets.

pub mod api;
pub mod cloud;
pub mod connect;
pub mod credentials;
pub mod http;
pub mod identity;
pub mod managed;
pub mod metadata;
pub mod socket;
