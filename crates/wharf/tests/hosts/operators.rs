//! What operators do to the hosts of `wharf up`: take one out, give it another type, take it back.

use serde_json::{Value, json};

use crate::world::{Machine, wait_for, wharf};

const STAYS: &str = "trap 'exit 0' TERM; while true; do sleep 0.1; done";

fn restart(machine: &Machine, host: &str) -> std::process::Output {
    let dir = machine.dir();
    let words = ["host", "restart", host, "--data-dir", dir.to_str().unwrap()];
    wharf(&words).output().unwrap()
}

fn type_of(instance: &Value) -> &Value {
    let mut all = instance["attributes"].as_array().unwrap().iter();
    &all.find(|attribute| attribute["name"] == "ecs.instance-type").unwrap()["value"]
}

#[test]
fn a_host_that_was_taken_out_joins_anew_when_its_agent_is_started_again() {
    let Some(machine) = Machine::start() else { return };
    if machine.engine().is_some() {
        // No server keeps its agent.
        return;
    }
    for instance in machine.instances(true) {
        assert_eq!(type_of(&instance), "wharf.host");
        // AWS: scripts compare it with what a feature came with.
        assert_eq!(instance["versionInfo"]["agentVersion"], "1.105.1");
    }
    machine.define("stays", json!({ "command": ["sh", "-c", STAYS] }), json!({}));
    let arn = machine.run("stays", 1).remove(0);
    let task = machine.wait(&arn, "RUNNING");
    let folder = machine.host_dir(&task);
    let id = folder.file_name().unwrap().to_str().unwrap().to_owned();
    let (pid, _) = machine.first_processes()[&arn];
    let process = std::path::PathBuf::from(format!("/proc/{pid}"));

    let gone = &task["containerInstanceArn"];
    let input = json!({ "containerInstance": gone, "force": true });
    machine.call("DeregisterContainerInstance", input);
    wait_for("the server says what to do", || {
        let told = machine.told();
        (told.contains(gone.as_str().unwrap()) && told.contains("wharf host restart")).then_some(())
    });
    // AWS: what runs there goes on, and nobody counts it any more.
    assert!(process.exists());
    assert_eq!(machine.instances(true).len(), 1);

    let unknown = restart(&machine, "host-9");
    assert!(!unknown.status.success());
    let text = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(text.contains("this server keeps no host host-9"), "{text}");

    std::fs::write(folder.join("ecs.config"), "ECS_INSTANCE_TYPE=big.host\n").unwrap();
    let done = restart(&machine, &id);
    assert!(done.status.success(), "{done:?}");
    let back = wait_for("it joins anew", || {
        machine.instances(true).into_iter().find(|one| one["ec2InstanceId"] == id.as_str())
    });
    assert_ne!(&back["containerInstanceArn"], gone);
    assert_eq!(type_of(&back), "big.host");
    wait_for("what was left there is ended", || (!process.exists()).then_some(()));

    for (kind, is_it) in [("big.host", true), ("wharf.host", false)] {
        let expression = format!("attribute:ecs.instance-type == {kind}");
        let constraint = json!([{ "type": "memberOf", "expression": expression }]);
        machine.define(
            "asks",
            json!({ "command": ["sh", "-c", STAYS] }),
            json!({ "placementConstraints": constraint }),
        );
        for arn in machine.run("asks", 2) {
            let task = machine.wait(&arn, "RUNNING");
            let here = task["containerInstanceArn"] == back["containerInstanceArn"];
            assert_eq!(here, is_it, "{kind}: {task:#}");
        }
    }
}

/// AWS: an instance keeps its type for as long as it is registered.
#[test]
fn an_agent_that_must_not_go_on_is_started_again_when_its_operator_says_so() {
    let Some(machine) = Machine::start_with(&["--instance-type", "small.host"]) else { return };
    if machine.engine().is_some() {
        return;
    }
    let all = machine.instances(true);
    assert!(all.iter().all(|one| type_of(one) == "small.host"), "{all:#?}");
    let arn = &all[0]["containerInstanceArn"];
    let id = all[0]["ec2InstanceId"].as_str().unwrap();
    let settings = machine.dir().join("hosts").join(id).join("ecs.config");
    std::fs::write(&settings, "ECS_INSTANCE_TYPE=big.host\n").unwrap();
    assert!(restart(&machine, id).status.success());
    wait_for("it is refused for good", || machine.told().contains("must not go on").then_some(()));
    wait_for("it is away", || machine.instances(false).pop());
    std::fs::remove_file(&settings).unwrap();
    assert!(restart(&machine, id).status.success());
    wait_for("it is back as itself", || {
        machine.instances(true).iter().any(|one| &one["containerInstanceArn"] == arn).then_some(())
    });
}
