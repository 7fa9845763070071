//! The binary as an operator has it: real processes, real signals, a real etcd. What it does when
//! machines, disks and clocks fail is in `faults`.

#![allow(clippy::unwrap_used)]

mod accounts;
mod command_line;
mod followers;
mod history;
mod http;
mod lifecycle;
mod stored;
mod tls;
mod world;
