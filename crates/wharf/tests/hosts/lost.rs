//! Hosts that are lost while their containers run: within the grace nothing happens, beyond it another
//! host has the tasks, and a host that comes back runs none of them twice.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::world::{
    Elsewhere, Machine, containers_of, is_root, kill, output_of, wait_for, wait_long_for,
};

/// A server, machines with an agent each, and a service with tasks on each.
struct Stage {
    machine: Machine,
    sides: Vec<Side>,
    keys: Vec<(String, String)>,
}

struct Side {
    elsewhere: Elsewhere,
    dir: PathBuf,
    url: String,
    instance: String,
    /// One that it has.
    task: String,
}

impl Stage {
    /// Two machines with a task each.
    fn new(grace: &str) -> Option<Stage> {
        Stage::of(2, 2, grace)
    }

    fn of(count: usize, tasks: usize, grace: &str) -> Option<Stage> {
        if !is_root() {
            eprintln!("skipped: hosts need root");
            return None;
        }
        let mut machines: Vec<Elsewhere> = (0..count).map(|_| Elsewhere::new()).collect();
        let addresses: String =
            machines.iter().map(|elsewhere| format!(",{}:0", elsewhere.here)).collect();
        let listen = format!("127.0.0.1:0{addresses}");
        let flags = ["--listen", &listen, "--host-grace", grace, "--host-heartbeat", "1"];
        let machine = Machine::server(&flags)?;
        let key: Value =
            serde_json::from_slice(&std::fs::read(machine.dir().join("root-key.json")).unwrap())
                .unwrap();
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        let keys = vec![
            ("AWS_ACCESS_KEY_ID".to_owned(), text("accessKeyId")),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), text("secretAccessKey")),
        ];
        let dirs: Vec<PathBuf> = machines.iter_mut().map(Elsewhere::dir).collect();
        let mut stage = Stage { machine, sides: Vec::new(), keys };
        stage.machine.call("CreateCluster", json!({ "clusterName": "default" }));
        for (nth, (elsewhere, dir)) in machines.into_iter().zip(dirs).enumerate() {
            let url = stage.machine.url(nth + 1);
            let (instance, task) = (String::new(), String::new());
            stage.sides.push(Side { elsewhere, dir, url, instance, task });
            stage.start(nth);
            stage.sides[nth].instance = wait_for("the host is connected", || {
                let all = stage.machine.instances(true);
                let arns = all.iter().map(|one| one["containerInstanceArn"].as_str().unwrap());
                let mut new = arns.filter(|arn| stage.sides.iter().all(|s| s.instance != **arn));
                new.next().map(str::to_owned)
            });
        }
        stage.serve(tasks);
        Some(stage)
    }

    fn start(&mut self, nth: usize) {
        let Side { elsewhere, dir, url, .. } = &mut self.sides[nth];
        let words = ["--endpoint", url, "--data-dir", dir.to_str().unwrap()];
        let keys: Vec<(&str, &str)> = self.keys.iter().map(|(k, v)| (&**k, &**v)).collect();
        elsewhere.agent("ECS_CLUSTER=default\n", &words, &keys);
    }

    fn serve(&mut self, desired: usize) {
        let command = "trap 'echo ended; exit 0' TERM; echo begun; while true; do sleep 0.1; done";
        let container = json!({ "command": ["sh", "-c", command] });
        self.machine.define("stay", container, json!({ "networkMode": "host" }));
        self.machine.call(
            "CreateService",
            json!({ "serviceName": "s", "taskDefinition": "stay", "desiredCount": desired }),
        );
        let tasks = wait_for("all tasks run", || {
            Some(self.running()).filter(|tasks| tasks.len() == desired)
        });
        for side in &mut self.sides {
            let own = tasks.iter().find(|task| task["containerInstanceArn"] == *side.instance);
            side.task = own.unwrap()["taskArn"].as_str().unwrap().to_owned();
        }
    }

    fn running(&self) -> Vec<Value> {
        let listed = self.machine.call("ListTasks", json!({ "serviceName": "s" }));
        if listed["taskArns"] == json!([]) {
            return Vec::new();
        }
        let told = self.machine.call("DescribeTasks", json!({ "tasks": listed["taskArns"] }));
        let all = told["tasks"].as_array().unwrap().iter();
        all.filter(|task| task["lastStatus"] == "RUNNING").cloned().collect()
    }

    fn connected(&self, nth: usize, wanted: bool) {
        let arn = &self.sides[nth].instance;
        wait_for("the host's connection", || {
            let all = self.machine.instances(wanted);
            all.iter().any(|one| one["containerInstanceArn"] == **arn).then_some(())
        });
    }

    /// A machine loses its power: no more of its processes, and nobody says good-bye.
    fn cut_power(&mut self, nth: usize) {
        let side = &mut self.sides[nth];
        side.elsewhere.link(false);
        side.elsewhere.kill();
        for container in containers_of(&side.dir) {
            kill(container.shim, Signal::KILL);
            kill(container.first.0, Signal::KILL);
        }
    }

    fn output(&self, nth: usize) -> String {
        output_of(&self.sides[nth].dir, &self.sides[nth].task, "app")
    }
}

