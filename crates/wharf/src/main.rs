//! The binary: the command line. Everything it can do is one file in `commands`; which services it
//! offers stands in `slices.rs`.

mod client;
mod commands;
mod data;
mod data_dir;
mod demo;
mod endpoint;
mod events;
mod hooks;
mod hosts;
mod links;
mod local_ca;
mod logs;
mod operator;
mod process;
mod root_key;
mod runtime;
mod server;
mod settings;
mod slices;
mod small;
mod state;
mod supervisor;
mod tls;
mod uses;

use std::process::ExitCode;

/// A request is many small allocations that are freed on the same thread soon after; this allocator
/// serves them for about 7 % less CPU a request (docs/BENCHMARKS.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::run()
}
