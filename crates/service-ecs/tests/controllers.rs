//! Services that change hands between ECS and those who bring task sets: their tasks stay.

#![allow(clippy::unwrap_used)]

mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use core_types::Id128;
use serde_json::{Value, json};
use world::fleet::{Fate, Fleet, with};

const MANY: &str = "Updating the deployment controller is not supported when there are multiple \
     tasksets in the service. Please ensure your service has only one taskset and try again.";
const NO_PRIMARY: &str = "Updating the deployment controller requires a primary taskset in the \
     service. Please ensure your service has a primary taskset and try again.";

/// A service of four with this controller, at rest; `web` has a second revision.
fn fleet(controller: &str) -> Fleet {
    let mut fleet = Fleet::new(2);
    fleet.define("web", 0);
    let mut input = json!({"cluster": "c", "serviceName": "s", "desiredCount": 4,
        "deploymentController": {"type": controller}});
    if controller != "EXTERNAL" {
        input["taskDefinition"] = json!("web:1");
    }
    fleet.world.call("CreateService", input);
    if controller == "EXTERNAL" {
        add(&mut fleet, "web:1");
    }
    fleet.settle();
    assert_eq!(fleet.counts("s"), (4, 0, 4));
    fleet
}

fn call(fleet: &mut Fleet, operation: &str, more: Value) -> Value {
    fleet.world.call(operation, with(json!({"cluster": "c", "service": "s"}), more))
}

fn refused(fleet: &mut Fleet, more: Value) -> String {
    let input = with(json!({"cluster": "c", "service": "s"}), more);
    let (code, text) = fleet.world.refusal("UpdateService", input);
    assert_eq!(code, "InvalidParameterException");
    text
}

fn to(controller: &str) -> Value {
    json!({"deploymentController": {"type": controller}})
}

fn add(fleet: &mut Fleet, definition: &str) -> Value {
    call(fleet, "CreateTaskSet", json!({"taskDefinition": definition}))["taskSet"]["id"].clone()
}

fn choose(fleet: &mut Fleet, set: &Value) {
    call(fleet, "UpdateServicePrimaryTaskSet", json!({"primaryTaskSet": set}));
}

fn ids(fleet: &Fleet) -> BTreeSet<Id128> {
    fleet.tasks("s").iter().map(|task| task.id).collect()
}

/// The statuses of its deployments, the newest first.
fn history(fleet: &mut Fleet) -> Vec<Value> {
    let all = call(fleet, "ListServiceDeployments", json!({}))["serviceDeployments"].clone();
    all.as_array().unwrap().iter().map(|one| one["status"].clone()).collect()
}

/// Turn by turn until all is at rest, with never fewer running tasks nor more tasks than these.
fn settle_within(fleet: &mut Fleet, least: i64, most: usize) {
    for _ in 0..200 {
        let busy = fleet.turn();
        let (running, _, _) = fleet.counts("s");
        let all = fleet.tasks("s").len();
        assert!(running >= least && all <= most, "{running} of {all} run");
        fleet.world.pass(Duration::from_secs(1));
        let done = fleet.service("s")["deployments"][0]["rolloutState"] == "COMPLETED";
        if !busy && done && fleet.service("s")["deployments"].as_array().unwrap().len() == 1 {
            return;
        }
    }
    panic!("it does not come to rest");
}

#[test]
fn what_code_deploy_brought_up_is_rolled_by_ecs_from_then_on() {
    let mut fleet = fleet("CODE_DEPLOY");
    let (tasks, set) = (ids(&fleet), fleet.service("s")["taskSets"][0]["id"].clone());
    let service = fleet.update("s", to("ECS"));
    assert_eq!(service["deploymentController"]["type"], "ECS");
    assert_eq!(service["taskSets"], Value::Null);
    let deployments = service["deployments"].as_array().unwrap();
    assert_eq!(deployments.len(), 1);
    for (key, value) in [
        ("id", set),
        ("status", json!("PRIMARY")),
        ("rolloutState", json!("COMPLETED")),
        ("desiredCount", json!(4)),
        ("runningCount", json!(4)),
        ("launchType", json!("EC2")),
    ] {
        assert_eq!(deployments[0][key], value, "{key}");
    }
    let current = &service["currentServiceRevisions"][0];
    assert_eq!(current["runningTaskCount"], 4);
    let arns = json!({"serviceRevisionArns": [current["arn"]]});
    let revision = fleet.world.call("DescribeServiceRevisions", arns)["serviceRevisions"].clone();
    assert!(revision[0]["taskDefinition"].as_str().unwrap().ends_with("/web:1"));
    fleet.settle();
    assert_eq!(ids(&fleet), tasks);
    assert_eq!(history(&mut fleet), ["SUCCESSFUL"]);
    let input = json!({"cluster": "c", "service": "s"});
    let refusal = fleet.world.refusal("DescribeTaskSets", input);
    assert!(refusal.1.starts_with("TaskSet operations are only supported"), "{refusal:?}");
    fleet.world.survives_a_restart();

    // It keeps its count, and is deployed and rolled back like any other.
    let breaker = json!({"enable": true, "rollback": true});
    let bounds = json!({"minimumHealthyPercent": 75, "maximumPercent": 150,
        "deploymentCircuitBreaker": breaker});
    fleet.fates.insert(2, Fate::NeverStarts);
    fleet.update("s", json!({"deploymentConfiguration": bounds, "taskDefinition": "web:2"}));
    fleet.settle();
    assert!(fleet.tasks("s").iter().all(|task| task.revision == 1));
    assert_eq!(fleet.counts("s"), (4, 0, 4));
    assert_eq!(history(&mut fleet), ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]);
    fleet.world.survives_a_restart();
}

