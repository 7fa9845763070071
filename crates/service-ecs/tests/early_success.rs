//! Rolling deployments that are a success before all of their tasks are there: what they wait for,
//! what goes on after them, and that nothing goes back any more.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use core_state::Tx;
use core_task::TaskStatus;
use serde_json::{Value, json};
use service_ecs::ops;
use world::Told;
use world::fleet::{Fate, Fleet, with};

const MINUTE: Duration = Duration::from_secs(60);

/// So much of the desired count is enough.
fn early(percent: u32, cleanup: &str) -> Value {
    let criteria = json!({"enable": true, "healthyPercent": percent,
        "sourceServiceRevisionCleanup": cleanup});
    json!({"minimumHealthyPercent": percent, "maximumPercent": 200,
        "earlySuccessCriteria": criteria})
}

/// A service of four whose next version's tasks come up when they are told to.
fn fleet(configuration: Value) -> Fleet {
    let mut fleet = Fleet::new(4);
    fleet.create("s", json!({"desiredCount": 4, "deploymentConfiguration": configuration}));
    fleet.settle();
    fleet.define("web", 0);
    fleet.fates.insert(2, Fate::Hangs);
    fleet
}

fn deploy(fleet: &mut Fleet) {
    fleet.update("s", json!({"taskDefinition": "web:2"}));
    fleet.settle();
}

/// Some tasks of the second version that wait for it become this.
fn become_(fleet: &mut Fleet, status: TaskStatus, count: usize) {
    let waiting = |task: &service_ecs::rows::task::Task| {
        task.revision == 2 && task.observed_status < TaskStatus::Running
    };
    let waiting: Vec<_> = fleet.tasks("s").into_iter().filter(waiting).take(count).collect();
    assert_eq!(waiting.len(), count);
    waiting.iter().for_each(|task| fleet.observe(task.id, status));
}

fn come_up(fleet: &mut Fleet, count: usize) {
    become_(fleet, TaskStatus::Running, count);
    fleet.settle();
}

/// Tasks that have not stopped, by revision of their definition.
fn present(fleet: &Fleet) -> (usize, usize) {
    let tasks = fleet.tasks("s");
    let of = |revision| tasks.iter().filter(|task| task.revision == revision).count();
    (of(1), of(2))
}

/// The newest service deployment.
fn deployment(fleet: &mut Fleet) -> Value {
    let input = json!({"cluster": "c", "service": "s"});
    let all = fleet.world.call("ListServiceDeployments", input)["serviceDeployments"].clone();
    let input = json!({"serviceDeploymentArns": [all[0]["serviceDeploymentArn"]]});
    fleet.world.call("DescribeServiceDeployments", input)["serviceDeployments"][0].clone()
}

fn status(fleet: &mut Fleet) -> String {
    deployment(fleet)["status"].as_str().unwrap().to_owned()
}

/// What a revision has, as a deployment tells it.
fn counts(revision: &Value) -> (i64, i64, i64) {
    let count = |what: &str| revision[what].as_i64().unwrap();
    (count("requestedTaskCount"), count("runningTaskCount"), count("pendingTaskCount"))
}

fn is_steady(fleet: &mut Fleet) -> bool {
    fleet.events("s").last().unwrap().ends_with("has reached a steady state.")
}

fn protect(fleet: &mut Fleet, tasks: &[String], on: bool) {
    let input = json!({"cluster": "c", "tasks": tasks, "protectionEnabled": on});
    fleet.world.call("UpdateTaskProtection", input);
}

