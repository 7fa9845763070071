//! Managed daemons from their creation to their end, with hosts that do as they are told.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use core_task::{Desired, TaskStatus};
use serde_json::json;
use service_ecs::feeds;
use service_ecs::ops;
use service_ecs::rows::cluster::Cluster;
use service_ecs::rows::task::{StopCode, Task};
use world::fleet::{Fate, Fleet};
use world::managed::*;

#[test]
fn a_daemon_comes_up_on_every_host_of_its_provider() {
    let mut fleet = managed(2);
    fleet.add_host();
    let answer = create(
        &mut fleet,
        json!({"tags": [{"key": "a", "value": "b"}],
        "propagateTags": "DAEMON", "enableECSManagedTags": true}),
    );
    assert_eq!(answer["daemonArn"], json!(daemon_arn()));
    assert_eq!(answer["status"], "ACTIVE");
    let arn = answer["deploymentArn"].as_str().unwrap();
    assert_eq!(arn.rsplit_once('/').unwrap().0, format!("{ARN}daemon-deployment/c/d"));
    let input = json!({"daemonArn": daemon_arn()});
    let list = fleet.world.call("ListDaemonDeployments", input);
    assert_eq!(list["daemonDeployments"][0]["status"], "IN_PROGRESS");
    fleet.settle();

    let daemon = describe(&mut fleet);
    assert_eq!(daemon["status"], "ACTIVE");
    assert_eq!(daemon["clusterArn"], json!(format!("{ARN}cluster/c")));
    assert_eq!(daemon["deploymentArn"], answer["deploymentArn"]);
    let current = daemon["currentRevisions"].as_array().unwrap();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["totalRunningCount"], 2);
    let by_provider = json!([{"arn": provider_arn("mi"), "runningCount": 2,
        "withoutDaemonCount": 0}]);
    assert_eq!(current[0]["capacityProviders"], by_provider);

    let deployment = deployment_of(&mut fleet, &answer["deploymentArn"]);
    for (key, value) in [
        ("status", json!("SUCCESSFUL")),
        ("statusReason", json!("Deployment completed successfully.")),
        ("sourceDaemonRevisions", json!([])),
        (
            "circuitBreaker",
            json!({"failureCount": 0, "status": "MONITORING_COMPLETE",
            "threshold": 3}),
        ),
        ("alarms", json!({"alarmNames": [], "status": "DISABLED", "triggeredAlarmNames": []})),
        (
            "deploymentConfiguration",
            json!({"drainPercent": 25.0, "bakeTimeInMinutes": 0,
            "alarms": {"alarmNames": [], "enable": false}}),
        ),
    ] {
        assert_eq!(deployment[key], value, "{key}");
    }
    assert!(deployment["startedAt"].is_number() && deployment["finishedAt"].is_number());
    let target = &deployment["targetDaemonRevision"];
    assert_eq!(target["arn"], current[0]["arn"]);
    assert_eq!(
        (&target["totalRunningInstanceCount"], &target["totalDrainingInstanceCount"]),
        (&json!(2), &json!(0))
    );

    let arns = json!([current[0]["arn"], format!("{ARN}daemon-revision/c/d/1")]);
    let answer = fleet.world.call("DescribeDaemonRevisions", json!({"daemonRevisionArns": arns}));
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
    let revision = &answer["daemonRevisions"][0];
    for (key, value) in [
        ("daemonArn", json!(daemon_arn())),
        ("daemonTaskDefinitionArn", json!(format!("{ARN}daemon-task-definition/agent:1"))),
        ("containerImages", json!([{"containerName": "agent", "image": "agent:1"}])),
        ("propagateTags", json!("DAEMON")),
        ("enableECSManagedTags", json!(true)),
        ("enableExecuteCommand", json!(false)),
        ("critical", json!(true)),
    ] {
        assert_eq!(revision[key], value, "{key}");
    }
    fleet.world.survives_a_restart();
}

