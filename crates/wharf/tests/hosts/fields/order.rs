//! Containers of one task among each other: who waits for whom, health, restarts, namespaces.

use serde_json::{Value, json};

use super::{container, part, run};
use crate::world::{Machine, merge, wait_for};

const FOR_EVER: &str = "trap 'exit 0' TERM; while true; do sleep 0.1; done";

fn after(on: &str, condition: &str, more: Value) -> Value {
    let mut whole = json!({ "dependsOn": [{ "containerName": on, "condition": condition }] });
    merge(&mut whole, more);
    whole
}

fn shares(more: Value) -> Value {
    let mut whole = json!({ "essential": false, "mountPoints": [
        { "sourceVolume": "v", "containerPath": "/v" },
    ] });
    merge(&mut whole, more);
    whole
}

fn a_volume() -> Value {
    json!({ "volumes": [{ "name": "v" }] })
}

pub fn containers_wait_for_each_other(machine: &Machine) {
    let check = json!({ "command": ["CMD-SHELL", "[ -e /tmp/up ]"], "interval": 5, "timeout": 2,
        "retries": 10, "startPeriod": 1 });
    let healthy = format!("sleep 1; echo healthy >> /v/log; echo > /tmp/up; {FOR_EVER}");
    let containers = json!([
        container(
            "app",
            "echo app >> /v/log; cat /v/log",
            after(
                "slow",
                "HEALTHY",
                shares(json!({
                    "essential": true,
                }))
            )
        ),
        container(
            "slow",
            &healthy,
            after(
                "fails",
                "COMPLETE",
                shares(json!({
                    "healthCheck": check,
                }))
            )
        ),
        container(
            "fails",
            "echo complete >> /v/log; exit 9",
            after("works", "SUCCESS", shares(json!({})))
        ),
        container("works", "echo success >> /v/log", after("runs", "START", shares(json!({})))),
        container("runs", &format!("echo start >> /v/log; {FOR_EVER}"), shares(json!({}))),
    ]);
    let arn = run(machine, "order", containers, a_volume());
    let task = machine.wait(&arn, "STOPPED");
    let output = machine.output(&arn, "app");
    let mut lines: Vec<&str> = output.lines().collect();
    // START says that a container was started, not that its program has come far.
    lines.retain(|line| *line != "start");
    assert_eq!(lines, ["success", "complete", "healthy", "app"], "{task:#}");
    assert_eq!(part(&task, "fails")["exitCode"], 9);
    assert_eq!(part(&task, "runs")["exitCode"], 0, "it was asked to stop, and obeyed");
}

pub fn waiting_in_vain_has_an_end(machine: &Machine) {
    let cases = [
        (
            "never-well",
            container("init", "exit 3", json!({ "essential": false })),
            "SUCCESS",
            "CannotStartContainerError: dependency graph: failed to resolve container ordering \
             dependency [init] for target [app] as dependency did not exit successfully.",
        ),
        (
            "too-slow",
            container("init", FOR_EVER, json!({ "essential": false, "startTimeout": 2 })),
            "COMPLETE",
            "CannotStartContainerError: dependency graph: container ordering dependency [init] \
             for target [app] has timed out.",
        ),
    ];
    for (family, init, condition, expected) in cases {
        let app = container("app", "echo no", after("init", condition, json!({})));
        let arn = run(machine, family, json!([init, app]), json!({}));
        let task = machine.wait(&arn, "STOPPED");
        assert_eq!(part(&task, "app")["reason"], expected, "{task:#}");
        assert_eq!(task["stoppedReason"], "Essential container in task exited");
        assert_eq!(machine.output(&arn, "app"), "");
    }
}

pub fn the_last_to_start_is_the_first_to_stop(machine: &Machine) {
    let script = |name: &str| {
        format!(
            "trap 'sleep 0.3; echo {name} >> /v/log; exit 0' TERM; echo ready; \
                 while true; do sleep 0.1; done"
        )
    };
    let folder = machine.folder("stop-order");
    let containers = json!([
        container("first", &script("first"), shares(json!({}))),
        container("second", &script("second"), after("first", "START", shares(json!({})))),
        container(
            "app",
            &script("app"),
            after(
                "second",
                "START",
                shares(json!({
                    "essential": true,
                }))
            )
        ),
    ]);
    let volume = json!({ "volumes": [{ "name": "v", "host": { "sourcePath": &folder } }] });
    let arn = run(machine, "stop-order", containers, volume);
    machine.wait(&arn, "RUNNING");
    // A signal that comes before the trap is set finds nobody.
    for name in ["first", "second", "app"] {
        machine.says(&arn, name, "ready");
    }
    machine.call("StopTask", json!({ "task": arn }));
    machine.wait(&arn, "STOPPED");
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    assert_eq!(log, "app\nsecond\nfirst\n");
}

