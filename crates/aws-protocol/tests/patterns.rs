//! Every regular expression of every service that we name either compiles, or is listed with the
//! reason why it is not checked.

mod botocore;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use aws_protocol::pattern;
use botocore::environment;

/// Patterns by service, out of botocore's models.
fn patterns() -> BTreeMap<String, BTreeSet<String>> {
    let script = "
import json, sys, botocore.loaders as l
out = {}
for name in sys.argv[1:]:
    shapes = l.Loader().load_service_model(name, 'service-2')['shapes']
    out[name] = sorted({s['pattern'] for s in shapes.values() if 'pattern' in s})
json.dump(out, sys.stdout)";
    let output = Command::new(environment::python())
        .args(["-c", script])
        .args(botocore::SERVICES)
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("patterns are JSON")
}

#[test]
fn patterns_compile_or_are_listed() {
    let listed: BTreeSet<&str> = include_str!("patterns.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
        .collect();
    let mut unchecked = BTreeSet::new();
    let mut count = 0;
    let mut slowest = (Duration::ZERO, String::new());
    for text in patterns().into_values().flatten().collect::<BTreeSet<_>>() {
        count += 1;
        let start = Instant::now();
        if pattern::translate(&text).is_none() {
            unchecked.insert(text.clone());
        }
        slowest = slowest.max((start.elapsed(), text));
    }
    println!("{count} patterns, {} unchecked, slowest {slowest:?}", unchecked.len());
    let unchecked: BTreeSet<&str> = unchecked.iter().map(String::as_str).collect();
    let missing: Vec<_> = unchecked.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&unchecked).collect();
    assert!(missing.is_empty(), "not listed: {missing:#?}");
    assert!(stale.is_empty(), "these compile: {stale:#?}");
    assert!(count > 300, "only {count} patterns were found");
}
