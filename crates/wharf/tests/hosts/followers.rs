//! An agent that dials a server that only follows: its calls and its socket are passed on to the leader,
//! and when the leader is gone it is served where it is.

use serde_json::{Value, json};

use crate::world::{Elsewhere, Machine, etcd, is_root, output_of, wait_for, wharf};

#[test]
fn an_agent_of_a_follower_is_served_and_outlives_the_leader() {
    if !is_root() {
        return eprintln!("skipped: hosts need root");
    }
    let Some(etcd) = etcd() else { return };
    let mut elsewhere = Elsewhere::new();
    let listen = format!("127.0.0.1:0,{}:0", elsewhere.here);
    let url = etcd.url();
    let state = ["--state", &url, "--leader-timeout", "2"];
    let server = |listen: &str| Machine::server(&[&["--listen", listen], &state[..]].concat());
    let Some(mut leader) = server("127.0.0.1:0") else { return };
    let Some(follower) = server(&listen) else { return };
    leader.call("CreateCluster", json!({ "clusterName": "default" }));
    let key = std::fs::read(follower.dir().join("root-key.json")).unwrap();
    let key: Value = serde_json::from_slice(&key).unwrap();
    let keys = [
        ("AWS_ACCESS_KEY_ID", key["accessKeyId"].as_str().unwrap()),
        ("AWS_SECRET_ACCESS_KEY", key["secretAccessKey"].as_str().unwrap()),
    ];
    let dir = elsewhere.dir();
    let endpoint = follower.url(1);
    let words = ["--endpoint", &endpoint, "--data-dir", dir.to_str().unwrap()];
    elsewhere.agent("ECS_CLUSTER=default\n", &words, &keys);
    let connected = |machine: &Machine| {
        wait_for("the agent is connected", || machine.instances(true).pop());
    };
    connected(&leader);
    connected(&follower);
    let command = "trap 'exit 3' TERM; echo ready; while true; do sleep 0.1; done";
    leader.define("stay", json!({ "command": ["sh", "-c", command] }), json!({}));
    let stay = json!({ "taskDefinition": "stay", "enableExecuteCommand": true });
    let arn = leader.call("RunTask", stay)["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    let before = follower.wait(&arn, "RUNNING");
    wait_for("it obeys signals", || output_of(&dir, &arn, "app").contains("ready").then_some(()));

    // ExecuteCommand goes to the leader, and so do both sides of the session, wherever they dial.
    for machine in [&leader, &follower] {
        let dir = machine.dir();
        let words = ["exec", "--data-dir", dir.to_str().unwrap(), &arn, "--", "echo", "here"];
        let done = wharf(&words).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&done.stdout), "here\n", "{done:?}");
    }

    leader.kill_server();
    wait_for("the follower leads", || {
        let answer = follower.client().call("CreateCluster", r#"{"clusterName":"after"}"#);
        (answer.status == 200).then_some(())
    });
    connected(&follower);
    let after = follower.wait(&arn, "RUNNING");
    assert_eq!(after["containers"][0]["runtimeId"], before["containers"][0]["runtimeId"]);
    follower.call("StopTask", json!({ "task": arn }));
    let task = follower.wait(&arn, "STOPPED");
    assert_eq!(task["containers"][0]["exitCode"], 3, "{task:#}");
}