#[test]
fn half_is_enough_and_the_rest_comes_afterwards() {
    let mut fleet = fleet(early(50, "DEFERRED"));
    deploy(&mut fleet);
    assert_eq!((status(&mut fleet), present(&fleet)), ("IN_PROGRESS".into(), (4, 4)));
    come_up(&mut fleet, 1);
    assert_eq!((status(&mut fleet), present(&fleet)), ("IN_PROGRESS".into(), (3, 4)));
    become_(&mut fleet, TaskStatus::Running, 1);
    fleet.world.pass(Duration::from_secs(3));
    // No agent has stopped anything: a success does not wait for those that go.
    let shown = deployment(&mut fleet);
    assert_eq!(shown["status"], "SUCCESSFUL");
    assert_eq!(shown["deploymentConfiguration"]["earlySuccessCriteria"]["healthyPercent"], 50);
    let service = fleet.service("s");
    let rollouts = service["deployments"].as_array().unwrap().iter();
    let rollouts: Vec<_> = rollouts.map(|one| (&one["status"], &one["rolloutState"])).collect();
    let completed = json!("COMPLETED");
    assert_eq!(rollouts, [(&json!("PRIMARY"), &completed), (&json!("ACTIVE"), &completed)]);
    fleet.world.survives_a_restart();
    fleet.settle();
    assert_eq!(present(&fleet), (0, 4), "the least serve without the old ones");
    assert!(!is_steady(&mut fleet));
    come_up(&mut fleet, 2);
    assert_eq!(fleet.counts("s"), (4, 0, 4));
    assert!(is_steady(&mut fleet));
    // AWS: the counts stay as they were when it was complete.
    let shown = deployment(&mut fleet);
    assert_eq!(counts(&shown["targetServiceRevision"]), (4, 2, 2));
    let source = counts(&shown["sourceServiceRevisions"][0]);
    assert_eq!(source.1, 3);
    fleet.world.survives_a_restart();
}

#[test]
fn with_blocking_the_old_ones_go_first() {
    let mut fleet = fleet(early(50, "BLOCKING"));
    deploy(&mut fleet);
    let tasks = fleet.tasks("s");
    let old: Vec<_> = tasks.iter().filter(|task| task.revision == 1).collect();
    let kept = [old[0].id.to_string()];
    protect(&mut fleet, &kept, true);
    come_up(&mut fleet, 2);
    assert_eq!((status(&mut fleet), present(&fleet)), ("IN_PROGRESS".into(), (1, 4)));
    protect(&mut fleet, &kept, false);
    fleet.world.pass(Duration::from_secs(1));
    assert_eq!((status(&mut fleet), present(&fleet)), ("IN_PROGRESS".into(), (1, 4)));
    fleet.turn();
    assert_eq!((status(&mut fleet), present(&fleet)), ("SUCCESSFUL".into(), (0, 4)));
    assert!(!is_steady(&mut fleet));
    fleet.world.survives_a_restart();
    come_up(&mut fleet, 2);
    assert!(is_steady(&mut fleet));
}

#[test]
fn protected_tasks_hold_no_deferred_success_up() {
    let mut fleet = fleet(early(50, "DEFERRED"));
    let all: Vec<String> = fleet.tasks("s").iter().map(|task| task.id.to_string()).collect();
    protect(&mut fleet, &all, true);
    deploy(&mut fleet);
    come_up(&mut fleet, 4);
    assert_eq!((status(&mut fleet), present(&fleet)), ("SUCCESSFUL".into(), (4, 4)));
    assert!(!is_steady(&mut fleet));
    // Who deploys again has both versions behind it.
    fleet.define("web", 0);
    fleet.update("s", json!({"taskDefinition": "web:3"}));
    let shown = deployment(&mut fleet);
    assert_eq!(shown["sourceServiceRevisions"].as_array().unwrap().len(), 2);
    fleet.settle();
    // There is no room beyond the eight: the second version makes way, and the third is a success too.
    let of = |fleet: &Fleet, revision| {
        fleet.tasks("s").iter().filter(|task| task.revision == revision).count()
    };
    assert_eq!((of(&fleet, 1), of(&fleet, 2), of(&fleet, 3)), (4, 0, 4));
    assert_eq!(status(&mut fleet), "SUCCESSFUL");
    assert!(!is_steady(&mut fleet));
    protect(&mut fleet, &all, false);
    fleet.settle();
    assert_eq!((status(&mut fleet), fleet.counts("s")), ("SUCCESSFUL".into(), (4, 0, 4)));
    assert!(fleet.tasks("s").iter().all(|task| task.revision == 3) && is_steady(&mut fleet));
    fleet.world.survives_a_restart();
}

