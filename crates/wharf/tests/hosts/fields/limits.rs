//! Limits: processor, memory, files, kernel parameters, of a container and of its task.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Case, case, container, part, run};
use crate::world::Machine;

/// A file of the container's own cgroup, of either version.
fn read(v1: &str, v2: &str) -> String {
    format!("echo {v2}=$(cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2})")
}

pub fn cases() -> Vec<Case> {
    let linux = |parameters: Value| json!({ "linuxParameters": parameters });
    vec![
        // v2's weight of 512 shares is 20.
        case(
            "cpu",
            &read("cpu/cpu.shares", "cpu.weight"),
            json!({ "cpu": 512 }),
            &["cpu.weight=512\n|cpu.weight=20\n"],
        ),
        case(
            "no-cpu",
            &read("cpu/cpu.shares", "cpu.weight"),
            json!({}),
            &["cpu.weight=2\n|cpu.weight=1\n"],
        ),
        case(
            "memory",
            &read("memory/memory.limit_in_bytes", "memory.max"),
            json!({ "memory": 48 }),
            &["memory.max=50331648\n"],
        ),
        case(
            "reservation",
            &[
                read("memory/memory.soft_limit_in_bytes", "memory.low"),
                read("memory/memory.limit_in_bytes", "memory.max"),
            ]
            .join(";"),
            json!({ "memory": 48, "memoryReservation": 24 }),
            &["memory.low=25165824\n", "memory.max=50331648\n"],
        ),
        case(
            "swap",
            &[
                read("memory/memory.memsw.limit_in_bytes", "memory.swap.max"),
                "cat /sys/fs/cgroup/memory/memory.swappiness 2>/dev/null || echo 60".to_owned(),
            ]
            .join(";"),
            linux(json!({ "maxSwap": 16, "swappiness": 60 })),
            &["memory.swap.max=50331648\n|memory.swap.max=16777216\n", "60\n"],
        ),
        case(
            "no-swap",
            &read("memory/memory.memsw.limit_in_bytes", "memory.swap.max"),
            linux(json!({ "maxSwap": 0 })),
            &["memory.swap.max=33554432\n|memory.swap.max=0\n"],
        ),
        case(
            "ulimits",
            "ulimit -n; ulimit -Hn; ulimit -c",
            json!({ "ulimits": [
                { "name": "nofile", "softLimit": 123, "hardLimit": 456 },
                { "name": "core", "softLimit": 0, "hardLimit": 0 },
            ] }),
            &["123\n456\n0\n"],
        ),
        case(
            "system-controls",
            "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax",
            json!({ "systemControls": [
                { "namespace": "net.core.somaxconn", "value": "77" },
                { "namespace": "kernel.msgmax", "value": "9000" },
            ] }),
            &["77\n9000\n"],
        ),
        case(
            "shared-memory",
            "df -m /dev/shm | tail -1",
            linux(json!({ "sharedMemorySize": 96 })),
            &[" 96 "],
        ),
        case(
            "tmpfs",
            "mount | grep /scratch; echo y > /scratch/y && echo wrote",
            linux(json!({ "tmpfs": [
                { "containerPath": "/scratch", "size": 4, "mountOptions": ["noexec", "mode=700"] },
            ] })),
            &["size=4096k", "noexec", "mode=700", "wrote\n"],
        ),
        case(
            "devices",
            "stat -c '%F %t:%T' /dev/mine; (: < /dev/mine) && echo read; \
             (: > /dev/mine) 2>/dev/null || echo refused; \
             mknod /tmp/x c 10 229; (: < /tmp/x) 2>/dev/null || echo others refused",
            linux(json!({ "devices": [
                { "hostPath": "/dev/kmsg", "containerPath": "/dev/mine", "permissions": ["read"] },
            ] })),
            &["character special file 1:b\n", "refused\n", "others refused\n"],
        ),
    ]
}

/// Files of that name in the cgroups of a task.
fn of_task(arn: &str, name: &str) -> Vec<String> {
    fn walk(dir: &Path, id: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                match entry.file_name() == *id {
                    true => found.push(entry.path()),
                    false => walk(&entry.path(), id, found),
                }
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), arn.rsplit('/').next().unwrap(), &mut found);
    let texts = found.iter().filter_map(|dir| std::fs::read_to_string(dir.join(name)).ok());
    texts.map(|text| text.trim().to_owned()).collect()
}

/// Each container's own limits hold, however it is with their task's.
pub fn containers_have_theirs(machine: &Machine) {
    super::check(machine, cases());
}

/// AWS: an agent that limits no tasks does not say that it can.
pub fn a_task_that_asks_for_limits_finds_no_host(machine: &Machine) {
    let stays = json!(["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"]);
    machine.define("limited-alone", json!({ "command": stays }), json!({}));
    machine.define("limited", json!({ "command": stays }), json!({ "memory": "128" }));
    let refused = |input: Value| {
        let answer = machine.call("RunTask", input);
        assert_eq!(answer["tasks"], json!([]), "{answer:#}");
        assert_eq!(answer["failures"][0]["reason"], "ATTRIBUTE", "{answer:#}");
    };
    refused(json!({ "taskDefinition": "limited" }));
    let over = json!({ "cpu": "256" });
    refused(json!({ "taskDefinition": "limited-alone", "overrides": over }));
    let arn = machine.run("limited-alone", 1).remove(0);
    machine.wait(&arn, "RUNNING");
    machine.call("StopTask", json!({ "task": arn }));
    machine.wait(&arn, "STOPPED");
}

pub fn a_task_has_limits_of_its_own(machine: &Machine) {
    let containers = json!([container("app", "sleep 1000", json!({ "memory": null }))]);
    let containers = json!([{
        "name": "app", "image": "busybox:latest", "command": containers[0]["command"],
    }]);
    let more = json!({ "cpu": "256", "memory": "128" });
    let arn = run(machine, "task-limits", containers, more);
    let task = machine.wait(&arn, "RUNNING");
    assert_eq!((&task["cpu"], &task["memory"]), (&json!("256"), &json!("128")));
    let quota = [of_task(&arn, "cpu.cfs_quota_us"), of_task(&arn, "cpu.max")].concat();
    assert!(quota == ["25000"] || quota == ["25000 100000"], "{quota:?}");
    let memory = [of_task(&arn, "memory.limit_in_bytes"), of_task(&arn, "memory.max")].concat();
    assert_eq!(memory, ["134217728"]);
    machine.call("StopTask", json!({ "task": arn }));
    machine.wait(&arn, "STOPPED");
    assert_eq!(of_task(&arn, "cgroup.procs"), Vec::<String>::new(), "its cgroup goes with it");
}

pub fn memory_of_the_task_is_all_that_its_containers_get(machine: &Machine) {
    let hog = json!(["sh", "-c", "x=a; while true; do x=$x$x; done"]);
    let containers = json!([{ "name": "app", "image": "busybox:latest", "command": hog }]);
    let arn = run(machine, "task-oom", containers, json!({ "memory": "24" }));
    let task = machine.wait(&arn, "STOPPED");
    let app = part(&task, "app");
    assert_eq!(app["exitCode"], 137, "{task:#}");
    assert_eq!(app["reason"], "OutOfMemoryError: Container killed due to memory usage");
    assert_eq!(task["stopCode"], "EssentialContainerExited");
}
