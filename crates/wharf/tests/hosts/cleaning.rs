//! What an agent removes by itself: what stopped tasks left, and what belongs to no task.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::metadata::ask;
use crate::world::{Machine, kill, wait_for};

/// Agents that keep traces for a moment only.
fn restart_tidy(machine: &mut Machine) {
    machine.configure("ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION=1s\n");
}

/// Memory has let go of an ended task; what is asked of it is read from the disk.
#[test]
fn what_an_ended_task_was_is_told_until_its_traces_go() {
    let Some(mut machine) = Machine::start() else { return };
    let ports = json!([{ "containerPort": 80 }]);
    let app = json!({ "command": ["sh", "-c", "exit 3"], "portMappings": ports,
        "environment": [{ "name": "LONG", "value": "x".repeat(10_000) }] });
    machine.define("short", app, json!({}));
    let arns = machine.run("short", 6);
    let tasks: Vec<Value> = arns.iter().map(|arn| machine.wait(arn, "STOPPED")).collect();
    let told = |machine: &Machine, task: &Value| {
        let arn = task["taskArn"].as_str().unwrap();
        ask(&machine.host_address(task), &format!("/v1/tasks?taskarn={arn}"))
    };
    let before: Vec<Value> = tasks.iter().map(|task| told(&machine, task)).collect();
    for (task, told) in tasks.iter().zip(&before) {
        assert_eq!(told["Arn"], task["taskArn"], "{told:#}");
        assert_eq!(told["KnownStatus"], "STOPPED", "{told:#}");
        let (container, seen) = (&told["Containers"][0], &task["containers"][0]);
        assert_eq!(container["DockerId"], seen["runtimeId"], "{told:#}");
        assert!(container["ImageID"].as_str().unwrap().starts_with("sha256:"), "{told:#}");
        assert!(container["CreatedAt"].is_string() && container["StartedAt"].is_string());
    }
    // Another agent tells the same.
    let old = machine.agents();
    old.iter().for_each(|agent| kill(*agent, Signal::KILL));
    wait_for("the agents are back", || {
        let agents = machine.agents();
        let fresh = agents.len() == old.len() && agents.iter().all(|agent| !old.contains(agent));
        let listen = || {
            tasks.iter().all(|task| {
                std::net::TcpStream::connect((machine.host_address(task), 51678)).is_ok()
            })
        };
        (fresh && listen() && machine.instances(true).len() == 2).then_some(())
    });
    let after: Vec<Value> = tasks.iter().map(|task| told(&machine, task)).collect();
    assert_eq!(after, before);
    restart_tidy(&mut machine);
    for task in &tasks {
        wait_for("it is told no more", || (told(&machine, task) == json!({})).then_some(()));
        let host = machine.host_dir(task);
        let id = task["taskArn"].as_str().unwrap().rsplit('/').next().unwrap();
        let left = std::fs::read_dir(host.join("containers")).unwrap().flatten();
        let left = left.filter(|entry| entry.file_name().to_string_lossy().contains(id)).count();
        assert_eq!(left, 0, "its containers are gone");
    }
}

#[test]
fn traces_of_stopped_tasks_go_after_their_time() {
    let Some(mut machine) = Machine::start() else { return };
    restart_tidy(&mut machine);
    let ports = json!([{ "containerPort": 80 }]);
    let command = json!(["sh", "-c", "echo > /v/x; echo > /m/x; exit 3"]);
    let mounts = json!([{ "sourceVolume": "v", "containerPath": "/v" },
        { "sourceVolume": "m", "containerPath": "/m" }]);
    let memory = json!({ "scope": "task", "driver": "local", "driverOpts": { "type": "tmpfs" } });
    let volumes = json!([{ "name": "v" }, { "name": "m", "dockerVolumeConfiguration": memory }]);
    let app = json!({ "command": command, "portMappings": ports, "mountPoints": mounts });
    machine.define("short", app, json!({ "volumes": volumes }));
    let arn = machine.run("short", 1).remove(0);
    let task = machine.wait(&arn, "STOPPED");
    let (host, id) = (machine.host_dir(&task), arn.rsplit('/').next().unwrap());
    wait_for("nothing of it is left", || {
        let left = |folder: &str| {
            let all = std::fs::read_dir(host.join(folder)).into_iter().flatten().flatten();
            all.filter(|entry| entry.file_name().to_string_lossy().contains(id)).count()
        };
        let all = ["containers", "tasks", "logs"].map(left);
        (all == [0, 0, 0]).then_some(())
    });
    // What the plane knows of it stays.
    assert_eq!(machine.task(&arn)["containers"][0]["exitCode"], 3);
}