#[test]
fn nothing_goes_back_after_a_success() {
    let breaker = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}});
    let mut fleet = fleet(with(early(50, "DEFERRED"), breaker));
    deploy(&mut fleet);
    come_up(&mut fleet, 2);
    assert_eq!(status(&mut fleet), "SUCCESSFUL");
    for _ in 0..6 {
        become_(&mut fleet, TaskStatus::Stopped, 1);
        fleet.world.pass(10 * MINUTE);
        fleet.settle();
    }
    let service = fleet.service("s");
    assert_eq!(service["deployments"].as_array().unwrap().len(), 1);
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
    assert_eq!((status(&mut fleet), present(&fleet)), ("SUCCESSFUL".into(), (0, 4)));
    let arn = deployment(&mut fleet)["serviceDeploymentArn"].clone();
    let refused =
        fleet.world.refusal("StopServiceDeployment", json!({"serviceDeploymentArn": arn}));
    assert_eq!(refused.0, "ConflictException");
    // One that did well and dies has another in its place, as in any service.
    let well = fleet.tasks("s").into_iter().find(|t| t.observed_status == TaskStatus::Running);
    fleet.observe(well.unwrap().id, TaskStatus::Stopped);
    fleet.world.pass(10 * MINUTE);
    fleet.settle();
    come_up(&mut fleet, 3);
    assert!(is_steady(&mut fleet));
}

#[test]
fn an_alarm_ends_a_deployment_and_no_success() {
    for first in [false, true] {
        let alarms = json!({"alarmNames": ["errors"], "enable": true, "rollback": true});
        let mut fleet = fleet(with(early(50, "BLOCKING"), json!({"alarms": alarms})));
        deploy(&mut fleet);
        let old = fleet.tasks("s").into_iter().find(|task| task.revision == 1).unwrap();
        protect(&mut fleet, &[old.id.to_string()], true);
        come_up(&mut fleet, 2);
        // Enough do well, and one of the old ones does not go yet.
        assert_eq!((status(&mut fleet), present(&fleet)), ("IN_PROGRESS".into(), (1, 4)));
        if first {
            protect(&mut fleet, &[old.id.to_string()], false);
            fleet.settle();
        }
        fleet.world.report(Told(|tx: &mut Tx<'_>| {
            ops::observe_alarm(tx, "123456789012/us-east-1".parse().unwrap(), "errors", true);
        }));
        fleet.settle();
        let expected = match first {
            true => ("SUCCESSFUL".to_owned(), (0, 4)),
            false => ("ROLLBACK_SUCCESSFUL".to_owned(), (4, 0)),
        };
        assert_eq!((status(&mut fleet), present(&fleet)), expected);
        fleet.world.survives_a_restart();
    }
}

/// What is between two versions when a third is held before its tasks come waits for it.
#[test]
fn a_held_deployment_does_not_disturb_what_goes_on_behind_it() {
    let mut fleet = fleet(early(50, "DEFERRED"));
    deploy(&mut fleet);
    come_up(&mut fleet, 2);
    assert_eq!((status(&mut fleet), present(&fleet)), ("SUCCESSFUL".into(), (0, 4)));
    fleet.define("web", 0);
    let pause = json!({"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"]});
    fleet.update(
        "s",
        json!({"taskDefinition": "web:3",
        "deploymentConfiguration": {"lifecycleHooks": [pause]}}),
    );
    come_up(&mut fleet, 2);
    let shown = deployment(&mut fleet);
    assert_eq!((&shown["lifecycleStage"], present(&fleet)), (&json!("PRE_SCALE_UP"), (0, 4)));
    assert_eq!(fleet.counts("s"), (4, 0, 4), "the version that serves becomes whole");
    let input = json!({"serviceDeploymentArn": shown["serviceDeploymentArn"],
        "hookId": shown["lifecycleHookDetails"][0]["hookId"]});
    fleet.world.call("ContinueServiceDeployment", input);
    fleet.settle();
    assert_eq!((status(&mut fleet), fleet.counts("s")), ("SUCCESSFUL".into(), (4, 0, 4)));
    assert!(fleet.tasks("s").iter().all(|task| task.revision == 3) && is_steady(&mut fleet));
    fleet.world.survives_a_restart();
}

