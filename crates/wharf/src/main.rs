//! The binary: the command line. Everything it can do is one file in `commands`; which services it
//! offers stands in `slices.rs`.

mod commands;
mod data_dir;
mod endpoint;
mod logs;
mod process;
mod root_key;
mod server;
mod slices;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run()
}
