//! `cargo xtask sim`: the simulation in release, with whatever it takes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

#[derive(clap::Args)]
pub struct Arguments {
    /// What `sim` itself takes: `--seeds N`, `--from S`, `--trace`; `--help` lists it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let words = ["run", "--release", "-q", "-p", "sim", "--"];
    let words = words.into_iter().chain(arguments.rest.iter().map(String::as_str));
    let mut cargo = Command::new("cargo");
    let status = cargo.args(words).current_dir(root).status().context("start cargo")?;
    if status.success() { Ok(()) } else { bail!("the simulation ended with {status}") }
}