pub fn health_is_told(machine: &Machine) {
    let check = |command: Value| {
        json!({ "healthCheck":
            { "command": command, "interval": 5, "timeout": 2, "retries": 1 } })
    };
    let script = format!("echo > /tmp/up; {FOR_EVER}");
    let containers = json!([
        container("app", &script, check(json!(["CMD-SHELL", "[ -e /tmp/up ]"]))),
        container("other", FOR_EVER, json!({})),
    ]);
    let arn = run(machine, "well", containers, json!({}));
    let sick = container("app", FOR_EVER, check(json!(["CMD", "cat", "/no/such/file"])));
    let sick = run(machine, "sick", json!([sick]), json!({}));
    assert_eq!(machine.wait(&arn, "RUNNING")["healthStatus"], "UNKNOWN");
    let task = wait_for("it is healthy", || {
        let task = machine.task(&arn);
        (task["healthStatus"] == "HEALTHY").then_some(task)
    });
    assert_eq!(part(&task, "app")["healthStatus"], "HEALTHY");
    assert_eq!(part(&task, "other")["healthStatus"], "UNKNOWN");

    let task = wait_for("it is unhealthy", || {
        let task = machine.task(&sick);
        (task["healthStatus"] == "UNHEALTHY").then_some(task)
    });
    assert_eq!(part(&task, "app")["healthStatus"], "UNHEALTHY");
    // AWS: a task that no service looks after runs on.
    assert_eq!(task["lastStatus"], "RUNNING");
    for arn in [arn, sick] {
        machine.call("StopTask", json!({ "task": arn }));
    }
}

pub fn only_essential_containers_end_a_task(machine: &Machine) {
    let containers = json!([
        container("side", "exit 4", json!({ "essential": false })),
        container("app", "trap 'exit 6' TERM; while true; do sleep 0.1; done", json!({})),
    ]);
    let arn = run(machine, "essential", containers, json!({}));
    let task = wait_for("the other has ended", || {
        let task = machine.task(&arn);
        (part(&task, "side")["lastStatus"] == "STOPPED").then_some(task)
    });
    assert_eq!(part(&task, "side")["exitCode"], 4);
    assert_eq!(machine.wait(&arn, "RUNNING")["desiredStatus"], "RUNNING");
    machine.call("StopTask", json!({ "task": arn }));
    machine.wait(&arn, "STOPPED");
}

pub fn namespaces_are_the_tasks(machine: &Machine) {
    // The first has ended before the second begins: what they share is the task's.
    let containers = json!([
        container(
            "init",
            "echo x > /dev/shm/note; cat /proc/1/comm",
            json!({ "essential": false })
        ),
        container(
            "app",
            "cat /dev/shm/note; cat /proc/1/comm; echo self $$",
            after("init", "SUCCESS", json!({}))
        ),
    ]);
    let shared = json!({ "pidMode": "task", "ipcMode": "task" });
    let arn = run(machine, "shared-namespaces", containers, shared);
    let task = machine.wait(&arn, "STOPPED");
    let output = machine.output(&arn, "app");
    assert!(output.starts_with("x\npause\nself "), "{output} {task:#}");
    assert_eq!(machine.output(&arn, "init"), "pause\n");
    assert!(!output.contains("self 1\n"), "{output}");

    let script = "readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc";
    let host = json!({ "pidMode": "host", "ipcMode": "host" });
    let arn = run(machine, "host-namespaces", json!([container("app", script, json!({}))]), host);
    machine.wait(&arn, "STOPPED");
    let ours = ["pid", "ipc"].map(|name| {
        format!("{}\n", std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display())
    });
    assert_eq!(machine.output(&arn, "app"), ours.concat());

    // Docker: `none` is an IPC namespace of its own without /dev/shm.
    let own = json!({ "ipcMode": "none" });
    let script = format!("{script}; test -e /dev/shm || echo no shm");
    let arn = run(machine, "own-namespaces", json!([container("app", &script, json!({}))]), own);
    machine.wait(&arn, "STOPPED");
    let output = machine.output(&arn, "app");
    assert!(!output.contains(&ours[0]) && !output.contains(&ours[1]), "{output}");
    assert!(output.ends_with("no shm\n"), "{output}");
}

/// Where it does begin again is seen in `protocol.rs`: the shortest attempt period is a minute.
pub fn who_ends_too_early_stays_ended(machine: &Machine) {
    let policy = json!({ "restartPolicy": { "enabled": true, "restartAttemptPeriod": 60 } });
    let early = run(machine, "early", json!([container("app", "exit 3", policy)]), json!({}));
    let task = machine.wait(&early, "STOPPED");
    assert_eq!(part(&task, "app")["exitCode"], 3, "it did not run for the period: {task:#}");
}
