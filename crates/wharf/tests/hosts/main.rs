//! Hosts on this machine, for real: agents in namespaces, containers of them, and what becomes of both
//! when agents and servers die. Needs root; says so where there is none.

#![allow(clippy::unwrap_used)]

mod agents;
mod anywhere;
mod cleaning;
#[path = "../../../host-runtime/tests/suite/daemon.rs"]
mod daemon;
mod demo;
mod disk;
mod docker;
mod exec;
mod fields;
mod followers;
mod inside;
mod joining;
mod life;
mod lost;
mod metadata;
mod operators;
mod outside;
mod protocol;
mod rollouts;
mod tls;
mod world;