/// What is left in the journal of an agent that is killed.
enum Memory {
    Nothing,
    /// Who it is, and no task.
    ItsName,
}

#[test]
fn tasks_that_no_agent_remembers_are_removed_and_replaced() {
    for memory in [Memory::Nothing, Memory::ItsName] {
        let Some(machine) = Machine::start() else { return };
        let ports = json!([{ "containerPort": 80, "hostPort": 8088 }]);
        let app = json!({ "command": ["sleep", "1000"], "portMappings": ports });
        machine.define("forgotten", app, json!({}));
        // The port is there once a host: each has one, and no other place for it.
        let service = json!({ "serviceName": "s", "taskDefinition": "forgotten",
            "desiredCount": 2, "deploymentConfiguration": { "minimumHealthyPercent": 0 } });
        machine.call("CreateService", service);
        let before = running(&machine, 2);
        let (lost, other) = (&before[0], &before[1]);
        let host = machine.host_dir(&machine.task(lost));
        forget(&machine, &host, &memory);
        let after = wait_for("another takes its place", || {
            let after = running(&machine, 2);
            (!after.contains(lost)).then_some(after)
        });
        assert!(after.contains(other), "the other host's task goes on");
        let old = machine.task(lost);
        let code = old["stopCode"].as_str().unwrap();
        let reason = old["stoppedReason"].as_str().unwrap();
        match memory {
            // AWS: an agent that has lost all is another host, and the one that it was is gone.
            Memory::Nothing => {
                assert_eq!(code, "TerminationNotice");
                assert!(reason.starts_with("Host EC2 (instance i-"), "{reason}");
            }
            Memory::ItsName => {
                assert_eq!(code, "EssentialContainerExited");
                assert_eq!(reason, "ContainerVanishedError: No container matching saved ID found");
            }
        }
        let id = lost.rsplit('/').next().unwrap();
        let all = std::fs::read_dir(host.join("containers")).unwrap().flatten();
        let left = all.filter(|entry| entry.file_name().to_string_lossy().contains(id)).count();
        assert_eq!(left, 0, "its container is gone");
    }
}

/// The service's tasks that run, once they are so many.
fn running(machine: &Machine, count: usize) -> Vec<String> {
    wait_for("the service's tasks run", || {
        let listed = machine.call("ListTasks", json!({ "serviceName": "s" }));
        let arns = listed["taskArns"].as_array().unwrap();
        let arns: Vec<String> = arns.iter().map(|arn| arn.as_str().unwrap().to_owned()).collect();
        let all = arns.iter().all(|arn| machine.task(arn)["lastStatus"] == "RUNNING");
        (all && arns.len() == count).then_some(arns)
    })
}

/// Kills the agent of a host and takes from its journal before another is started.
fn forget(machine: &Machine, host: &std::path::Path, memory: &Memory) {
    let own = |pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(host.to_str().unwrap())
    };
    let journal = host.join("agent.journal");
    let text = std::fs::read_to_string(&journal).unwrap();
    let name = text.lines().find(|line| line.contains("[\"instance\",")).unwrap();
    let agent = machine.agents().into_iter().find(own).unwrap();
    // Nobody starts it anew while it is stopped, so what it left is ours.
    kill(agent, Signal::STOP);
    match memory {
        Memory::Nothing => std::fs::remove_file(&journal).unwrap(),
        Memory::ItsName => std::fs::write(&journal, format!("{name}\n")).unwrap(),
    }
    kill(agent, Signal::KILL);
}
