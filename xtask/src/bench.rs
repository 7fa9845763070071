//! `cargo xtask bench`: the bench binary in release, with the binary it measures.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

#[derive(clap::Args)]
pub struct Arguments {
    /// What `bench` itself takes; `--help` lists it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    cargo(root, &["build", "--release", "-p", "wharf", "-p", "bench"])?;
    let mut words = vec!["run", "--release", "-q", "-p", "bench", "--"];
    words.extend(arguments.rest.iter().map(String::as_str));
    cargo(root, &words)
}

fn cargo(root: &Path, words: &[&str]) -> Result<()> {
    let status =
        Command::new("cargo").args(words).current_dir(root).status().context("start cargo")?;
    if status.success() { Ok(()) } else { bail!("cargo {} ended with {status}", words.join(" ")) }
}
