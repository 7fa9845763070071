//! Hosts on this machine, for real: agents in namespaces, containers of them, and what becomes of both
//! when agents and servers die. Needs root; says so where there is none.

#![allow(clippy::unwrap_used)]

mod agents;
mod exec;
mod fields;
mod inside;
mod life;
mod world;
