//! The project's own Python environment, with the stock clients that the tests run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The interpreter of the environment; makes it where it is missing or older than its list.
pub fn interpreter(root: &Path) -> Result<PathBuf> {
    let folder = root.join("target/venv");
    let python = folder.join("bin/python");
    let list = root.join("tests/requirements.txt");
    let stamp = folder.join("installed.txt");
    let wanted = std::fs::read_to_string(&list).context("tests/requirements.txt")?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .context("making target/venv needs python3 with venv (Debian: python3-venv)")?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&list))?;
    std::fs::write(&stamp, wanted)?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
