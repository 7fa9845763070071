//! A task's life on a host: it runs, is reached, is stopped, fails with a reason.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use host_runtime::doctor::find_program;
use rustix::process::Signal;
use serde_json::json;

use crate::fields::limits;
use crate::world::{Machine, PATIENCE, is_root, wait_for, wharf};

pub fn get(address: &str, port: u64) -> Option<String> {
    let mut stream = TcpStream::connect((address, u16::try_from(port).ok()?)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"GET /hello HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn a_task_runs_is_reached_and_stops() {
    let Some(machine) = Machine::start() else { return };
    let command = "echo hi > /tmp/hello; exec httpd -f -p 80 -h /tmp";
    machine.define(
        "web",
        json!({ "command": ["sh", "-c", command], "portMappings": [{ "containerPort": 80 }] }),
        json!({}),
    );
    let arn = machine.run("web", 1).remove(0);
    let task = machine.wait(&arn, "RUNNING");
    let binding = &task["containers"][0]["networkBindings"][0];
    let port = binding["hostPort"].as_u64().unwrap();
    assert!((32768..=60999).contains(&port), "{task:#}");
    let instance = task["containerInstanceArn"].clone();
    let input = json!({ "containerInstances": [instance] });
    let told = machine.call("DescribeContainerInstances", input);
    let id = told["containerInstances"][0]["ec2InstanceId"].as_str().unwrap().to_owned();
    let address = machine.address(&id);
    let page = wait_for("the task answers", || get(&address, port));
    assert!(page.ends_with("hi\n"), "{page}");

    machine.call("StopTask", json!({ "task": arn, "reason": "enough" }));
    let task = machine.wait(&arn, "STOPPED");
    assert_eq!(task["stopCode"], "UserInitiated");
    assert_eq!(task["stoppedReason"], "enough");
    assert!(get(&address, port).is_none(), "the port is closed with the task");
}

/// The same with runc, where it is on this machine: bundles, networks and ends are alike.
#[test]
fn a_host_may_have_runc() {
    if find_program("runc").is_none() {
        eprintln!("skipped: runc is not on this machine");
        return;
    }
    let Some(machine) = Machine::start_with(&["--runtime", "runc"]) else { return };
    let command = "echo hi > /tmp/hello; exec httpd -f -p 80 -h /tmp";
    let ports = json!([{ "containerPort": 80 }]);
    let container = json!({ "command": ["sh", "-c", command], "portMappings": ports });
    machine.define("web", container, json!({}));
    let arn = machine.run("web", 1).remove(0);
    let task = machine.wait(&arn, "RUNNING");
    let port = task["containers"][0]["networkBindings"][0]["hostPort"].as_u64().unwrap();
    let address = machine.host_address(&task);
    let page = wait_for("the task answers", || get(&address, port));
    assert!(page.ends_with("hi\n"), "{page}");
    let with_runc = |pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == b"--runc")
    };
    assert!(machine.all_processes().iter().any(with_runc), "its shim has runc");
    machine.define("code", json!({ "command": ["sh", "-c", "exit 7"] }), json!({}));
    let (ended, _) = machine.run_to_end("code");
    assert_eq!(ended["containers"][0]["exitCode"], 7);
    machine.call("StopTask", json!({ "task": arn }));
    machine.wait(&arn, "STOPPED");
}

/// The agents' setting, whatever runs the containers; what a host told before it tells no more.
#[test]
fn hosts_may_have_no_limits_of_tasks() {
    for runtime in ["embedded", "runc"] {
        if runtime == "runc" && find_program("runc").is_none() {
            eprintln!("skipped: runc is not on this machine");
            continue;
        }
        let Some(mut machine) = Machine::start_with(&["--runtime", runtime]) else { return };
        machine.configure("ECS_ENABLE_TASK_CPU_MEM_LIMIT=false\n");
        limits::a_task_that_asks_for_limits_finds_no_host(&machine);
        limits::containers_have_theirs(&machine);
    }
}

