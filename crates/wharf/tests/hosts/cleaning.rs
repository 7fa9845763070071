//! What an agent removes by itself: what stopped tasks left, and what belongs to no task.

use serde_json::json;

use crate::world::{Machine, wait_for};

#[test]
fn traces_of_stopped_tasks_go_after_their_time() {
    let Some(mut machine) = Machine::start() else { return };
    machine.terminate();
    for host in std::fs::read_dir(machine.dir().join("hosts")).unwrap().flatten() {
        let config = "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION=1s\n";
        std::fs::write(host.path().join("ecs.config"), config).unwrap();
    }
    machine.up();
    let ports = json!([{ "containerPort": 80 }]);
    let command = json!(["sh", "-c", "echo > /v/x; exit 3"]);
    let mounts = json!([{ "sourceVolume": "v", "containerPath": "/v" }]);
    let app = json!({ "command": command, "portMappings": ports, "mountPoints": mounts });
    machine.define("short", app, json!({ "volumes": [{ "name": "v" }] }));
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

#[test]
fn what_no_agent_remembers_is_removed() {
    let Some(mut machine) = Machine::start() else { return };
    let ports = json!([{ "containerPort": 80, "hostPort": 8088 }]);
    let app = json!({ "command": ["sleep", "1000"], "portMappings": ports });
    machine.define("forgotten", app.clone(), json!({}));
    let arn = machine.run("forgotten", 1).remove(0);
    let task = machine.wait(&arn, "RUNNING");
    let (host, id) = (machine.host_dir(&task), arn.rsplit('/').next().unwrap());
    machine.kill_server();
    wait_for("the agents have ended with it", || machine.agents().is_empty().then_some(()));
    std::fs::remove_file(host.join("agent.journal")).unwrap();
    machine.up();
    wait_for("its container is gone", || {
        let all = std::fs::read_dir(host.join("containers")).unwrap().flatten();
        let left = all.filter(|entry| entry.file_name().to_string_lossy().contains(id)).count();
        (left == 0).then_some(())
    });
    // The plane takes it as running for as long as it is not asked to stop.
    machine.call("StopTask", json!({ "task": arn }));
    machine.wait(&arn, "STOPPED");
    // So is its network: the port is free for another on either host.
    machine.define("other", app, json!({}));
    for arn in machine.run("other", 2) {
        machine.wait(&arn, "RUNNING");
        machine.call("StopTask", json!({ "task": arn }));
    }
}
