//! `docs/COVERAGE.md`: what the binary itself says that it offers.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

#[derive(clap::Args)]
pub struct Arguments {
    /// Fail where the page is stale instead of writing it.
    #[arg(long)]
    check: bool,
}

pub fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let output = Command::new("cargo")
        .args(["run", "--quiet", "--locked", "-p", "wharf", "--", "coverage"])
        .current_dir(root)
        .output()
        .context("start cargo")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "wharf coverage ended with {}: {error}", output.status);
    let path = root.join("docs/COVERAGE.md");
    if arguments.check {
        let there = std::fs::read(&path).unwrap_or_default();
        ensure!(there == output.stdout, "docs/COVERAGE.md is stale: run `cargo xtask coverage`");
        return Ok(());
    }
    std::fs::write(&path, output.stdout).with_context(|| format!("write {}", path.display()))
}