#[test]
fn ends_have_their_reasons() {
    let Some(machine) = Machine::start() else { return };
    machine.define("code", json!({ "command": ["sh", "-c", "echo out; exit 7"] }), json!({}));
    let (task, output) = machine.run_to_end("code");
    assert_eq!(task["containers"][0]["exitCode"], 7);
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    assert_eq!(task["stoppedReason"], "Essential container in task exited");
    assert!(output.contains("out"), "{output}");
    for time in ["createdAt", "pullStartedAt", "startedAt", "executionStoppedAt", "stoppedAt"] {
        assert!(task[time].is_number(), "{time} in {task:#}");
    }

    // A pipe that nobody reads grows in memory until the kernel ends it.
    let hog = "x=a; while true; do x=$x$x; done";
    machine.define("hog", json!({ "command": ["sh", "-c", hog], "memory": 16 }), json!({}));
    let (task, _) = machine.run_to_end("hog");
    assert_eq!(task["containers"][0]["exitCode"], 137, "{task:#}");
    let reason = task["containers"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, "OutOfMemoryError: Container killed due to memory usage");

    machine.define("none", json!({ "command": ["/no/such/program"] }), json!({}));
    let (task, _) = machine.run_to_end("none");
    let reason = task["containers"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("CannotStartContainerError: "), "{reason}");
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task:#}");

    machine.define("image", json!({ "image": "127.0.0.1:1/none:1" }), json!({}));
    let (task, _) = machine.run_to_end("image");
    let reason = task["containers"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("CannotPullContainerError: "), "{reason}");
}

#[test]
fn a_fixed_port_is_one_a_host() {
    let Some(machine) = Machine::start() else { return };
    let ports = json!([{ "containerPort": 80, "hostPort": 8080 }]);
    let command = json!(["httpd", "-f", "-p", "80"]);
    machine.define("fixed", json!({ "command": command, "portMappings": ports }), json!({}));
    for arn in machine.run("fixed", 2) {
        machine.wait(&arn, "RUNNING");
    }
    let answer = machine.call("RunTask", json!({ "taskDefinition": "fixed" }));
    assert_eq!(answer["failures"][0]["reason"], "RESOURCE:PORTS", "{answer}");
}

#[test]
fn a_container_that_ignores_sigterm_is_killed_after_its_timeout() {
    let Some(machine) = Machine::start() else { return };
    let command = "trap '' TERM; echo ready; while true; do sleep 1; done";
    let deaf = json!({ "command": ["sh", "-c", command], "stopTimeout": 2 });
    machine.define("deaf", deaf, json!({}));
    let arn = machine.run("deaf", 1).remove(0);
    machine.wait(&arn, "RUNNING");
    machine.says(&arn, "app", "ready");
    machine.call("StopTask", json!({ "task": arn }));
    let task = machine.wait(&arn, "STOPPED");
    assert_eq!(task["containers"][0]["exitCode"], 137, "{task:#}");
}

#[test]
fn ctrl_c_leaves_nothing_where_that_was_asked_for() {
    let Some(mut machine) = Machine::start_with(&["--rm"]) else { return };
    machine.define("stays", json!({ "command": ["sleep", "1000"] }), json!({}));
    for arn in machine.run("stays", 2) {
        machine.wait(&arn, "RUNNING");
    }
    machine.end(Signal::INT);
    let dir = machine.dir();
    let left =
        wharf(&["clean", "--dry-run", "--data-dir", dir.to_str().unwrap()]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "nothing to remove\n", "{left:?}");
    assert_eq!(machine.all_processes(), [] as [i32; 0]);
    assert!(!dir.join("hosts").exists());
}

/// As in a container of its own: all of its processes in what it sees as the root of all groups.
#[test]
fn a_container_with_cgroup_v2_makes_room_for_hosts() {
    const ROOT: &str = "/sys/fs/cgroup";
    if !is_root() || !Path::new(ROOT).join("cgroup.controllers").exists() {
        return eprintln!("skipped: needs root and cgroup v2 alone");
    }
    let group = Path::new(ROOT).join(format!("room-{}", std::process::id()));
    std::fs::create_dir(&group).unwrap();
    let inside = format!("umount {ROOT} && mount -t cgroup2 none {ROOT} && exec \"$@\"");
    let script = format!(
        "echo $$ > {}/cgroup.procs && exec {} -m -C sh -c '{inside}' - \"$@\"",
        group.display(),
        find_program("unshare").unwrap().display()
    );
    let mut command = Command::new("sh");
    let doctor = wharf(&["doctor"]);
    command.args(["-c", &script, "-"]).arg(doctor.get_program()).args(doctor.get_args());
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let made = group.join("init").exists();
    wait_for("the groups are left", || {
        let _ = std::fs::remove_dir(group.join("init"));
        std::fs::remove_dir(&group).ok()
    });
    assert!(made, "{done:?}");
    let line = said.lines().find(|line| line.contains("making groups"));
    assert!(line.is_some_and(|line| line.contains("allowed")), "{done:?}");
}