#[test]
fn its_tasks_are_shown_and_told_to_their_hosts() {
    let mut fleet = managed(1);
    let more = json!({"tags": [{"key": "a", "value": "b"}], "propagateTags": "DAEMON",
        "enableECSManagedTags": true});
    create(&mut fleet, more);
    fleet.settle();
    // AWS: what is deleted is none the less run by the daemons that have it.
    let name = json!({"daemonTaskDefinition": "agent:1"});
    fleet.world.call("DeleteDaemonTaskDefinition", name);
    fleet.world.pass(Duration::from_secs(3600));
    let input = json!({"cluster": "c", "daemonName": "d", "launchType": "MANAGED_INSTANCES"});
    let listed = fleet.world.call("ListTasks", input)["taskArns"].clone();
    let input = json!({"cluster": "c", "launchType": "EC2"});
    assert_eq!(fleet.world.call("ListTasks", input)["taskArns"], json!([]));
    let input = json!({"cluster": "c", "tasks": listed, "include": ["TAGS"]});
    let shown = fleet.world.call("DescribeTasks", input)["tasks"][0].clone();
    for (key, value) in [
        ("group", json!("daemon:d")),
        ("startedBy", json!("daemon/d")),
        ("launchType", json!("MANAGED_INSTANCES")),
        ("capacityProviderName", json!("mi")),
        ("taskDefinitionArn", json!(format!("{ARN}daemon-task-definition/agent:1"))),
        ("lastStatus", json!("RUNNING")),
        (
            "tags",
            json!([{"key": "a", "value": "b"},
            {"key": "aws:ecs:clusterName", "value": "c"},
            {"key": "aws:ecs:daemonName", "value": "d"}]),
        ),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    assert_eq!(shown["containers"][0]["image"], "agent:1");
    let task = tasks(&fleet)[0].id;
    let state = fleet.world.core.state();
    let told = feeds::payload(state, task, "http://127.0.0.1", &mut |_| None).unwrap();
    assert_eq!((told.family.as_str(), told.containers[0].image.as_str()), ("agent", "agent:1"));
}

#[test]
fn a_deployment_has_no_more_hosts_in_hand_than_it_may_and_tasks_stay() {
    let mut fleet = managed(4);
    create(&mut fleet, json!({}));
    fleet.settle();
    fleet.create("s", json!({"desiredCount": 4}));
    fleet.settle();
    let before: Vec<_> = fleet.tasks("s").iter().map(|task| task.id).collect();
    define(&mut fleet);
    let answer = update(&mut fleet, 2, json!({}));
    let mut seen = 0;
    for _ in 0..60 {
        let in_hand = shown(&fleet).iter().filter(|status| **status == "DRAINING").count();
        assert!(in_hand <= 1, "{:?}", shown(&fleet));
        seen += in_hand;
        let told = deployment_of(&mut fleet, &answer["deploymentArn"]);
        let draining = &told["targetDaemonRevision"]["totalDrainingInstanceCount"];
        assert_eq!(*draining, json!(in_hand));
        if !fleet.turn() {
            fleet.world.pass(Duration::from_secs(1));
        }
    }
    assert!(seen >= 4);
    assert_eq!(shown(&fleet), ["ACTIVE"; 4]);
    assert!(tasks(&fleet).iter().all(|task| task.revision == 2));
    assert_eq!(tasks(&fleet).len(), 4);
    let after: Vec<_> = fleet.tasks("s").iter().map(|task| task.id).collect();
    assert_eq!(before, after);
    let told = deployment_of(&mut fleet, &answer["deploymentArn"]);
    assert_eq!(told["status"], "SUCCESSFUL");
    assert_eq!(told["sourceDaemonRevisions"].as_array().unwrap().len(), 1);
    fleet.world.survives_a_restart();
}

#[test]
fn a_new_host_has_its_critical_daemon_before_anything_else() {
    let mut fleet = managed(0);
    let made = create(&mut fleet, json!({}));
    // AWS: without instances it is done at once.
    assert_eq!(deployment_of(&mut fleet, &made["deploymentArn"])["status"], "SUCCESSFUL");
    fleet.create("s", json!({"desiredCount": 1}));
    fleet.add_host_of("mi");
    assert_eq!(shown(&fleet), ["REGISTERING"]);
    let input = json!({"cluster": "c", "status": "REGISTERING"});
    let listed = fleet.world.call("ListContainerInstances", input);
    assert_eq!(listed["containerInstanceArns"].as_array().unwrap().len(), 1);
    assert_eq!((tasks(&fleet).len(), fleet.tasks("s").len()), (1, 0));
    while fleet.turn() {}
    assert_eq!((shown(&fleet)[0], fleet.tasks("s").len()), ("REGISTERING", 0));
    fleet.settle();
    assert_eq!((shown(&fleet)[0], fleet.tasks("s").len()), ("ACTIVE", 1));
    fleet.world.survives_a_restart();
}

#[test]
fn one_that_is_not_critical_keeps_no_host_from_its_tasks() {
    let mut fleet = managed(0);
    fleet.fates.insert(2, Fate::NeverStarts);
    define(&mut fleet);
    let definition = format!("{ARN}daemon-task-definition/agent:2");
    create(&mut fleet, json!({"critical": false, "daemonTaskDefinitionArn": definition}));
    fleet.create("s", json!({"desiredCount": 1}));
    fleet.add_host_of("mi");
    assert_eq!((shown(&fleet)[0], fleet.tasks("s").len()), ("ACTIVE", 1));
    for _ in 0..20 {
        fleet.turn();
    }
    let current = &describe(&mut fleet)["currentRevisions"][0];
    assert_eq!(current["totalWithoutDaemonCount"], 1);
    assert_eq!(current["totalRunningCount"], 0);
    assert_eq!(fleet.tasks("s").len(), 1);
}

/// A task that is nobody's.
fn run_one(fleet: &mut Fleet) -> core_types::Id128 {
    let input = json!({"cluster": "c", "taskDefinition": "web"});
    let made = fleet.world.call("RunTask", input);
    world::fleet::id_of(&made["tasks"][0]["taskArn"])
}

#[test]
fn a_host_that_loses_a_critical_daemon_is_emptied_and_gets_it_again() {
    let mut fleet = managed(1);
    create(&mut fleet, json!({}));
    fleet.settle();
    let alone = run_one(&mut fleet);
    fleet.settle();
    fleet.world.pass(Duration::from_secs(60));
    let lost = tasks(&fleet)[0].id;
    fleet.observe(lost, TaskStatus::Stopped);
    assert_eq!(shown(&fleet), ["DRAINING"]);
    let task = fleet.world.core.state().get::<Task>(&alone).unwrap();
    assert_eq!(task.desired_status, Desired::Stopped);
    assert_eq!(task.stop_code, Some(StopCode::TerminationNotice));
    assert_ne!(tasks(&fleet)[0].id, lost);
    fleet.settle();
    assert_eq!(shown(&fleet), ["ACTIVE"]);
    assert_eq!(describe(&mut fleet)["currentRevisions"][0]["totalRunningCount"], 1);
    // Its last deployment is not concerned.
    assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL");
    fleet.world.survives_a_restart();
}

#[test]
fn a_revision_that_fails_is_taken_back() {
    let mut fleet = managed(4);
    create(&mut fleet, json!({}));
    fleet.settle();
    let good = describe(&mut fleet)["currentRevisions"][0]["arn"].clone();
    define(&mut fleet);
    fleet.fates.insert(2, Fate::NeverStarts);
    let answer = update(&mut fleet, 2, json!({"deploymentConfiguration": {"drainPercent": 50.0}}));
    while deployment(&mut fleet)["status"] == "IN_PROGRESS" {
        assert!(fleet.turn());
        assert!(tasks(&fleet).iter().filter(|task| task.revision == 1).count() >= 2);
    }
    let told = deployment(&mut fleet);
    assert_eq!(told["status"], "ROLLBACK_IN_PROGRESS");
    assert_eq!(told["circuitBreaker"]["status"], "TRIGGERED");
    assert_eq!(told["rollback"]["rollbackTargetDaemonRevisionArn"], good);
    assert_eq!(told["rollback"]["rollbackCapacityProviders"], json!([provider_arn("mi")]));
    fleet.settle();
    let told = deployment_of(&mut fleet, &answer["deploymentArn"]);
    assert_eq!(told["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(told["circuitBreaker"]["failureCount"], told["circuitBreaker"]["threshold"]);
    assert_eq!(shown(&fleet), ["ACTIVE"; 4]);
    assert!(tasks(&fleet).iter().all(|task| task.revision == 1));
    let daemon = describe(&mut fleet);
    assert_eq!(daemon["currentRevisions"][0]["arn"], good);
    assert_eq!(daemon["currentRevisions"][0]["totalRunningCount"], 4);
    fleet.world.survives_a_restart();
}

#[test]
fn a_first_revision_that_fails_stops_and_leaves_the_hosts_alone() {
    let mut fleet = managed(2);
    fleet.fates.insert(1, Fate::NeverStarts);
    create(&mut fleet, json!({}));
    for _ in 0..20 {
        if !fleet.turn() {
            fleet.world.pass(Duration::from_secs(10));
        }
    }
    let told = deployment(&mut fleet);
    assert_eq!(told["status"], "STOPPED");
    assert!(told["stoppedAt"].is_number());
    assert_eq!((shown(&fleet), tasks(&fleet).len()), (vec!["ACTIVE"; 2], 0));
    // One that works mends it.
    define(&mut fleet);
    update(&mut fleet, 2, json!({}));
    fleet.settle();
    assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL");
    assert_eq!(tasks(&fleet).len(), 2);
}

#[test]
fn a_deployment_bakes_and_a_newer_one_takes_its_place() {
    let mut fleet = managed(1);
    let made = create(&mut fleet, json!({"deploymentConfiguration": {"bakeTimeInMinutes": 5}}));
    fleet.settle();
    assert_eq!(deployment(&mut fleet)["status"], "IN_PROGRESS");
    // AWS: what is not said anew goes back to its default.
    update(&mut fleet, 1, json!({"critical": false}));
    assert_eq!(deployment_of(&mut fleet, &made["deploymentArn"])["status"], "STOPPED");
    fleet.settle();
    assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL");
    let same = tasks(&fleet)[0].id;
    let bake = json!({"deploymentConfiguration": {"bakeTimeInMinutes": 5}, "critical": false});
    update(&mut fleet, 1, bake);
    fleet.settle();
    // Nothing of it is new, so that nothing is replaced.
    assert_eq!(tasks(&fleet)[0].id, same);
    assert_eq!(deployment(&mut fleet)["status"], "IN_PROGRESS");
    fleet.world.pass(Duration::from_secs(5 * 60));
    assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL");
    let input = json!({"daemonArn": daemon_arn(), "status": ["STOPPED"]});
    let listed = fleet.world.call("ListDaemonDeployments", input);
    assert_eq!(listed["daemonDeployments"].as_array().unwrap().len(), 1);
    assert_eq!(listed["daemonDeployments"][0]["daemonDeploymentArn"], made["deploymentArn"]);
}

#[test]
fn a_daemon_is_the_last_to_leave_a_host_that_is_drained() {
    let mut fleet = managed(2);
    create(&mut fleet, json!({}));
    fleet.settle();
    fleet.create("s", json!({"desiredCount": 2}));
    fleet.settle();
    let host = fleet.hosts[0];
    let input = json!({"cluster": "c", "containerInstances": [host.to_string()],
        "status": "DRAINING"});
    fleet.world.call("UpdateContainerInstancesState", input);
    let on = |tasks: Vec<Task>| tasks.iter().filter(|task| task.host == Some(host)).count();
    for _ in 0..40 {
        if on(fleet.tasks("s")) > 0 {
            let staying =
                tasks(&fleet).into_iter().filter(|t| t.desired_status == Desired::Running);
            assert_eq!(on(staying.collect()), 1);
        }
        if !fleet.turn() {
            fleet.world.pass(Duration::from_secs(1));
        }
    }
    assert_eq!((on(fleet.tasks("s")), on(tasks(&fleet))), (0, 0));
    assert_eq!(shown(&fleet), ["DRAINING", "ACTIVE"]);
    fleet.world.survives_a_restart();
}

#[test]
fn a_deleted_daemon_is_there_until_its_tasks_are_gone() {
    let mut fleet = managed(2);
    create(&mut fleet, json!({}));
    fleet.settle();
    let provider = json!({"capacityProvider": "mi"});
    let (code, _) = fleet.world.refusal("DeleteCapacityProvider", provider.clone());
    assert_eq!(code, "ClientException");
    let arn = json!({"daemonArn": daemon_arn()});
    let gone = fleet.world.call("DeleteDaemon", arn.clone());
    assert_eq!(gone["status"], "DELETE_IN_PROGRESS");
    let (code, text) = fleet.world.refusal("DeleteDaemon", arn.clone());
    assert_eq!(code, "InvalidParameterException");
    assert!(text.contains("deployment deletion is ongoing"), "{text}");
    let input = json!({"daemonArn": daemon_arn(), "capacityProviderArns": [provider_arn("mi")],
        "daemonTaskDefinitionArn": "agent"});
    let (code, _) = fleet.world.refusal("UpdateDaemon", input);
    assert_eq!(code, "DaemonNotActiveException");
    assert_eq!(describe(&mut fleet)["status"], "DELETE_IN_PROGRESS");
    fleet.settle();
    assert_eq!((tasks(&fleet).len(), shown(&fleet)), (0, vec!["ACTIVE"; 2]));
    let (code, _) = fleet.world.refusal("DescribeDaemon", arn.clone());
    assert_eq!(code, "DaemonNotFoundException");
    let told = deployment_of(&mut fleet, &gone["deploymentArn"]);
    assert_eq!(told["status"], "SUCCESSFUL");
    assert_eq!(told["sourceDaemonRevisions"].as_array().unwrap().len(), 1);
    assert_eq!(fleet.world.call("ListDaemons", json!({}))["daemonSummariesList"], json!([]));
    fleet.world.call("DeleteCapacityProvider", provider);
    // The name is free, and its history is forgotten in time.
    provider_again(&mut fleet);
    create(&mut fleet, json!({}));
    fleet.settle();
    assert_eq!(tasks(&fleet).len(), 2);
    fleet.world.pass(Duration::from_secs(2 * 3600));
    assert_eq!(describe(&mut fleet)["status"], "ACTIVE");
    fleet.world.survives_a_restart();
}

fn provider_again(fleet: &mut Fleet) {
    provider(fleet, "mi");
}

#[test]
fn a_host_without_room_says_so() {
    let mut fleet = managed(1);
    let container = json!({"name": "agent", "image": "agent:1", "memory": 4096});
    let input = json!({"family": "large", "containerDefinitions": [container]});
    fleet.world.call("RegisterDaemonTaskDefinition", input);
    create(&mut fleet, json!({"daemonTaskDefinitionArn": "large"}));
    let told = deployment(&mut fleet);
    assert_eq!(told["status"], "IN_PROGRESS");
    let reason = told["statusReason"].as_str().unwrap();
    assert!(reason.starts_with("RESOURCE:MEMORY - Unable to place daemon task"), "{reason}");
    for _ in 0..4 {
        fleet.world.pass(Duration::from_secs(10));
    }
    let told = deployment(&mut fleet);
    assert_eq!(told["status"], "STOPPED");
    assert_eq!(told["circuitBreaker"]["failureCount"], 3);
    assert_eq!(shown(&fleet), ["ACTIVE"]);
    fleet.world.survives_a_restart();
}

/// What a neighbour would say of an alarm.
struct Rings(&'static str, bool);

impl core_step::Report for Rings {
    fn apply(self: Box<Self>, tx: &mut core_state::Tx<'_>) -> Box<dyn std::any::Any + Send> {
        let scope = tx.all::<Cluster>().next().unwrap().key.0;
        ops::observe_alarm(tx, scope, self.0, self.1);
        Box::new(())
    }
}

#[test]
fn an_alarm_takes_a_revision_back_unless_it_rang_before() {
    let mut fleet = managed(2);
    create(&mut fleet, json!({}));
    fleet.settle();
    define(&mut fleet);
    fleet.world.report(Rings("old", true));
    let alarms = json!({"alarmNames": ["old", "new"], "enable": true});
    let more = json!({"deploymentConfiguration": {"alarms": alarms, "bakeTimeInMinutes": 9}});
    let answer = update(&mut fleet, 2, more);
    fleet.settle();
    let told = deployment(&mut fleet);
    assert_eq!(
        (&told["status"], &told["alarms"]["status"]),
        (&json!("IN_PROGRESS"), &json!("MONITORING"))
    );
    assert!(tasks(&fleet).iter().all(|task| task.revision == 2));
    fleet.world.report(Rings("new", true));
    fleet.settle();
    let told = deployment_of(&mut fleet, &answer["deploymentArn"]);
    assert_eq!(told["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(told["alarms"]["status"], "TRIGGERED");
    assert_eq!(told["alarms"]["triggeredAlarmNames"], json!(["new"]));
    assert!(tasks(&fleet).iter().all(|task| task.revision == 1));
    fleet.world.survives_a_restart();
}

#[test]
fn a_host_stays_its_providers_and_may_be_given_one_later() {
    let mut fleet = managed(1);
    create(&mut fleet, json!({}));
    fleet.settle();
    let before = tasks(&fleet)[0].id;
    // AWS: an agent that starts again does not repeat the attributes of its configuration.
    let arn = format!("{ARN}container-instance/c/{}", fleet.hosts[0]);
    let input = json!({"cluster": "c", "containerInstanceArn": arn, "totalResources": [
        {"name": "CPU", "type": "INTEGER", "integerValue": 1024},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": 1024}]});
    fleet.world.call("RegisterContainerInstance", input);
    fleet.settle();
    assert_eq!(tasks(&fleet)[0].id, before);
    fleet.add_host();
    let other = fleet.hosts[1].to_string();
    let attribute = json!({"name": "wharf.capacity-provider", "value": "mi", "targetId": other,
        "targetType": "container-instance"});
    let input = json!({"cluster": "c", "attributes": [attribute]});
    fleet.world.call("PutAttributes", input.clone());
    fleet.settle();
    assert_eq!(tasks(&fleet).len(), 2);
    fleet.world.call("DeleteAttributes", input);
    fleet.settle();
    assert_eq!((tasks(&fleet).len(), tasks(&fleet)[0].id), (1, before));
    fleet.world.survives_a_restart();
}
