//! What the tests need of the machine beyond Rust. Installed where that is possible (root, apt),
//! named in one line where it is not.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program, the Debian package that has it, and what it is for.
const NEEDED: &[(&[&str], &str, &str)] = &[
    (&["python3", "-m", "ensurepip", "--version"], "python3-venv", "the stock AWS clients"),
    (&["etcd", "--version"], "etcd-server", "the journal on etcd"),
    (&["faketime", "--version"], "faketime", "clock jumps"),
    (&["/usr/bin/aws", "--version"], "awscli", "Debian's aws v2"),
];

pub fn ensure() -> Result<()> {
    let missing: Vec<_> = NEEDED.iter().filter(|(probe, ..)| !runs(probe)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package, _)| *package).collect();
    if runs(&["apt-get", "--version"]) && is_root() {
        println!("── installing {}", packages.join(" "));
        apt(&["update", "-qq"])?;
        let mut words = vec!["install", "-y", "-qq", "--no-install-recommends"];
        words.extend(&packages);
        return apt(&words);
    }
    let list: Vec<String> =
        missing.iter().map(|(_, package, why)| format!("{package} (for {why})")).collect();
    bail!("missing on this machine: {}", list.join(", "));
}

fn runs(probe: &[&str]) -> bool {
    let status = Command::new(probe[0])
        .args(&probe[1..])
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

fn apt(words: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Services that packages would start are started by the tests themselves.
        .env("RUNLEVEL", "1")
        .stdout(Stdio::null())
        .status()
        .context("start apt-get")?;
    if status.success() { Ok(()) } else { bail!("apt-get {} ended with {status}", words.join(" ")) }
}
