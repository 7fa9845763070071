//! `wharf check` and `wharf replay`, beside a running server and after it.

use serde_json::Value;

use crate::world::{Home, run, text};

#[test]
fn invariants_are_checked_live_and_on_the_journal() {
    let home = Home::new();
    let server = home.server(&[]);
    assert_eq!(server.client().create("c").status, 200);
    let dir = home.dir();
    let check = || run(&["check", "--json", "--data-dir", dir.to_str().unwrap()]);
    let live: Value = serde_json::from_slice(&check().stdout).unwrap();
    let dir_flag = dir.to_str().unwrap();
    let beside = run(&["check", "--json", "--offline", "--data-dir", dir_flag]);
    assert_eq!(serde_json::from_slice::<Value>(&beside.stdout).unwrap(), live);
    server.kill();
    let dead: Value = serde_json::from_slice(&check().stdout).unwrap();
    assert_eq!(live, dead);
    assert_eq!(live["violations"], Value::Array(Vec::new()));
    assert!(live["revision"].as_u64().unwrap() >= 2);
}

#[test]
fn a_check_of_nothing_fails() {
    let home = Home::new();
    let told = run(&["check", "--data-dir", home.dir().to_str().unwrap()]);
    assert_eq!(told.status.code(), Some(1));
    assert!(text(&told.stderr).contains("there is no journal in"));
}

#[test]
fn a_journals_history_is_told_change_by_change() {
    let home = Home::new();
    let server = home.server(&[]);
    let client = server.client();
    assert_eq!(client.create("one").status, 200);
    assert_eq!(client.create("two").status, 200);
    let dir = home.dir();
    let replay = |more: &[&str]| {
        let out = run(&[&["replay", dir.to_str().unwrap(), "--json"], more].concat());
        assert!(out.status.success(), "{}", text(&out.stderr));
        let lines = text(&out.stdout);
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let clusters = replay(&["--table", "ecs-clusters"]);
    let keys: Vec<&Value> = clusters.iter().map(|change| &change["key"][1]).collect();
    assert_eq!(keys, ["one", "two"]);
    assert!(clusters.iter().all(|change| change["op"] == "put"));
    let (first, second) = (&clusters[0]["revision"], &clusters[1]["revision"]);
    assert!(first.as_u64() < second.as_u64());
    assert!(clusters[0]["time"].as_str() <= clusters[1]["time"].as_str());
    let first = first.to_string();
    let until = replay(&["--until", &first]);
    assert!(until.iter().all(|change| change["revision"].as_u64() <= first.parse().ok()));
    assert_eq!(replay(&["--from", &first, "--until", &first]).len(), 1);

    let key = std::fs::read_to_string(dir.join("root-key.json")).unwrap();
    let key: Value = serde_json::from_str(&key).unwrap();
    let secret = key["secretAccessKey"].as_str().unwrap();
    let shown = |more: &[&str]| {
        text(&run(&[&["replay", "--data-dir", dir.to_str().unwrap()], more].concat()).stdout)
    };
    assert!(!shown(&[]).contains(secret));
    assert!(shown(&["--secrets"]).contains(secret));
    drop(server);
}

#[test]
fn whoever_reads_a_history_may_stop_reading() {
    let home = Home::new();
    let server = home.server(&[]);
    let client = server.client();
    (0..50).for_each(|n| assert_eq!(client.create(&format!("c{n}")).status, 200));
    let script =
        format!("{} replay {} | head -n 1", env!("CARGO_BIN_EXE_wharf"), home.dir().display());
    let out = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(text(&out.stderr), "");
    assert_eq!(text(&out.stdout).lines().count(), 1);
}
