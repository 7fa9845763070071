//! What keeps a service from where it should be is told in AWS's sentences, and how long a rolling
//! update listens to its alarms.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use core_state::Tx;
use core_types::Scope;
use serde_json::{Value, json};
use service_ecs::explain::explain;
use service_ecs::ops;
use world::Told;
use world::fleet::Fleet;

const MINUTE: Duration = Duration::from_secs(60);

fn scope() -> Scope {
    "123456789012/us-east-1".parse().unwrap()
}

fn rings(fleet: &mut Fleet, rings: bool) {
    fleet.world.report(Told(move |tx: &mut Tx<'_>| {
        ops::observe_alarm(tx, scope(), "errors", rings);
    }));
}

fn looks_back(fleet: &mut Fleet, name: &'static str, span: Duration) {
    fleet.world.report(Told(move |tx: &mut Tx<'_>| {
        ops::observe_alarm_span(tx, scope(), name, span);
    }));
}

fn last(fleet: &mut Fleet) -> String {
    fleet.events("s").pop().unwrap_or_default()
}

fn facts(fleet: &Fleet, what: &str) -> Vec<String> {
    explain(fleet.world.core.state(), scope(), "c", what).unwrap().facts
}

/// The newest service deployment.
fn deployment(fleet: &mut Fleet) -> Value {
    let input = json!({"cluster": "c", "service": "s"});
    let all = fleet.world.call("ListServiceDeployments", input)["serviceDeployments"].clone();
    let input = json!({"serviceDeploymentArns": [all[0]["serviceDeploymentArn"]]});
    fleet.world.call("DescribeServiceDeployments", input)["serviceDeployments"][0].clone()
}

#[test]
fn percents_that_leave_no_way_are_told() {
    let mut fleet = Fleet::new(2);
    let percents = json!({"minimumHealthyPercent": 100, "maximumPercent": 150});
    fleet.create("s", json!({"desiredCount": 1, "deploymentConfiguration": percents}));
    fleet.settle();
    fleet.define("web", 0);
    fleet.update("s", json!({"taskDefinition": "web:2"}));
    fleet.settle();
    let text = "(service s) was unable to stop or start tasks during a deployment because of the \
                service deployment configuration. Update the minimumHealthyPercent or \
                maximumPercent value and try again.";
    assert_eq!(last(&mut fleet), text);
    fleet.world.survives_a_restart();
    fleet.update("s", json!({"deploymentConfiguration": {"maximumPercent": 200}}));
    fleet.settle();
    assert_eq!(fleet.tasks("s")[0].revision, 2);
    let told = fleet.events("s").iter().filter(|event| *event == text).count();
    assert_eq!(told, 1, "it is told once");
}

#[test]
fn protected_tasks_that_keep_an_old_version_are_told() {
    let mut fleet = Fleet::new(2);
    fleet.create("s", json!({"desiredCount": 2}));
    fleet.settle();
    let old = fleet.service("s")["deployments"][0]["id"].as_str().unwrap().to_owned();
    let tasks: Vec<String> = fleet.tasks("s").iter().map(|task| task.id.to_string()).collect();
    let input = json!({"cluster": "c", "tasks": tasks, "protectionEnabled": true});
    fleet.world.call("UpdateTaskProtection", input);
    fleet.define("web", 0);
    fleet.update("s", json!({"taskDefinition": "web:2"}));
    fleet.settle();
    assert_eq!(fleet.tasks("s").len(), 4);
    assert_eq!(
        last(&mut fleet),
        format!(
            "(service s) was unable to reach steady state because task set ({old}) was unable to \
             scale in. Reason: The number of protected tasks are more than the desired count of \
             tasks."
        )
    );
    fleet.world.survives_a_restart();
}

#[test]
fn protected_tasks_beyond_the_desired_count_are_no_steady_state() {
    let mut fleet = Fleet::new(2);
    fleet.create("s", json!({"desiredCount": 2}));
    fleet.settle();
    let kept = fleet.tasks("s")[0].id.to_string();
    let protect = |on: bool| json!({"cluster": "c", "tasks": [kept], "protectionEnabled": on});
    fleet.world.call("UpdateTaskProtection", protect(true));
    fleet.update("s", json!({"desiredCount": 0}));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (1, 0, 0));
    let told = last(&mut fleet);
    assert!(
        told.ends_with("The number of protected tasks are more than the desired count of tasks."),
        "{told}"
    );
    fleet.world.survives_a_restart();
    fleet.world.call("UpdateTaskProtection", protect(false));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (0, 0, 0));
    assert!(last(&mut fleet).ends_with("has reached a steady state."));
}

/// A service on a provider that is scaled and has no instances.
fn on_provider(count: u32) -> Fleet {
    let mut fleet = Fleet::new(0);
    let group = json!({"autoScalingGroupArn": "g", "managedScaling": {"status": "ENABLED"}});
    let input = json!({"name": "p", "autoScalingGroupProvider": group});
    fleet.world.call("CreateCapacityProvider", input);
    let strategy = json!([{"capacityProvider": "p", "weight": 1}]);
    let put = json!({"cluster": "c", "capacityProviders": ["p"],
        "defaultCapacityProviderStrategy": strategy});
    fleet.world.call("PutClusterCapacityProviders", put);
    fleet.create("s", json!({"desiredCount": count}));
    fleet.settle();
    fleet
}

