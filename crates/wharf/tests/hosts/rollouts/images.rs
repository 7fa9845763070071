//! A tag that is built anew under a service: its tasks stay one version until it is deployed again.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{ROLLOUT, STAY, running, service, settled};
use crate::world::{Machine, kill, wait_long_for};

const RECIPE: &str = "from = \"busybox:latest\"\ncopy = [{ from = \"note\", to = \"/note\" }]\n";

fn build(machine: &Machine, note: &str) {
    let folder = machine.folder("site");
    std::fs::write(folder.join("note"), format!("{note}\n")).unwrap();
    machine.build(&folder, RECIPE, "site:latest");
}

/// The digest that all of the service's tasks run; they say what they found in the image.
fn version(machine: &Machine, tasks: &BTreeSet<String>, note: &str) -> String {
    let mut digests = BTreeSet::new();
    for arn in tasks {
        assert_eq!(machine.says(arn, "app", "\n"), format!("{note}\n"), "{arn}");
        let container = machine.task(arn)["containers"][0].clone();
        // AWS: the image is shown as the definition names it.
        assert_eq!(container["image"], "site:latest", "{container:#}");
        digests.insert(container["imageDigest"].as_str().unwrap().to_owned());
    }
    assert_eq!(digests.len(), 1, "{digests:?}");
    digests.pop_first().unwrap()
}

/// What the newest revision shows of its images.
fn resolved(machine: &Machine) -> Value {
    let revision = service(machine)["currentServiceRevisions"][0]["arn"].clone();
    let told =
        machine.call("DescribeServiceRevisions", json!({ "serviceRevisionArns": [revision] }));
    told["serviceRevisions"][0]["containerImages"][0]["imageDigest"].clone()
}

fn scale(machine: &Machine, desired: usize) -> BTreeSet<String> {
    machine.call("UpdateService", json!({ "service": "s", "desiredCount": desired }));
    let tasks = wait_long_for(ROLLOUT, "as many as wanted", || {
        let tasks = running(machine);
        (tasks.len() == desired).then_some(tasks)
    });
    settled(machine, "web:1");
    tasks
}

#[test]
fn a_tag_that_moves_changes_nothing_until_the_next_deployment() {
    let Some(machine) = Machine::start_with_room() else { return };
    a_tag_may_move(&machine);
}

pub fn a_tag_may_move(machine: &Machine) {
    build(machine, "one");
    let command = format!("cat /note; {STAY}");
    let app = json!({ "image": "site:latest", "command": ["sh", "-c", command], "memory": 16 });
    machine.define("web", app, json!({}));
    machine.call(
        "CreateService",
        json!({ "serviceName": "s", "taskDefinition": "web", "desiredCount": 2 }),
    );
    let first = version(machine, &settled(machine, "web:1"), "one");
    assert_eq!(resolved(machine), first);

    build(machine, "two");
    let tasks = scale(machine, 5);
    assert_eq!(version(machine, &tasks, "one"), first);
    // What takes the place of a lost task is the same version, too.
    let victim = tasks.first().unwrap();
    kill(machine.first_processes()[victim].0, Signal::KILL);
    let tasks = wait_long_for(ROLLOUT, "another runs in its place", || {
        let tasks = running(machine);
        (tasks.len() == 5 && !tasks.contains(victim)).then_some(tasks)
    });
    assert_eq!(version(machine, &tasks, "one"), first);

    machine.call("UpdateService", json!({ "service": "s", "forceNewDeployment": true }));
    let after = settled(machine, "web:1");
    assert!(after.is_disjoint(&tasks));
    let second = version(machine, &after, "two");
    assert_ne!(second, first);
    assert_eq!(resolved(machine), second);

    // A digest that is nowhere is no image, whatever the tag beside it has.
    let nowhere = format!("127.0.0.1:1/site:latest@sha256:{}", "f".repeat(64));
    machine.define("lost", json!({ "image": nowhere }), json!({}));
    let arn = machine.run("lost", 1).remove(0);
    let task = machine.wait(&arn, "STOPPED");
    let reason = task["containers"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("CannotPullContainerError: "), "{task:#}");
}
