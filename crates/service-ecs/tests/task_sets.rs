//! Task sets: versions of a service whose shares somebody outside decides on.

#![allow(clippy::unwrap_used)]

mod world;

use serde_json::{Value, json};
use world::fleet::{Fleet, with};

fn external(hosts: usize) -> Fleet {
    let mut fleet = Fleet::new(hosts);
    let input = json!({"cluster": "c", "serviceName": "s", "desiredCount": 4,
        "deploymentController": {"type": "EXTERNAL"}});
    let service = fleet.world.call("CreateService", input)["service"].clone();
    assert_eq!((&service["deployments"], &service["taskSets"]), (&json!([]), &json!([])));
    fleet
}

fn call(fleet: &mut Fleet, operation: &str, more: Value) -> Value {
    let input = with(json!({"cluster": "c", "service": "s"}), more);
    fleet.world.call(operation, input)["taskSet"].clone()
}

fn add(fleet: &mut Fleet, definition: &str, percent: f64) -> Value {
    let scale = json!({"value": percent, "unit": "PERCENT"});
    call(fleet, "CreateTaskSet", json!({"taskDefinition": definition, "scale": scale}))
}

fn all(fleet: &mut Fleet) -> Vec<Value> {
    let input = json!({"cluster": "c", "service": "s"});
    let answer = fleet.world.call("DescribeTaskSets", input);
    answer["taskSets"].as_array().unwrap().clone()
}

#[test]
fn shares_are_kept_and_moved_from_set_to_set() {
    let mut fleet = external(2);
    fleet.define("web", 0);
    let one = add(&mut fleet, "web:1", 100.0);
    assert_eq!((&one["status"], &one["computedDesiredCount"]), (&json!("ACTIVE"), &json!(4)));
    assert_eq!(one["stabilityStatus"], "STABILIZING");
    let id = one["id"].as_str().unwrap().to_owned();
    assert!(one["taskSetArn"].as_str().unwrap().ends_with(&format!("task-set/c/s/{id}")));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (4, 0, 4));
    assert_eq!(all(&mut fleet)[0]["stabilityStatus"], "STEADY_STATE");
    let events = fleet.events("s");
    assert!(events.contains(&format!("(service s, taskSet {id}) has reached a steady state.")));
    call(&mut fleet, "UpdateServicePrimaryTaskSet", json!({"primaryTaskSet": id}));
    let service = fleet.service("s");
    assert_eq!(service["taskSets"][0]["status"], "PRIMARY");
    assert!(service["taskDefinition"].as_str().unwrap().ends_with("/web:1"));

    // A quarter of four is one, and a tenth of it too.
    let two = add(&mut fleet, "web:2", 10.0);
    fleet.settle();
    assert_eq!(fleet.counts("s"), (5, 0, 4));
    let second = two["taskSetArn"].clone();
    for (set, percent) in [(&second, 100.0), (&json!(id), 0.0)] {
        let scale = json!({"value": percent, "unit": "PERCENT"});
        call(&mut fleet, "UpdateTaskSet", json!({"taskSet": set, "scale": scale}));
    }
    fleet.settle();
    assert!(fleet.tasks("s").iter().all(|task| task.revision == 2));
    assert_eq!(fleet.counts("s"), (4, 0, 4));
    call(&mut fleet, "DeleteTaskSet", json!({"taskSet": id}));
    fleet.settle();
    assert_eq!(all(&mut fleet).len(), 1);
    let input = json!({"cluster": "c", "service": "s", "taskSet": second});
    let refusal = fleet.world.refusal("DeleteTaskSet", input.clone());
    assert_eq!(refusal.1, "The task set cannot be deleted while it is scaled above 0.");
    fleet.world.call("DeleteTaskSet", with(input.clone(), json!({"force": true})));
    assert_eq!(all(&mut fleet)[0]["status"], "DRAINING");
    fleet.settle();
    assert_eq!(fleet.world.refusal("UpdateTaskSet", input).0, "TaskSetNotFoundException");
    assert_eq!(fleet.counts("s"), (0, 0, 4));
    fleet.world.survives_a_restart();
}