#[test]
fn the_call_that_brings_ecs_may_bring_a_version_too() {
    let mut fleet = fleet("EXTERNAL");
    let set = fleet.service("s")["taskSets"][0]["id"].clone();
    assert_eq!(refused(&mut fleet, to("ECS")), NO_PRIMARY);
    choose(&mut fleet, &set);
    let bounds = json!({"minimumHealthyPercent": 75, "maximumPercent": 150});
    let input = with(
        to("ECS"),
        json!({"taskDefinition": "web:2",
        "deploymentConfiguration": bounds}),
    );
    let service = fleet.update("s", input);
    let deployments = service["deployments"].as_array().unwrap();
    assert_eq!((deployments.len(), &deployments[1]["id"]), (2, &set));
    assert_eq!(deployments[1]["status"], "ACTIVE");
    settle_within(&mut fleet, 3, 6);
    assert!(fleet.tasks("s").iter().all(|task| task.revision == 2));
    assert_eq!(fleet.counts("s"), (4, 0, 4));
    assert_eq!(history(&mut fleet), ["SUCCESSFUL", "SUCCESSFUL"]);
    fleet.world.survives_a_restart();
}

#[test]
fn a_set_with_a_share_is_brought_to_the_whole_count() {
    let mut fleet = fleet("EXTERNAL");
    let set = fleet.service("s")["taskSets"][0]["id"].clone();
    choose(&mut fleet, &set);
    let scale = json!({"value": 50.0, "unit": "PERCENT"});
    call(&mut fleet, "UpdateTaskSet", json!({"taskSet": set, "scale": scale}));
    fleet.settle();
    let tasks = ids(&fleet);
    assert_eq!(tasks.len(), 2);
    fleet.update("s", to("ECS"));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (4, 0, 4));
    assert!(tasks.is_subset(&ids(&fleet)));
}

#[test]
fn several_task_sets_stay_with_their_owner() {
    for controller in ["CODE_DEPLOY", "EXTERNAL"] {
        let mut fleet = fleet(controller);
        let first = fleet.service("s")["taskSets"][0]["id"].clone();
        choose(&mut fleet, &first);
        let second = add(&mut fleet, "web:2");
        assert_eq!(refused(&mut fleet, to("ECS")), MANY);
        choose(&mut fleet, &second);
        call(&mut fleet, "DeleteTaskSet", json!({"taskSet": first, "force": true}));
        // It drains still.
        assert_eq!(refused(&mut fleet, to("ECS")), MANY);
        fleet.settle();
        fleet.update("s", to("ECS"));
        fleet.settle();
        assert!(fleet.tasks("s").iter().all(|task| task.revision == 2));
        assert_eq!(fleet.counts("s"), (4, 0, 4));
    }
    let mut fleet = fleet("CODE_DEPLOY");
    let tasks = ids(&fleet);
    let service = fleet.update("s", json!({"deploymentController": {}}));
    assert_eq!(service["deploymentController"]["type"], "CODE_DEPLOY");
    let service = fleet.update("s", to("EXTERNAL"));
    assert_eq!(service["deploymentController"]["type"], "EXTERNAL");
    assert_eq!(service["taskSets"][0]["status"], "PRIMARY");
    fleet.settle();
    assert_eq!(ids(&fleet), tasks);
}

