//! Every regular expression of every service that we name either compiles, or is listed with the
//! reason why it is not checked; and what compiles agrees with Python's `re` on thousands of texts.
#![allow(clippy::unwrap_used)]

mod botocore;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use aws_protocol::pattern;
use botocore::environment;
use serde_json::Value;

#[test]
fn patterns_compile_or_are_listed_and_mean_the_same() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/patterns.py");
    let output = Command::new(environment::python()).arg(script).args(botocore::SERVICES).output();
    let output = output.expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("the answer is JSON");

    let listed = include_str!("patterns.txt").lines();
    let listed: BTreeSet<&str> =
        listed.filter(|line| !line.is_empty() && !line.starts_with("# ")).collect();
    let mut compiled = BTreeMap::new();
    let mut unchecked = BTreeSet::new();
    for text in found["patterns"].as_array().unwrap() {
        let text = text.as_str().unwrap();
        match pattern::translate(text) {
            Some(regex) => drop(compiled.insert(text, regex)),
            None => drop(unchecked.insert(text)),
        }
    }
    let missing: Vec<_> = unchecked.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&unchecked).collect();
    assert!(missing.is_empty(), "not listed: {missing:#?}");
    assert!(stale.is_empty(), "these compile: {stale:#?}");
    assert!(compiled.len() > 200, "only {} patterns were found", compiled.len());

    let samples = found["samples"].as_array().unwrap();
    assert!(samples.len() > 5000, "only {} texts were made", samples.len());
    for sample in samples {
        let (text, candidate) = (sample[0].as_str().unwrap(), sample[1].as_str().unwrap());
        if let Some(regex) = compiled.get(text) {
            let verdict = regex.is_match(candidate);
            assert_eq!(Some(verdict), sample[2].as_bool(), "{text} on {candidate:?}");
        }
    }
}