#[test]
fn before_it_the_breaker_goes_back_and_the_way_back_is_whole() {
    let breaker = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}});
    let mut fleet = fleet(with(early(50, "DEFERRED"), breaker));
    deploy(&mut fleet);
    come_up(&mut fleet, 1);
    fleet.fates.insert(1, Fate::Hangs);
    become_(&mut fleet, TaskStatus::Stopped, 3);
    fleet.world.pass(Duration::from_secs(1));
    assert_eq!(status(&mut fleet), "ROLLBACK_IN_PROGRESS");
    fleet.settle();
    // Three of four serve, which is more than half, and no success.
    assert_eq!(status(&mut fleet), "ROLLBACK_IN_PROGRESS");
    fleet.fates.clear();
    fleet.settle();
    assert_eq!((status(&mut fleet), present(&fleet)), ("ROLLBACK_SUCCESSFUL".into(), (4, 0)));
    assert!(is_steady(&mut fleet));
    fleet.world.survives_a_restart();
}

#[test]
fn at_least_one_task_must_do_well_where_any_is_wanted() {
    let mut some = fleet(early(0, "DEFERRED"));
    deploy(&mut some);
    assert_eq!(status(&mut some), "IN_PROGRESS");
    come_up(&mut some, 1);
    assert_eq!(status(&mut some), "SUCCESSFUL");
    let mut none = fleet(early(0, "BLOCKING"));
    none.update("s", json!({"desiredCount": 0}));
    none.settle();
    deploy(&mut none);
    assert_eq!(status(&mut none), "SUCCESSFUL");
}

#[test]
fn enough_is_a_part_of_what_is_wanted_now() {
    let mut fleet = fleet(early(50, "DEFERRED"));
    deploy(&mut fleet);
    fleet.update("s", json!({"desiredCount": 8}));
    fleet.settle();
    come_up(&mut fleet, 3);
    assert_eq!(status(&mut fleet), "IN_PROGRESS");
    fleet.update("s", json!({"desiredCount": 6}));
    fleet.settle();
    assert_eq!(status(&mut fleet), "SUCCESSFUL");
}

#[test]
fn it_bakes_before_the_old_ones_have_to_go() {
    for cleanup in ["BLOCKING", "DEFERRED"] {
        let mut fleet = fleet(with(early(50, cleanup), json!({"bakeTimeInMinutes": 5})));
        fleet.world.pass(5 * MINUTE);
        assert_eq!(status(&mut fleet), "SUCCESSFUL", "the first has nothing to clean up");
        deploy(&mut fleet);
        assert_eq!(deployment(&mut fleet)["lifecycleStage"], "SCALE_UP");
        come_up(&mut fleet, 2);
        assert_eq!(deployment(&mut fleet)["lifecycleStage"], "BAKE_TIME");
        assert_eq!(present(&fleet), (2, 4), "as many as desired serve");
        fleet.world.pass(5 * MINUTE);
        let shown = deployment(&mut fleet);
        let success = if cleanup == "DEFERRED" { "SUCCESSFUL" } else { "IN_PROGRESS" };
        assert_eq!(
            (&shown["status"], &shown["lifecycleStage"]),
            (&json!(success), &json!("CLEAN_UP"))
        );
        fleet.settle();
        assert_eq!((status(&mut fleet), present(&fleet)), ("SUCCESSFUL".into(), (0, 4)));
        fleet.world.survives_a_restart();
    }
}