#[test]
fn what_fails_in_a_set_is_replaced_and_the_service_ends_with_its_sets() {
    let mut fleet = external(1);
    add(&mut fleet, "web", 50.0);
    fleet.settle();
    let one = fleet.tasks("s")[0].id;
    fleet.observe(one, core_task::TaskStatus::Stopped);
    fleet.settle();
    assert_eq!(fleet.counts("s"), (2, 0, 4));
    let definition = json!({"cluster": "c", "service": "s", "taskDefinition": "web"});
    assert_eq!(fleet.world.refusal("UpdateService", definition).0, "InvalidParameterException");
    fleet.update("s", json!({"desiredCount": 2}));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (1, 0, 2));
    let delete = json!({"cluster": "c", "service": "s", "force": true});
    fleet.world.call("DeleteService", delete);
    fleet.settle();
    let service = fleet.service("s");
    assert_eq!((&service["status"], &service["taskSets"]), (&json!("INACTIVE"), &json!([])));
    fleet.create("plain", json!({}));
    let input = json!({"cluster": "c", "service": "plain", "taskDefinition": "web"});
    let refusal = fleet.world.refusal("CreateTaskSet", input);
    assert!(refusal.1.contains("EXTERNAL deployment controller"), "{refusal:?}");
    fleet.world.survives_a_restart();
}

#[test]
fn code_deploy_finds_a_first_task_set_and_does_the_rest() {
    let mut fleet = Fleet::new(2);
    fleet.define("web", 0);
    fleet.define("web", 0);
    let input = json!({"cluster": "c", "serviceName": "s", "taskDefinition": "web:1",
        "desiredCount": 2, "deploymentController": {"type": "CODE_DEPLOY"}});
    let service = fleet.world.call("CreateService", input)["service"].clone();
    assert_eq!(service["deploymentController"]["type"], "CODE_DEPLOY");
    assert_eq!(service["deployments"], json!([]));
    let first = service["taskSets"][0].clone();
    assert_eq!((&first["status"], &first["scale"]["value"]), (&json!("PRIMARY"), &json!(100.0)));
    assert_eq!(first["computedDesiredCount"], 2);
    fleet.settle();
    assert_eq!(fleet.counts("s"), (2, 0, 2));

    // What tasks are made of is not changed by its own call; how many there are is.
    for (more, what) in [
        (json!({"taskDefinition": "web:2"}), "Unable to update task definition"),
        (json!({"platformVersion": "LATEST"}), "Unable to update platform version"),
        (json!({"loadBalancers": []}), "Unable to update load balancers"),
        (json!({"forceNewDeployment": true}), "Cannot force a new deployment"),
    ] {
        let input = with(json!({"cluster": "c", "service": "s"}), more);
        let (code, text) = fleet.world.refusal("UpdateService", input);
        assert_eq!(code, "InvalidParameterException");
        assert_eq!(
            text,
            format!(
                "{what} on services with a CODE_DEPLOY deployment controller. Use AWS \
                 CodeDeploy to trigger a new deployment."
            )
        );
    }
    let input = json!({"cluster": "c", "service": "s", "desiredCount": 3});
    fleet.world.call("UpdateService", input);
    fleet.settle();
    assert_eq!(fleet.counts("s"), (3, 0, 3));

    // As CodeDeploy does it.
    let second = add(&mut fleet, "web:2", 100.0);
    fleet.settle();
    let id = second["id"].clone();
    call(&mut fleet, "UpdateServicePrimaryTaskSet", json!({"primaryTaskSet": id}));
    call(&mut fleet, "DeleteTaskSet", json!({"taskSet": first["id"], "force": true}));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (3, 0, 3));
    assert!(fleet.tasks("s").iter().all(|task| task.revision == 2));
    assert!(fleet.service("s")["taskDefinition"].as_str().unwrap().ends_with("/web:2"));
    fleet.world.survives_a_restart();
}
