//! `wharf shim`: what an agent starts for each container. Hidden, since no person has a use for it.

use std::ffi::OsString;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    Ok(host_runtime::shim::main(arguments.words.into_iter()))
}
