//! Files: volumes of every kind, mounts, the container's own root.

use serde_json::{Value, json};

use super::{Case, case, container, part, run};
use crate::world::Machine;

fn mount(volume: &str, path: &str) -> Value {
    json!({ "mountPoints": [{ "sourceVolume": volume, "containerPath": path }] })
}

fn mount_readonly(volume: &str, path: &str) -> Value {
    json!({ "mountPoints": [
        { "sourceVolume": volume, "containerPath": path, "readOnly": true },
    ] })
}

pub fn cases(machine: &Machine) -> Vec<Case> {
    let shared = machine.folder("bind");
    std::fs::write(shared.join("given"), "from the host\n").unwrap();
    let fresh = machine.folder("binds").join("made/by/the/host");
    let host = |path: &std::path::Path| json!([{ "name": "v", "host": { "sourcePath": path } }]);
    let local = |more: Value| {
        let mut whole = json!({ "scope": "task", "driver": "local" });
        crate::world::merge(&mut whole, more);
        json!({ "volumes": [{ "name": "v", "dockerVolumeConfiguration": whole }] })
    };
    let options = json!({ "type": "none", "o": "bind", "device": &shared });
    vec![
        case(
            "readonly-root",
            "(echo x > /root/x) 2>/dev/null || echo refused; mount | grep ' / '",
            json!({ "readonlyRootFilesystem": true }),
            &["refused\n", "ro,"],
        ),
        case(
            "bind",
            "cat /v/given; echo back > /v/back && echo wrote",
            mount("v", "/v"),
            &["from the host\n", "wrote\n"],
        )
        .with(json!({ "volumes": host(&shared) })),
        case(
            "bind-readonly",
            "cat /v/given; (echo back > /v/no) 2>/dev/null || echo refused",
            mount_readonly("v", "/v"),
            &["from the host\n", "refused\n"],
        )
        .with(json!({ "volumes": host(&shared) })),
        case("bind-missing", "ls -d /v && echo there", mount("v", "/v"), &["there\n"])
            .with(json!({ "volumes": host(&fresh) })),
        case("ephemeral", "echo x > /v/x && cat /v/x", mount("v", "/v"), &["x\n"])
            .with(json!({ "volumes": [{ "name": "v" }] })),
        case("docker-volume", "echo x > /v/x && cat /v/x", mount("v", "/v"), &["x\n"])
            .with(local(json!({ "labels": { "a": "b" } }))),
        case("docker-volume-bind", "cat /v/given", mount("v", "/v"), &["from the host\n"])
            .with(local(json!({ "driverOpts": options }))),
        case(
            "docker-volume-memory",
            "mount | grep ' /v '; cp /bin/busybox /v/x; /v/x true 2>/dev/null || echo no exec",
            mount("v", "/v"),
            &["tmpfs on /v type tmpfs", "noexec", "size=5120k", "no exec\n"],
        )
        .with(local(json!({ "driverOpts": {
            "type": "tmpfs", "device": "tmpfs", "o": "size=5m,noexec,mode=700",
        } }))),
        case("copy-up", "cat /etc/passwd", mount("v", "/etc"), &["root:x:0:0"])
            .with(json!({ "volumes": [{ "name": "v" }] })),
    ]
}

pub fn volumes_are_shared_between_containers(machine: &Machine) {
    let after = |on: &str, more: Value| {
        let mut whole = json!({ "dependsOn": [{ "containerName": on, "condition": "SUCCESS" }] });
        crate::world::merge(&mut whole, more);
        whole
    };
    let mut writer = mount("v", "/out");
    writer["essential"] = json!(false);
    let from = json!({ "essential": false, "volumesFrom": [{ "sourceContainer": "writer" }] });
    let from_readonly =
        json!({ "volumesFrom": [{ "sourceContainer": "writer", "readOnly": true }] });
    let containers = json!([
        container("writer", "echo one > /out/note", writer),
        container("second", "cat /out/note; echo two >> /out/note", after("writer", from)),
        container(
            "app",
            "cat /out/note; (echo three > /out/x) 2>/dev/null || echo refused",
            after("second", from_readonly),
        ),
    ]);
    let arn = run(machine, "shared-volumes", containers, json!({ "volumes": [{ "name": "v" }] }));
    let task = machine.wait(&arn, "STOPPED");
    assert_eq!(machine.output(&arn, "second"), "one\n", "{task:#}");
    assert_eq!(machine.output(&arn, "app"), "one\ntwo\nrefused\n", "{task:#}");
}

/// On one host, named: a shared volume is the host's.
pub fn a_shared_volume_outlives_its_task(machine: &Machine) {
    let instance = machine.instances(true)[0]["containerInstanceArn"].clone();
    let start = |family: &str, script: &str, autoprovision: bool| {
        let volume =
            json!({ "scope": "shared", "driver": "local", "autoprovision": autoprovision });
        let more = json!({ "volumes": [
            { "name": "lasting", "dockerVolumeConfiguration": volume },
        ] });
        let own = json!({ "command": super::shell(script) });
        let mut app = mount("lasting", "/v");
        crate::world::merge(&mut app, own);
        machine.define(family, app, more);
        let input = json!({ "taskDefinition": family, "containerInstances": [instance] });
        let answer = machine.call("StartTask", input);
        let arn = answer["tasks"][0]["taskArn"].as_str().unwrap_or_else(|| panic!("{answer}"));
        let task = machine.wait(arn, "STOPPED");
        (task, machine.output(arn, "app"))
    };
    let (task, _) = start("not-provisioned", "true", false);
    let reason = part(&task, "app")["reason"].as_str().unwrap();
    assert_eq!(reason, "CannotCreateVolumeError: get lasting: no such volume");
    assert_eq!(start("provisioned", "echo kept > /v/x", true).1, "");
    assert_eq!(start("found-again", "cat /v/x", false).1, "kept\n");
}
