//! Those who stand outside and look in: the stream of events, explanations, a scheduler of one's own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::world::{Machine, PATIENCE, wait_for, wharf};

/// `wharf events --follow --json`, read as it comes.
pub struct Stream {
    child: Child,
    events: Receiver<Value>,
}

impl Stream {
    pub fn of(machine: &Machine, flags: &[&str]) -> Stream {
        let dir = machine.dir();
        let mut command = wharf(&["events", "--follow", "--json", "--data-dir"]);
        command.arg(dir).args(flags).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (tell, events) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line);
                drop(tell.send(event.unwrap_or_else(|error| panic!("{error}: {line}"))));
            }
        });
        Stream { child, events }
    }

    /// Events up to the first of which this is true.
    pub fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let next = self.events.recv_timeout(PATIENCE);
            all.push(next.unwrap_or_else(|_| panic!("{what} was not told: {all:#?}")));
            if is(all.last().unwrap()) {
                return all;
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn said(machine: &Machine, words: &[&str]) -> String {
    let done = wharf(words).arg("--data-dir").arg(machine.dir()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn what_happens_is_told_to_whoever_follows() {
    let Some(mut machine) = Machine::start() else { return };
    let stream = Stream::of(&machine, &["--last", "1000", "--about", "task"]);
    machine.define("stays", json!({ "command": ["sleep", "1000"] }), json!({}));
    let arn = machine.run("stays", 1).remove(0);
    let of = |event: &Value, status: &str| {
        event["resources"][0] == json!(arn) && event["detail"]["lastStatus"] == json!(status)
    };
    let told = stream.until("RUNNING", |event| of(event, "RUNNING"));
    let version = |event: &Value| event["detail"]["version"].as_u64().unwrap();
    assert!(told.windows(2).all(|two| version(&two[0]) < version(&two[1])), "{told:#?}");
    assert!(told.iter().all(|event| event["detail-type"] == "ECS Task State Change"));
    assert_eq!(version(told.last().unwrap()), machine.task(&arn)["version"].as_u64().unwrap());

    // A server that is killed and comes back is followed again.
    machine.kill_server();
    machine.up();
    machine.call("StopTask", json!({ "task": arn }));
    stream.until("STOPPED", |event| of(event, "STOPPED"));

    let text = said(&machine, &["events", "--cluster", "default"]);
    let line =
        text.lines().find(|line| line.contains("STOPPED  ")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains(arn.rsplit('/').next().unwrap()) && line.contains("stays:1"), "{line}");
    assert_eq!(said(&machine, &["events", "--cluster", "other"]), "");
}

#[test]
fn groups_and_hooks_are_told_as_tasks_are() {
    let Some(machine) = Machine::start() else { return };
    let stream = Stream::of(&machine, &["--last", "1000", "--about", "capacity,hook"]);
    machine.call("CreateCluster", json!({ "clusterName": "grows" }));
    let group = json!({ "autoScalingGroupArn": "g", "managedScaling": { "status": "ENABLED" } });
    let provider = json!({ "name": "p", "autoScalingGroupProvider": group });
    machine.call("CreateCapacityProvider", provider);
    let strategy = json!([{ "capacityProvider": "p", "weight": 1 }]);
    let put = json!({ "cluster": "grows", "capacityProviders": ["p"],
        "defaultCapacityProviderStrategy": strategy });
    machine.call("PutClusterCapacityProviders", put);
    machine.define("stays", json!({ "command": ["sleep", "1000"] }), json!({}));
    machine.call("RunTask", json!({ "cluster": "grows", "taskDefinition": "stays" }));
    let named = |event: &Value, name: &str| event["detail"]["eventName"] == json!(name);
    stream.until("a larger group", |event| named(event, "CAPACITY_PROVIDER_SCALE_OUT"));
    let hooks = json!([{ "targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"] }]);
    let configuration = json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0,
        "lifecycleHooks": hooks });
    let service = json!({ "serviceName": "held", "taskDefinition": "stays", "desiredCount": 0,
        "deploymentConfiguration": configuration });
    machine.call("CreateService", service);
    stream.until("a pause", |event| named(event, "HOOK_AWAITING_ACTION"));
}

#[test]
fn a_task_and_a_service_are_explained() {
    let Some(machine) = Machine::start() else { return };
    machine.define("large", json!({ "command": ["sleep", "1000"], "memory": 900 }), json!({}));
    let input = json!({ "serviceName": "large", "taskDefinition": "large", "desiredCount": 3 });
    machine.call("CreateService", input);
    let text = wait_for("the third finds no place", || {
        Some(said(&machine, &["explain", "large"])).filter(|text| text.contains("fits on none"))
    });
    assert!(text.contains("2 × RESOURCE:MEMORY"), "{text}");
    let told: Value =
        serde_json::from_str(&said(&machine, &["explain", "large", "--json"])).unwrap();
    assert_eq!(told["nextTask"]["fit"], 0, "{told:#}");
    let listed = machine.call("ListTasks", json!({ "serviceName": "large" }));
    let arn = listed["taskArns"][0].as_str().unwrap();
    let text = wait_for("the task runs", || {
        Some(said(&machine, &["explain", arn])).filter(|text| text.contains("It is RUNNING"))
    });
    assert!(text.contains("900"), "{text}");
    let missing = wharf(&["explain", "nothing", "--data-dir"]).arg(machine.dir()).output().unwrap();
    assert!(!missing.status.success());
    let told = String::from_utf8_lossy(&missing.stderr);
    assert!(told.contains("there is no task, service or task definition nothing"), "{told}");
}