#[test]
fn a_daemon_is_a_success_on_enough_of_its_hosts() {
    let mut fleet = Fleet::new(4);
    let criteria = json!({"enable": true, "healthyPercent": 75,
        "sourceServiceRevisionCleanup": "DEFERRED"});
    let input = json!({"cluster": "c", "serviceName": "s", "taskDefinition": "web",
        "schedulingStrategy": "DAEMON", "deploymentConfiguration":
        {"minimumHealthyPercent": 50, "earlySuccessCriteria": criteria}});
    fleet.world.call("CreateService", input);
    fleet.settle();
    fleet.define("web", 0);
    fleet.fates.insert(2, Fate::Hangs);
    deploy(&mut fleet);
    come_up(&mut fleet, 2);
    assert_eq!(status(&mut fleet), "IN_PROGRESS");
    come_up(&mut fleet, 1);
    assert_eq!((status(&mut fleet), present(&fleet)), ("SUCCESSFUL".into(), (0, 4)));
    assert!(!is_steady(&mut fleet));
    come_up(&mut fleet, 1);
    assert!(is_steady(&mut fleet));
}

#[test]
fn what_is_given_goes_together() {
    let mut fleet = Fleet::new(1);
    let mut refusal = |configuration: Value, more: Value| {
        let input = json!({"cluster": "c", "serviceName": "s", "taskDefinition": "web",
            "desiredCount": 1, "deploymentConfiguration": configuration});
        fleet.world.refusal("CreateService", with(input, more)).1
    };
    let with_criteria = |criteria: Value| json!({"earlySuccessCriteria": criteria});
    let both = "healthyPercent and sourceServiceRevisionCleanup must be specified when \
                earlySuccessCriteria is enabled.";
    let half = json!({"enable": true, "healthyPercent": 100});
    assert_eq!(refusal(with_criteria(half), json!({})), both);
    let other = json!({"enable": true, "sourceServiceRevisionCleanup": "BLOCKING"});
    assert_eq!(refusal(with_criteria(other), json!({})), both);
    let low = json!({"minimumHealthyPercent": 60});
    let text = "healthyPercent must be between minimumHealthyPercent (60) and 100.";
    assert_eq!(refusal(with(early(50, "BLOCKING"), low), json!({})), text);
    let green = json!({"strategy": "BLUE_GREEN"});
    let text = "earlySuccessCriteria is not valid for the BLUE_GREEN strategy.";
    assert_eq!(refusal(with(early(50, "BLOCKING"), green), json!({})), text);
    let external = json!({"deploymentController": {"type": "CODE_DEPLOY"}});
    let text = "Early success criteria are only supported with ECS deployment controller. Update \
                to ECS deployment controller and try again.";
    assert_eq!(refusal(early(50, "BLOCKING"), external), text);
}

#[test]
fn what_is_not_given_stays_but_for_another_strategy() {
    let mut fleet = fleet(early(50, "BLOCKING"));
    let shown = |answer: Value| answer["deploymentConfiguration"]["earlySuccessCriteria"].clone();
    let all = early(50, "BLOCKING")["earlySuccessCriteria"].clone();
    let update = json!({"deploymentConfiguration": {"maximumPercent": 150}});
    assert_eq!(shown(fleet.update("s", update)), all);
    let update = json!({"cluster": "c", "service": "s",
        "deploymentConfiguration": {"minimumHealthyPercent": 75}});
    let refused = fleet.world.refusal("UpdateService", update).1;
    assert!(refused.starts_with("healthyPercent must be between"), "{refused}");
    let off = json!({"enable": false});
    let update = json!({"deploymentConfiguration": {"earlySuccessCriteria": off}});
    assert_eq!(shown(fleet.update("s", update)), off);
    let update = json!({"deploymentConfiguration": {"strategy": "BLUE_GREEN"}});
    assert_eq!(shown(fleet.update("s", update)), json!(null));
}
