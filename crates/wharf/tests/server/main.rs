//! The binary as an operator has it: real processes, real signals, real disks, a real etcd.

mod accounts;
mod clock;
mod command_line;
mod disk;
mod followers;
mod history;
mod http;
mod lifecycle;
mod tls;
mod world;