#[test]
fn what_is_ecs_alone_keeps_a_service_with_it() {
    let mut fleet = Fleet::new(2);
    fleet.create("s", json!({}));
    let text = refused(&mut fleet, to("EXTERNAL"));
    assert!(text.contains("during an ongoing service deployment"), "{text}");
    fleet.settle();
    let ecs = "only supported with ECS deployment controller. Update to ECS deployment controller \
               and try again.";
    let pause = json!({"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"]});
    let breaker = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}});
    let alarms = json!({"alarms": {"alarmNames": ["a"], "enable": true, "rollback": true}});
    for (configuration, what) in [
        (breaker, "Deployment circuit breaker feature is"),
        (alarms, "Alarm based rollback feature is"),
        (json!({"strategy": "BLUE_GREEN"}), "The BLUE_GREEN deployment strategy is"),
        (json!({"bakeTimeInMinutes": 5}), "Bake time is"),
        (json!({"lifecycleHooks": [pause]}), "Deployment lifecycle hooks are"),
    ] {
        // Whether the call says so or the service does.
        let given = json!({"deploymentConfiguration": configuration});
        assert_eq!(
            refused(&mut fleet, with(to("EXTERNAL"), given.clone())),
            format!("{what} {ecs}")
        );
        fleet.update("s", given);
        assert_eq!(refused(&mut fleet, to("EXTERNAL")), format!("{what} {ecs}"));
        let off = json!({"strategy": "ROLLING", "bakeTimeInMinutes": 0, "lifecycleHooks": [],
            "deploymentCircuitBreaker": {"enable": false, "rollback": false},
            "alarms": {"alarmNames": [], "enable": false, "rollback": false}});
        fleet.update("s", json!({"deploymentConfiguration": off}));
    }
    let connect = json!({"serviceConnectConfiguration": {"enabled": true}});
    assert_eq!(
        refused(&mut fleet, with(to("EXTERNAL"), connect.clone())),
        "The EXTERNAL deployment controller type is not supported for services using Service \
         Connect."
    );
    assert!(refused(&mut fleet, with(to("CODE_DEPLOY"), connect)).starts_with("Service Connect "));
    assert_eq!(
        refused(&mut fleet, with(to("EXTERNAL"), json!({"taskDefinition": "web"}))),
        "Unable to update task definition on services with an EXTERNAL deployment controller. Use \
         CreateTaskSet to trigger a new deployment."
    );
    assert!(refused(&mut fleet, to("CODE_DEPLOY")).contains("requires a load balancer"));
    let daemon = json!({"cluster": "c", "serviceName": "d", "taskDefinition": "web",
        "schedulingStrategy": "DAEMON"});
    fleet.world.call("CreateService", daemon);
    for controller in ["CODE_DEPLOY", "EXTERNAL"] {
        let input = with(json!({"cluster": "c", "service": "d"}), to(controller));
        assert_eq!(
            fleet.world.refusal("UpdateService", input).1,
            format!(
                "The {controller} deployment controller type is not supported for services using \
                 the DAEMON scheduling strategy."
            )
        );
    }
}

#[test]
fn a_deployment_becomes_a_task_set_and_one_again() {
    let mut fleet = fleet("ECS");
    let (tasks, id) = (ids(&fleet), fleet.service("s")["deployments"][0]["id"].clone());
    let first = fleet.service("s")["currentServiceRevisions"][0]["arn"].clone();
    let service = fleet.update("s", to("EXTERNAL"));
    assert_eq!(service["deploymentController"]["type"], "EXTERNAL");
    // As on AWS: it goes on to show deployments.
    assert_eq!((&service["taskSets"], &service["deployments"][0]["id"]), (&Value::Null, &id));
    assert_eq!(service["deployments"][0]["status"], "PRIMARY");
    assert_eq!(service["deployments"][0]["runningCount"], 4);
    let sets = call(&mut fleet, "DescribeTaskSets", json!({}))["taskSets"].clone();
    assert_eq!((&sets[0]["id"], &sets[0]["status"]), (&id, &json!("PRIMARY")));
    assert_eq!(sets[0]["stabilityStatus"], "STEADY_STATE");
    fleet.settle();
    assert_eq!(ids(&fleet), tasks);

    // Nobody removes the older one but its new owner.
    let second = add(&mut fleet, "web:2");
    fleet.settle();
    choose(&mut fleet, &second);
    let deployments = fleet.service("s")["deployments"].clone();
    assert_eq!((&deployments[0]["id"], &deployments[1]["id"]), (&second, &id));
    assert_eq!(deployments[1]["status"], "ACTIVE");
    fleet.settle();
    assert_eq!(fleet.tasks("s").len(), 8);
    call(&mut fleet, "DeleteTaskSet", json!({"taskSet": id, "force": true}));
    fleet.settle();
    let tasks = ids(&fleet);
    assert_eq!(tasks.len(), 4);
    fleet.world.survives_a_restart();

    fleet.update("s", to("ECS"));
    fleet.settle();
    assert_eq!(ids(&fleet), tasks);
    assert_eq!(history(&mut fleet), ["SUCCESSFUL", "SUCCESSFUL"]);
    let arns = json!({"serviceRevisionArns": [first]});
    let old = fleet.world.call("DescribeServiceRevisions", arns)["serviceRevisions"].clone();
    assert!(old[0]["taskDefinition"].as_str().unwrap().ends_with("/web:1"));
    fleet.update("s", json!({"desiredCount": 2}));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (2, 0, 2));
    let delete = json!({"force": true});
    call(&mut fleet, "DeleteService", delete);
    fleet.settle();
    assert_eq!(fleet.service("s")["status"], "INACTIVE");
    fleet.world.survives_a_restart();
}
