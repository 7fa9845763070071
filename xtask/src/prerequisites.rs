//! What the tests need of the machine beyond Rust. Installed where that is possible (root, apt),
//! named in one line where it is not.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program, the Debian package that has it, and what it is for.
struct Need {
    probe: &'static [&'static str],
    package: &'static str,
    why: &'static str,
}

const NEEDED: &[Need] = &[
    Need {
        probe: &["python3", "-m", "ensurepip", "--version"],
        package: "python3-venv",
        why: "the stock AWS clients",
    },
    Need { probe: &["etcd", "--version"], package: "etcd-server", why: "the journal on etcd" },
    Need { probe: &["faketime", "--version"], package: "faketime", why: "clock jumps" },
    Need { probe: &["runc", "--version"], package: "runc", why: "the runc runtime" },
    Need { probe: &["dockerd", "--version"], package: "docker.io", why: "the Docker runtime" },
    Need { probe: &["busybox", "true"], package: "busybox-static", why: "containers' image" },
    Need { probe: &["/usr/bin/aws", "--version"], package: "awscli", why: "Debian's aws v2" },
];

/// Make sure that all is there; installs what is missing if this process may.
pub fn ensure() -> Result<()> {
    let lacking = missing();
    if lacking.is_empty() {
        return Ok(());
    }
    if !runs(&["apt-get", "--version"]) || !is_root() {
        bail!("missing on this machine: {}", list(&lacking));
    }
    let packages: Vec<&str> = lacking.iter().map(|need| need.package).collect();
    println!("── installing {}", packages.join(" "));
    let troubles = install(&packages);
    let lacking = missing();
    if lacking.is_empty() {
        return Ok(());
    }
    if let Err(troubles) = troubles {
        bail!("missing on this machine: {}: {troubles}", list(&lacking));
    }
    // Installed, and still not found: another program of that name stands before it in the path.
    bail!("installed, but not to be started on this machine: {}", list(&lacking))
}

fn missing() -> Vec<&'static Need> {
    NEEDED.iter().filter(|need| !runs(need.probe)).collect()
}

fn list(needs: &[&Need]) -> String {
    let words: Vec<_> = needs.iter().map(|n| format!("{} (for {})", n.package, n.why)).collect();
    words.join(", ")
}

/// The lists of packages may be missing, as in most images, or name versions that the mirror no
/// longer has: they are fetched when installing fails by them.
fn install(packages: &[&str]) -> Result<()> {
    if apt_install(packages).is_ok() {
        return Ok(());
    }
    let updated = apt(&["update"]);
    if apt_install(packages).is_ok() {
        return Ok(());
    }
    // One package that this system does not have shall not keep the others away.
    let mut lost: Vec<_> = updated.err().map(|error| error.to_string()).into_iter().collect();
    for package in packages {
        if let Err(error) = apt_install(&[*package]) {
            lost.push(error.to_string());
        }
    }
    if lost.is_empty() { Ok(()) } else { bail!("{}", lost.join("; ")) }
}

fn apt_install(packages: &[&str]) -> Result<()> {
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}

fn runs(probe: &[&str]) -> bool {
    let status = Command::new(probe[0])
        .args(&probe[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env_remove("AWS_CA_BUNDLE")
        .status();
    status.is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Quiet; an error carries the last thing that apt complained about.
fn apt(words: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        // Another apt may be at work (unattended upgrades on a fresh machine): wait for its lock.
        .args(["-qq", "-o", "DPkg::Lock::Timeout=120"])
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        // No service is started by its package: the tests start their own.
        .env("RUNLEVEL", "1")
        .stdin(Stdio::null())
        .output()
        .context("start apt-get")?;
    if output.status.success() {
        return Ok(());
    }
    let complaints = String::from_utf8_lossy(&output.stderr);
    let line = complaints.lines().rev().find(|line| line.starts_with("E:")).unwrap_or("no reason");
    bail!("apt-get {}: {line}", words.join(" "))
}