#[test]
fn a_host_that_comes_back_in_time_keeps_its_tasks() {
    let Some(mut stage) = Stage::new("300") else { return };
    for how in ["frozen", "killed"] {
        match how {
            "frozen" => stage.sides[0].elsewhere.freeze(true),
            _ => stage.sides[0].elsewhere.kill(),
        }
        stage.connected(0, false);
        match how {
            "frozen" => stage.sides[0].elsewhere.freeze(false),
            _ => stage.start(0),
        }
        stage.connected(0, true);
        let mut arns: Vec<String> =
            stage.running().iter().map(|task| task["taskArn"].as_str().unwrap().into()).collect();
        let mut before: Vec<String> = stage.sides.iter().map(|side| side.task.clone()).collect();
        arns.sort();
        before.sort();
        assert_eq!(arns, before, "{how}");
        assert_eq!(stage.output(0), "begun\n", "{how}");
    }
    let service = stage.machine.call("DescribeServices", json!({ "services": ["s"] }));
    let events = service["services"][0]["events"].to_string();
    // AWS: the first task goes alone, to find out which image it is; then the other. No more came.
    assert_eq!(events.matches("has started 1 tasks").count(), 2, "{events}");
    assert_eq!(events.matches("has started").count(), 2, "{events}");
}

#[test]
fn a_host_that_is_lost_for_long_has_its_tasks_replaced_and_runs_none_twice() {
    for how in ["frozen", "killed"] {
        let Some(mut stage) = Stage::new("1") else { return };
        match how {
            "frozen" => stage.sides[0].elsewhere.freeze(true),
            _ => stage.sides[0].elsewhere.kill(),
        }
        stage.connected(0, false);
        let tasks = wait_for("another host has the task", || {
            Some(stage.running()).filter(|tasks| {
                let other = &stage.sides[1].instance;
                tasks.len() == 2 && tasks.iter().all(|task| task["containerInstanceArn"] == **other)
            })
        });
        let old = stage.machine.task(&stage.sides[0].task);
        assert_eq!(old["lastStatus"], "STOPPED", "{old:#}");
        assert_eq!(stage.output(0), "begun\n", "the container goes on, unseen");
        match how {
            "frozen" => stage.sides[0].elsewhere.freeze(false),
            _ => stage.start(0),
        }
        stage.connected(0, true);
        wait_for("the old container is stopped", || {
            stage.output(0).contains("ended").then_some(())
        });
        let after = stage.running();
        let arns = |tasks: &[Value]| {
            let mut all: Vec<String> = tasks.iter().map(|t| t["taskArn"].to_string()).collect();
            all.sort();
            all
        };
        assert_eq!(arns(&after), arns(&tasks), "{how}");
        assert_eq!(stage.output(0), "begun\nended\n", "{how}");
        assert_eq!(stage.machine.task(&stage.sides[0].task)["lastStatus"], "STOPPED");
    }
}

#[test]
fn tasks_of_a_machine_without_power_run_on_the_others() {
    const TASKS: usize = 9;
    const GRACE: u64 = 3;
    let Some(mut stage) = Stage::of(3, TASKS, &GRACE.to_string()) else { return };
    let arn = |task: &Value| task["taskArn"].as_str().unwrap().to_owned();
    let before: BTreeSet<String> = stage.running().iter().map(arn).collect();
    let gone = stage.sides[0].instance.clone();
    let lost: BTreeSet<String> = stage
        .running()
        .iter()
        .filter(|task| task["containerInstanceArn"] == *gone)
        .map(arn)
        .collect();
    assert_eq!(lost.len(), TASKS / 3, "they were spread");
    stage.cut_power(0);
    let cut = Instant::now();
    stage.connected(0, false);
    let noticed = cut.elapsed();
    let tasks = wait_long_for(Duration::from_secs(120), "the others have its tasks", || {
        let tasks = stage.running();
        let elsewhere = tasks.iter().all(|task| task["containerInstanceArn"] != *gone);
        (tasks.len() == TASKS && elsewhere).then_some(tasks)
    });
    eprintln!(
        "{} tasks replaced {:.2} s after the cut, noticed after {:.2} s, grace {GRACE} s",
        lost.len(),
        cut.elapsed().as_secs_f64(),
        noticed.as_secs_f64()
    );
    let after: BTreeSet<String> = tasks.iter().map(arn).collect();
    assert!(before.difference(&lost).all(|task| after.contains(task)), "the others' go on");
    for task in &lost {
        let task = stage.machine.task(task);
        assert_eq!(task["stopCode"], "TerminationNotice", "{task:#}");
    }
}