#[test]
fn a_service_tells_why_its_tasks_wait_and_again_once_they_are_given_up() {
    let mut fleet = on_provider(2);
    let text = "(service s) was unable to place a task because no container instance met all of its \
                requirements. Reason: No Container Instances were found in your capacity provider.";
    let told = |fleet: &mut Fleet| {
        fleet.events("s").iter().filter(|event| event.starts_with(text)).count()
    };
    assert_eq!((told(&mut fleet), fleet.counts("s")), (1, (0, 2, 2)));
    let first = fleet.tasks("s")[0].id.to_string();
    assert!(
        facts(&fleet, "s").contains(&"2 of its tasks wait for their capacity provider.".into())
    );
    let waits =
        facts(&fleet, &first).into_iter().find(|fact| fact.starts_with("It waits")).unwrap();
    assert!(waits.contains("capacity provider p, until "), "{waits}");
    assert!(waits.ends_with(": EMPTY CAPACITY PROVIDER."), "{waits}");
    fleet.update("s", json!({"desiredCount": 3}));
    assert_eq!((told(&mut fleet), fleet.counts("s")), (1, (0, 3, 3)));
    fleet.world.survives_a_restart();
    // After a quarter of an hour they are given up, others wait in their place, and it is told anew.
    fleet.world.pass(16 * MINUTE);
    fleet.settle();
    assert!(told(&mut fleet) > 1, "{:?}", fleet.events("s"));
    let input = json!({"cluster": "c", "tasks": [first]});
    let task = fleet.world.call("DescribeTasks", input)["tasks"][0].clone();
    assert_eq!(task["stoppedReason"], "TaskFailedToStart: EMPTY CAPACITY PROVIDER");
    fleet.add_host_of("p");
    fleet.settle();
    assert_eq!(fleet.counts("s"), (3, 0, 3));
    fleet.world.survives_a_restart();
}

#[test]
fn more_tasks_than_may_wait_are_told() {
    let mut fleet = on_provider(501);
    assert_eq!(fleet.counts("s").1, 500);
    assert_eq!(
        last(&mut fleet),
        "(service s) was unable to place tasks in your cluster because the tasks provisioning \
         capacity limit was exceeded."
    );
}

/// A service that is watched by two alarms.
fn watched() -> Fleet {
    let mut fleet = Fleet::new(2);
    let names = ["errors", "latency"];
    let alarms = json!({"alarmNames": names, "enable": true, "rollback": true});
    looks_back(&mut fleet, "errors", MINUTE);
    looks_back(&mut fleet, "latency", 5 * MINUTE);
    fleet.create("s", json!({"deploymentConfiguration": {"alarms": alarms}}));
    fleet.settle();
    assert_eq!(deployment(&mut fleet)["lifecycleStage"], "BAKE_TIME");
    fleet.world.pass(5 * MINUTE);
    assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL");
    fleet.define("web", 0);
    fleet.update("s", json!({"taskDefinition": "web:2"}));
    fleet.settle();
    fleet
}

#[test]
fn a_rolling_update_listens_for_as_long_as_its_alarms_look_back() {
    let mut fleet = watched();
    let shown = deployment(&mut fleet);
    assert_eq!(
        (&shown["lifecycleStage"], &shown["status"]),
        (&json!("BAKE_TIME"), &json!("IN_PROGRESS"))
    );
    assert!(fleet.tasks("s").iter().all(|task| task.revision == 2), "all of them are replaced");
    let holds = facts(&fleet, "s");
    assert!(holds.iter().any(|fact| fact.starts_with("The newest is in BAKE_TIME")), "{holds:?}");
    fleet.world.survives_a_restart();
    fleet.world.pass(4 * MINUTE);
    assert_eq!(deployment(&mut fleet)["status"], "IN_PROGRESS");
    fleet.world.pass(2 * MINUTE);
    fleet.settle();
    assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL");
    assert_eq!(fleet.service("s")["deployments"][0]["rolloutState"], "COMPLETED");
}

#[test]
fn an_alarm_that_rings_late_brings_a_rolling_update_back() {
    let mut fleet = watched();
    fleet.world.pass(4 * MINUTE);
    rings(&mut fleet, true);
    fleet.settle();
    assert!(fleet.tasks("s").iter().all(|task| task.revision == 1));
    assert_eq!(deployment(&mut fleet)["status"], "ROLLBACK_SUCCESSFUL");
    // One that has calmed down is still known for its span; one that is gone is not waited for.
    rings(&mut fleet, false);
    looks_back(&mut fleet, "latency", Duration::ZERO);
    fleet.update("s", json!({"taskDefinition": "web:2"}));
    fleet.settle();
    fleet.world.pass(2 * MINUTE);
    fleet.settle();
    assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL");
    fleet.world.survives_a_restart();
}

#[test]
fn a_time_that_is_given_holds_over_that_of_the_alarms() {
    let mut fleet = watched();
    fleet.update(
        "s",
        json!({"deploymentConfiguration": {"bakeTimeInMinutes": 1},
        "forceNewDeployment": true}),
    );
    fleet.settle();
    assert_eq!(deployment(&mut fleet)["lifecycleStage"], "BAKE_TIME");
    fleet.world.pass(MINUTE);
    fleet.settle();
    assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL");
}

#[test]
fn what_has_not_started_on_a_draining_instance_stops_at_once() {
    let mut fleet = Fleet::new(1);
    fleet.create("s", json!({"desiredCount": 2}));
    assert_eq!(fleet.counts("s"), (0, 2, 2));
    let host = fleet.hosts[0].to_string();
    let input = json!({"cluster": "c", "containerInstances": [host], "status": "DRAINING"});
    fleet.world.call("UpdateContainerInstancesState", input);
    fleet.settle();
    // AWS: what is PENDING there is stopped whatever the percentages say.
    assert_eq!(fleet.counts("s"), (0, 0, 2), "{:?}", fleet.events("s"));
    fleet.world.survives_a_restart();
}
