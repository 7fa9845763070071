//! The house rules that a machine can check: who may import whom, file sizes, what pure crates must
//! not touch, what must not be in the tree at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Lines a hand-written file may have. 500 is the aim, 700 is refused.
const LONGEST_FILE: usize = 700;

/// A crate family by its name's prefix, and the families it may import. `=` names itself.
const FAMILIES: &[(&str, &[&str])] = &[
    ("aws-", &["aws-"]),
    ("model-", &["aws-"]),
    ("core-", &["aws-", "core-"]),
    ("service-", &["aws-", "core-", "model-", "service-"]),
    ("plane-", &["aws-", "core-", "plane-"]),
    ("host-", &["aws-", "core-", "host-", "model-"]),
    ("data-", &["aws-", "core-", "data-"]),
    ("sim", &["aws-", "core-", "service-", "model-"]),
    (
        "wharf",
        &["aws-", "core-", "service-", "model-", "plane-", "host-", "data-", "console", "sim"],
    ),
    ("bench", &["aws-", "core-", "service-", "model-", "plane-", "host-", "data-"]),
    ("fuzz", &["aws-", "core-", "service-", "model-", "plane-"]),
    ("pathrs", &[]),
    ("xtask", &[]),
];

/// The slices' declared order: a slice imports only slices that stand before it.
const SLICES: &[&str] =
    &["service-iam", "service-sts", "service-logs", "service-ec2", "service-ssm", "service-ecs"];

/// These own tiny problem types and know nothing but `core-types`.
const SMALL_CORES: &[&str] =
    &["core-placement", "core-rollout", "core-task", "core-routing", "core-policy"];

const PURE: &[&str] = &["aws-", "core-", "service-", "model-"];

/// What would let time, randomness, the world or hash order into a pure crate.
const IMPURE_WORDS: &[&str] = &[
    "SystemTime",
    "Instant::now",
    "Timestamp::now(",
    "Zoned::now",
    "thread::sleep",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process",
    "std::env",
    "tokio",
    "getrandom",
    "rand::rng",
    "Uuid::new_v4",
    "OsRng",
];

/// Files of pure crates that look things up in a hash map, and never walk through one.
const HASH_LOOKUPS: &[&str] =
    &["core-state/src/state.rs", "core-step/src/registry.rs", "aws-sigv4/src/keys.rs"];

/// Left-overs that are never committed.
const LEFT_OVERS: &[&str] = &["todo!(", "unimplemented!(", "#[ignore", "FIXME", "XXX"];

const BANNED_CRATES: &[&str] =
    &["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "reqwest", "imbl", "im"];

pub fn run(root: &Path) -> Result<()> {
    let mut wrong = Vec::new();
    check_imports(root, &mut wrong)?;
    check_sources(root, &mut wrong)?;
    check_lock(root, &mut wrong)?;
    if wrong.is_empty() {
        println!("tidy: the house is in order");
        return Ok(());
    }
    wrong.iter().for_each(|line| eprintln!("tidy: {line}"));
    bail!("{} rules are broken (STYLE.md, ARCHITECTURE.md)", wrong.len());
}

fn family(name: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    FAMILIES.iter().find(|(prefix, _)| name.starts_with(prefix))
}

fn check_imports(root: &Path, wrong: &mut Vec<String>) -> Result<()> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version=1"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let packages = metadata["packages"].as_array().context("cargo metadata has packages")?;
    let names: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = family(name) else {
            wrong.push(format!("{name}: belongs to no family of crates"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            if dependency["kind"] == "dev" || !names.contains(&on) || dependency["path"].is_null() {
                continue;
            }
            if !allowed.iter().any(|prefix| on.starts_with(prefix)) {
                wrong.push(format!("{name} must not import {on}"));
            }
            if SMALL_CORES.contains(&name) && on != "core-types" {
                wrong.push(format!("{name} knows only core-types, not {on}"));
            }
            let place = |slice: &str| SLICES.iter().position(|s| *s == slice);
            if on.starts_with("service-")
                && name.starts_with("service-")
                && place(on) >= place(name)
            {
                wrong.push(format!("{name} stands before {on} in the slices' order (xtask tidy)"));
            }
        }
    }
    Ok(())
}

/// Every file under version control or about to be.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root)
        .output()
        .context("git ls-files")?;
    let names = String::from_utf8(output.stdout).context("file names are text")?;
    Ok(names.split('\0').filter(|n| !n.is_empty()).map(PathBuf::from).collect())
}

fn check_sources(root: &Path, wrong: &mut Vec<String>) -> Result<()> {
    let mut per_crate: BTreeMap<String, usize> = BTreeMap::new();
    for file in files(root)? {
        let name = file.to_string_lossy().into_owned();
        let generated = name.starts_with("models/");
        if !name.ends_with(".rs") || name.starts_with("xtask/src/tidy") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(root.join(&file)) else { continue };
        let lines = text.lines().count();
        if let Some(krate) = name.split('/').nth(1) {
            *per_crate.entry(krate.to_owned()).or_default() += lines;
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{name}: opens without `//!` words on what it is"));
        }
        if generated {
            continue;
        }
        if lines > LONGEST_FILE {
            wrong.push(format!("{name}: {lines} lines, the limit is {LONGEST_FILE}"));
        }
        check_words(&name, &text, wrong);
    }
    for (krate, lines) in per_crate.iter().filter(|(_, lines)| **lines < 20) {
        wrong.push(format!("{krate}: a crate of {lines} lines; an empty crate is worse than none"));
    }
    Ok(())
}

fn check_words(name: &str, text: &str, wrong: &mut Vec<String>) {
    let krate = name.split('/').nth(1).unwrap_or_default();
    let in_src = name.contains("/src/");
    let pure = in_src && PURE.iter().any(|prefix| krate.starts_with(prefix));
    let is_test = name.contains("/tests/");
    // Unit tests stand at the end of a file; what they use says nothing of the crate.
    let code = text.split("#[cfg(test)]").next().unwrap_or(text);
    for (nth, line) in code.lines().enumerate() {
        let line = line.split("//").next().unwrap_or(line);
        let at = format!("{name}:{}", nth + 1);
        if let Some(word) = LEFT_OVERS.iter().find(|word| line.contains(**word)) {
            wrong.push(format!("{at}: {word} is never committed"));
        }
        if is_test && line.contains("sleep(") && !line.contains("sleep(BETWEEN_LOOKS)") {
            wrong.push(format!(
                "{at}: a test waits for a condition; in a loop that looks for one: \
                 sleep(BETWEEN_LOOKS)"
            ));
        }
        if !pure {
            continue;
        }
        if let Some(word) = IMPURE_WORDS.iter().find(|word| line.contains(**word)) {
            wrong.push(format!("{at}: {word} in a pure crate; make it an argument"));
        }
        let hashed = line.contains("HashMap") || line.contains("HashSet");
        if hashed && !HASH_LOOKUPS.iter().any(|file| name.ends_with(file)) {
            wrong.push(format!("{at}: a hash map in a pure crate; its order differs each run"));
        }
    }
}

fn check_lock(root: &Path, wrong: &mut Vec<String>) -> Result<()> {
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).context("Cargo.lock")?;
    for name in BANNED_CRATES {
        if lock.contains(&format!("name = \"{name}\"\n")) {
            wrong.push(format!("Cargo.lock: {name} is banned (deny.toml says why)"));
        }
    }
    Ok(())
}
