//! Agents and servers that die: containers go on, and are known again.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::json;

use crate::world::{Machine, kill, rounds, wait_for};

/// A task that writes its start and then waits.
fn sleepers(machine: &Machine, count: usize) -> Vec<String> {
    let command = "trap 'exit 0' TERM; echo begun; while true; do sleep 1; done";
    machine.define("sleeper", json!({ "command": ["sh", "-c", command] }), json!({}));
    let arns = machine.run("sleeper", count);
    for arn in &arns {
        machine.wait(arn, "RUNNING");
        machine.says(arn, "app", "begun");
    }
    arns
}

fn begun(machine: &Machine, arn: &str) -> usize {
    machine.output(arn, "app").matches("begun").count()
}

#[test]
fn containers_outlive_their_agent() {
    let Some(machine) = Machine::start() else { return };
    let arns = sleepers(&machine, 4);
    let agents = machine.agents();
    assert_eq!(agents.len(), 2, "{agents:?}");
    agents.iter().for_each(|agent| kill(*agent, Signal::KILL));
    wait_for("new agents", || {
        let now = machine.agents();
        (now.len() == 2 && now.iter().all(|agent| !agents.contains(agent))).then_some(())
    });
    wait_for("they are connected", || (machine.instances(true).len() == 2).then_some(()));
    assert_eq!(machine.instances(true).len() + machine.instances(false).len(), 2);
    for arn in &arns {
        assert_eq!(machine.task(arn)["lastStatus"], "RUNNING");
        assert_eq!(begun(&machine, arn), 1, "no container was started again");
        machine.call("StopTask", json!({ "task": arn }));
    }
    for arn in &arns {
        let task = machine.wait(arn, "STOPPED");
        assert_eq!(task["containers"][0]["exitCode"], 0, "{task:#}");
    }
}

#[test]
fn an_end_while_no_agent_was_there_is_told() {
    let Some(machine) = Machine::start() else { return };
    let file = machine.dir().join("end");
    let command = "while [ ! -e /share/end ]; do sleep 0.1; done; exit 9";
    let share = machine.dir();
    machine.define(
        "ends",
        json!({
            "command": ["sh", "-c", command],
            "mountPoints": [{ "sourceVolume": "share", "containerPath": "/share" }],
        }),
        json!({ "volumes": [{ "name": "share", "host": { "sourcePath": share } }] }),
    );
    let arn = machine.run("ends", 1).remove(0);
    machine.wait(&arn, "RUNNING");
    machine.agents().iter().for_each(|agent| kill(*agent, Signal::KILL));
    std::fs::write(file, "").unwrap();
    let task = machine.wait(&arn, "STOPPED");
    assert_eq!(task["containers"][0]["exitCode"], 9, "{task:#}");
}

#[test]
fn containers_outlive_their_server_and_are_taken_back() {
    let Some(mut machine) = Machine::start() else { return };
    let arns = sleepers(&machine, 3);
    let instances = |machine: &Machine| {
        let mut arns: Vec<String> =
            machine.instances(true).iter().map(|i| i["containerInstanceArn"].to_string()).collect();
        arns.sort();
        arns
    };
    let before = instances(&machine);
    machine.kill_server();
    machine.up();
    assert_eq!(instances(&machine), before, "the same hosts");
    for arn in &arns {
        assert_eq!(machine.wait(arn, "RUNNING")["lastStatus"], "RUNNING");
        assert_eq!(begun(&machine, arn), 1);
    }
    machine.terminate();
    machine.up();
    for arn in &arns {
        machine.wait(arn, "RUNNING");
        assert_eq!(begun(&machine, arn), 1);
        machine.call("StopTask", json!({ "task": arn }));
    }
    arns.iter().for_each(|arn| drop(machine.wait(arn, "STOPPED")));
}

