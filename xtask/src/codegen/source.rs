//! Where the models come from: one pinned botocore wheel, installed below `target/`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

const VERSION: &str = "1.44.5";
const WHEEL_SHA256: &str = "8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921";

/// The installed package.
pub struct Source {
    data: PathBuf,
}

/// Installs the package unless it is there.
pub fn fetch(root: &Path) -> Result<Source> {
    let folder = root.join("target/codegen").join(format!("botocore-{VERSION}"));
    let done = folder.join("complete");
    let data = folder.join("site/botocore/data");
    if done.exists() {
        return Ok(Source { data });
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    run(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")))?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, format!("botocore=={VERSION} --hash=sha256:{WHEEL_SHA256}\n"))?;
    let pip = folder.join("venv/bin/pip");
    run(Command::new(pip)
        .args(["install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--require-hashes", "--only-binary", ":all:", "--target"])
        .arg(folder.join("site"))
        .arg("-r")
        .arg(&requirements))?;
    ensure!(data.is_dir(), "the botocore package has no data folder");
    fs::write(done, "")?;
    Ok(Source { data })
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}

/// The text as rustfmt leaves it, so that the tree's format check holds for generated files.
pub fn format(root: &Path, text: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root.join("rustfmt.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting rustfmt")?;
    child.stdin.take().context("rustfmt has an input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "rustfmt failed");
    Ok(String::from_utf8(output.stdout)?)
}

impl Source {
    /// One file of a service's newest API version.
    pub fn read(&self, service: &str, name: &str) -> Result<Value> {
        let folder = self.data.join(service);
        let versions = fs::read_dir(&folder).with_context(|| format!("no service {service}"))?;
        let mut versions: Vec<PathBuf> =
            versions.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
        versions.sort();
        let newest = versions.pop().with_context(|| format!("{service} has no version"))?;
        let plain = newest.join(name);
        if let Ok(bytes) = fs::read(&plain) {
            return Ok(serde_json::from_slice(&bytes)?);
        }
        let packed = newest.join(format!("{name}.gz"));
        let file = fs::File::open(&packed).with_context(|| format!("opening {packed:?}"))?;
        Ok(serde_json::from_reader(std::io::BufReader::new(flate2::read::GzDecoder::new(file)))?)
    }
}
