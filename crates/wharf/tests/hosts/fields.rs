//! Fields of container definitions, each seen from inside the container.

use serde_json::{Value, json};

use crate::world::Machine;

#[test]
fn definitions_do_what_they_say() {
    let Some(machine) = Machine::start() else { return };
    let inside = |family: &str, container: Value, more: Value| {
        machine.define(family, container, more);
        let (task, output) = machine.run_to_end(family);
        (task, output)
    };
    let shell = |script: &str| json!(["sh", "-c", script]);

    let (_, output) = inside(
        "env",
        json!({
            "command": ["env"],
            "environment": [{ "name": "GREETING", "value": "hello" }],
            "hostname": "cargo",
        }),
        json!({}),
    );
    for expected in ["GREETING=hello", "AWS_REGION=us-east-1", "ECS_CONTAINER_METADATA_URI_V4="] {
        assert!(output.contains(expected), "{expected} in {output}");
    }

    let names = "busybox hostname; cat /etc/hosts /etc/resolv.conf";
    let (_, output) = inside(
        "names",
        json!({
            "command": shell(names),
            "hostname": "cargo",
            "extraHosts": [{ "hostname": "db", "ipAddress": "192.0.2.7" }],
            "dnsServers": ["192.0.2.53"],
            "dnsSearchDomains": ["example.test"],
        }),
        json!({}),
    );
    for expected in ["cargo", "192.0.2.7\tdb", "nameserver 192.0.2.53", "search example.test"] {
        assert!(output.contains(expected), "{expected} in {output}");
    }

    let (_, output) = inside(
        "user",
        json!({ "command": shell("id; busybox pwd"), "user": "web", "workingDirectory": "/tmp" }),
        json!({}),
    );
    assert!(output.contains("uid=33") && output.contains("/tmp"), "{output}");

    let (_, output) = inside(
        "readonly",
        json!({
            "command": shell("echo x > /root/x || echo refused; echo y > /scratch/y && echo wrote"),
            "readonlyRootFilesystem": true,
            "linuxParameters": { "tmpfs": [{ "containerPath": "/scratch", "size": 4 }] },
        }),
        json!({}),
    );
    assert!(output.contains("refused") && output.contains("wrote"), "{output}");

    let (_, output) = inside(
        "limits",
        json!({
            "command": shell("ulimit -n; cat /proc/sys/net/core/somaxconn"),
            "ulimits": [{ "name": "nofile", "softLimit": 123, "hardLimit": 456 }],
            "systemControls": [{ "namespace": "net.core.somaxconn", "value": "77" }],
        }),
        json!({}),
    );
    assert!(output.contains("123") && output.contains("77"), "{output}");
}

#[test]
fn containers_wait_for_each_other_and_share_volumes() {
    let Some(machine) = Machine::start() else { return };
    let container = |name: &str, script: &str, more: Value| {
        let mut whole = json!({
            "name": name, "image": "busybox:latest", "memory": 32, "essential": false,
            "command": ["sh", "-c", script],
            "mountPoints": [{ "sourceVolume": "shared", "containerPath": "/shared" }],
        });
        crate::world::merge(&mut whole, more);
        whole
    };
    let input = json!({
        "family": "order",
        "volumes": [{ "name": "shared" }],
        "containerDefinitions": [
            container("init", "echo ready > /shared/flag", json!({})),
            container("app", "cat /shared/flag", json!({
                "essential": true,
                "dependsOn": [{ "containerName": "init", "condition": "SUCCESS" }],
            })),
        ],
    });
    machine.call("RegisterTaskDefinition", input);
    let arn = machine.run("order", 1).remove(0);
    let task = machine.wait(&arn, "STOPPED");
    assert!(machine.output(&arn, "app").contains("ready"), "{task:#}");
}

#[test]
fn health_is_told() {
    let Some(machine) = Machine::start() else { return };
    let check = json!({
        "command": ["CMD-SHELL", "[ -e /tmp/up ]"], "interval": 5, "timeout": 2, "retries": 1,
    });
    let command = json!(["sh", "-c", "echo > /tmp/up; while true; do sleep 1; done"]);
    machine.define("well", json!({ "command": command, "healthCheck": check }), json!({}));
    let arn = machine.run("well", 1).remove(0);
    machine.wait(&arn, "RUNNING");
    crate::world::wait_for("it is healthy", || {
        (machine.task(&arn)["healthStatus"] == "HEALTHY").then_some(())
    });
}