/// Server and agents are killed by turns, again and again; each time some containers end while nobody
/// looks. No container ever begins again, and what has become of each is known in the end.
#[test]
fn no_kill_is_one_too_many() {
    const UNSEEN: usize = 2;
    let Some(mut machine) = Machine::start_with_room() else { return };
    let mut arns = sleepers(&machine, rounds(10, 200));
    for round in 0..rounds(4, 100) {
        let before = machine.first_processes();
        let ended: Vec<String> = arns.drain(..UNSEEN).collect();
        let end = |machine: &Machine| {
            ended.iter().for_each(|arn| kill(machine.first_processes()[arn].0, Signal::KILL));
        };
        if round % 2 == 0 {
            machine.kill_server();
            end(&machine);
            machine.up();
        } else {
            let agents = machine.agents();
            agents.iter().for_each(|agent| kill(*agent, Signal::KILL));
            end(&machine);
            wait_for("new agents are connected", || {
                let fresh = machine.agents().iter().all(|agent| !agents.contains(agent));
                (fresh && machine.instances(true).len() == 2).then_some(())
            });
        }
        for arn in &ended {
            let task = machine.wait(arn, "STOPPED");
            assert_eq!(task["containers"][0]["exitCode"], 137, "{task:#}");
        }
        let after = machine.first_processes();
        let of = |found: &BTreeMap<String, (i32, u64)>, arn: &String| found.get(arn).copied();
        for arn in &arns {
            let task = machine.task(arn);
            assert_eq!(task["lastStatus"], "RUNNING", "round {round}: {task:#}");
            assert!(of(&before, arn).is_some(), "round {round}: {arn} has no container");
            assert_eq!(of(&before, arn), of(&after, arn), "round {round}: another container");
        }
        // A host whose agent was slow to come back counts as away for a moment.
        wait_for("the hosts take tasks", || (machine.instances(true).len() == 2).then_some(()));
        let more = machine.run("sleeper", UNSEEN);
        more.iter().for_each(|arn| drop(machine.wait(arn, "RUNNING")));
        arns.extend(more);
    }
}

/// Volumes in memory are mounted on the host, whichever agent has mounted them.
#[test]
fn a_volume_in_memory_outlives_its_agent_and_goes_with_its_task() {
    let Some(machine) = Machine::start() else { return };
    let share = machine.folder("share");
    let memory = json!({ "scope": "task", "driver": "local", "driverOpts": { "type": "tmpfs" } });
    let volumes = json!([{ "name": "v", "dockerVolumeConfiguration": memory },
        { "name": "share", "host": { "sourcePath": share } }]);
    let points = json!([{ "sourceVolume": "v", "containerPath": "/v" },
        { "sourceVolume": "share", "containerPath": "/share" }]);
    let container = |name: &str, command: &str, after: &[(&str, &str)]| {
        let after = after.iter().map(|(on, c)| json!({ "containerName": on, "condition": c }));
        json!({ "name": name, "image": "busybox:latest", "memory": 32, "mountPoints": points,
            "command": ["sh", "-c", command], "essential": name == "app",
            "dependsOn": after.collect::<Vec<_>>() })
    };
    let stays = "trap 'exit 0' TERM; echo kept > /v/note; while true; do sleep 0.1; done";
    let gate = "while [ ! -e /share/go ]; do sleep 0.1; done";
    let reads = "cat /v/note; grep ' /v ' /proc/mounts";
    machine.call(
        "RegisterTaskDefinition",
        json!({ "family": "memory", "volumes": volumes, "containerDefinitions": [
            container("writer", stays, &[]),
            container("gate", gate, &[("writer", "START")]),
            container("app", reads, &[("gate", "COMPLETE")]),
        ] }),
    );
    let arn = machine.run("memory", 1).remove(0);
    let part = |task: &serde_json::Value, name: &str| {
        let all = task["containers"].as_array().unwrap();
        all.iter().find(|container| container["name"] == name).unwrap().clone()
    };
    let task = wait_for("the gate stands", || {
        let task = machine.task(&arn);
        (part(&task, "gate")["lastStatus"] == "RUNNING").then_some(task)
    });
    let host = machine.host_dir(&task);
    let id = arn.rsplit('/').next().unwrap();
    let mounted = || {
        let of = |agent: &i32| std::fs::read_to_string(format!("/proc/{agent}/mounts")).ok();
        let all: String = machine.agents().iter().filter_map(of).collect();
        let here = |line: &&str| line.contains(&format!("/tasks/{id}/volumes/v"));
        all.lines().filter(here).count()
    };
    assert_eq!(mounted(), 1, "{}", host.display());
    let old = machine.agents();
    old.iter().for_each(|agent| kill(*agent, Signal::KILL));
    wait_for("new agents", || {
        let now = machine.agents();
        (now.len() == 2 && now.iter().all(|agent| !old.contains(agent))).then_some(())
    });
    std::fs::write(share.join("go"), "").unwrap();
    let task = machine.wait(&arn, "STOPPED");
    let output = machine.output(&arn, "app");
    assert!(output.starts_with("kept\ntmpfs /v tmpfs "), "{output} {task:#}");
    wait_for("the memory is free", || (mounted() == 0).then_some(()));
}
