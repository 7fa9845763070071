//! Deployments that shift traffic, from their first stage to their end, with time moved by hand.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use core_task::{Desired, TaskStatus};
use serde_json::{Value, json};
use service_ecs::feeds::hooks::{HookCall, due};
use service_ecs::ops;
use service_ecs::reports::{Answer, HookCalled};
use service_ecs::rows::service::Service;
use world::fleet::{Fate, Fleet};

const MINUTE: Duration = Duration::from_secs(60);

/// What a neighbour would say of an alarm.
struct Rings(bool);

impl core_step::Report for Rings {
    fn apply(self: Box<Self>, tx: &mut core_state::Tx<'_>) -> Box<dyn std::any::Any + Send> {
        let service = tx.all::<Service>().next().unwrap();
        let scope = service.key.0.0;
        ops::observe_alarm(tx, scope, "errors", self.0);
        Box::new(())
    }
}

/// A service of two tasks that is to be deployed so, at rest.
fn fleet(configuration: Value) -> Fleet {
    let mut fleet = Fleet::new(2);
    fleet.create("s", json!({"deploymentConfiguration": configuration}));
    settle(&mut fleet);
    fleet.define("web", 0);
    fleet
}

/// Agents do what they are told, and what crashes at its start has crashed by then.
fn settle(fleet: &mut Fleet) {
    while fleet.turn() {}
    fleet.world.pass(Duration::from_secs(3));
    while fleet.turn() {}
}

fn deploy(fleet: &mut Fleet) {
    fleet.update("s", json!({"taskDefinition": "web:2"}));
    settle(fleet);
}

/// The newest service deployment.
fn deployment(fleet: &mut Fleet) -> Value {
    let input = json!({"cluster": "c", "service": "s"});
    let all = fleet.world.call("ListServiceDeployments", input)["serviceDeployments"].clone();
    let arns = json!([all[0]["serviceDeploymentArn"]]);
    let input = json!({"serviceDeploymentArns": arns});
    fleet.world.call("DescribeServiceDeployments", input)["serviceDeployments"][0].clone()
}

fn stage(fleet: &mut Fleet) -> String {
    deployment(fleet)["lifecycleStage"].as_str().unwrap_or_default().to_owned()
}

/// Of the new version: of users and of tests, in percent.
fn weights(fleet: &mut Fleet) -> (f64, f64) {
    let shown = deployment(fleet);
    let target = &shown["targetServiceRevision"];
    let of = |what: &str| target[what].as_f64().unwrap();
    let weights = (of("requestedProductionTrafficWeight"), of("requestedTestTrafficWeight"));
    let sources = shown["sourceServiceRevisions"].as_array().unwrap().iter();
    let rest: f64 =
        sources.map(|one| one["requestedProductionTrafficWeight"].as_f64().unwrap()).sum();
    let first = shown["sourceServiceRevisions"] == json!([]);
    assert_eq!(rest, if first { 0.0 } else { 100.0 - weights.0 });
    weights
}

/// Tasks that run and stay, by revision of their definition.
fn running(fleet: &Fleet) -> (usize, usize) {
    let tasks = fleet.tasks("s");
    let of = |revision| {
        let own = tasks.iter().filter(|task| task.revision == revision);
        own.filter(|task| {
            task.observed_status == TaskStatus::Running && task.desired_status == Desired::Running
        })
        .count()
    };
    (of(1), of(2))
}

fn calls(fleet: &Fleet) -> Vec<HookCall> {
    let mut all = Vec::new();
    due(fleet.world.core.state(), &mut |call| all.push(call));
    all
}

fn answer(fleet: &mut Fleet, call: &HookCall, said: Value) {
    let HookCall { deployment, hook, number, .. } = call.clone();
    let answer = Answer::Told(said.to_string().into_bytes());
    fleet.world.report(HookCalled { deployment, hook, number, answer });
}

fn webhook(stages: &[&str]) -> Value {
    json!({"hookTargetArn": "http://hooks.example/check", "lifecycleStages": stages})
}

#[test]
fn green_takes_over_from_blue_once_it_is_whole_and_baked() {
    let mut fleet = fleet(json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5}));
    // The first deployment has nobody to take over from: it does not bake.
    assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL");
    assert_eq!(weights(&mut fleet), (100.0, 100.0));
    fleet.update("s", json!({"taskDefinition": "web:2"}));
    assert_eq!(stage(&mut fleet), "SCALE_UP");
    assert_eq!(weights(&mut fleet), (0.0, 0.0));
    assert_eq!(fleet.tasks("s").len(), 4);
    let shown = fleet.service("s");
    let counts: Vec<_> = shown["deployments"].as_array().unwrap().iter().collect();
    assert_eq!((&counts[0]["desiredCount"], &counts[1]["desiredCount"]), (&json!(2), &json!(2)));
    settle(&mut fleet);
    assert_eq!(stage(&mut fleet), "BAKE_TIME");
    assert_eq!(weights(&mut fleet), (100.0, 100.0));
    assert_eq!(running(&fleet), (2, 2), "blue is whole while green bakes");
    let key = fleet.world.core.state().all::<Service>().next().unwrap().key.clone();
    let traffic = ops::traffic(fleet.world.core.state(), &key);
    assert_eq!(traffic.iter().map(|one| one.production).collect::<Vec<_>>(), [100.0, 0.0]);
    fleet.world.survives_a_restart();
    fleet.world.pass(5 * MINUTE - Duration::from_secs(3));
    settle(&mut fleet);
    let shown = deployment(&mut fleet);
    assert_eq!(
        (&shown["status"], &shown["lifecycleStage"]),
        (&json!("SUCCESSFUL"), &json!("CLEAN_UP"))
    );
    assert_eq!(running(&fleet), (0, 2));
    let service = fleet.service("s");
    assert_eq!(service["deployments"].as_array().unwrap().len(), 1);
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
    assert_eq!(service["events"][0]["message"], "(service s) has reached a steady state.");
    assert_eq!(ops::traffic(fleet.world.core.state(), &key), []);
    fleet.world.survives_a_restart();
}

#[test]
fn a_canary_has_its_share_for_a_while_and_steps_have_theirs() {
    let canary = json!({"canaryPercent": 12.5, "canaryBakeTimeInMinutes": 7});
    let mut canary = fleet(json!({"strategy": "CANARY", "canaryConfiguration": canary}));
    deploy(&mut canary);
    assert_eq!(
        (stage(&mut canary), weights(&mut canary)),
        ("PRODUCTION_TRAFFIC_SHIFT".into(), (12.5, 100.0))
    );
    canary.world.pass(7 * MINUTE);
    settle(&mut canary);
    assert_eq!(deployment(&mut canary)["status"], "SUCCESSFUL");

    let linear = json!({"stepPercent": 40.0, "stepBakeTimeInMinutes": 1});
    let mut linear = fleet(json!({"strategy": "LINEAR", "linearConfiguration": linear}));
    deploy(&mut linear);
    let mut shares = vec![weights(&mut linear).0];
    for _ in 0..2 {
        linear.world.pass(MINUTE);
        shares.push(weights(&mut linear).0);
    }
    assert_eq!(shares, [40.0, 80.0, 100.0]);
    settle(&mut linear);
    assert_eq!(running(&linear), (0, 2));
    linear.world.survives_a_restart();
}

#[test]
fn what_was_left_out_is_as_aws_has_it() {
    for (strategy, name, defaults) in [
        (
            "CANARY",
            "canaryConfiguration",
            json!({"canaryPercent": 5.0, "canaryBakeTimeInMinutes": 10}),
        ),
        ("LINEAR", "linearConfiguration", json!({"stepPercent": 10.0, "stepBakeTimeInMinutes": 6})),
    ] {
        let mut fleet = fleet(json!({"strategy": strategy}));
        let shown = fleet.service("s")["deploymentConfiguration"].clone();
        assert_eq!(shown[name], defaults);
        // Another strategy forgets it, the hooks stay.
        let hooks = json!([{"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"]}]);
        let more = json!({"deploymentConfiguration": {"lifecycleHooks": hooks}});
        fleet.update("s", more);
        let more = json!({"deploymentConfiguration": {"strategy": "BLUE_GREEN"}});
        let shown = fleet.update("s", more)["deploymentConfiguration"].clone();
        assert_eq!((&shown[name], &shown["lifecycleHooks"]), (&json!(null), &hooks));
    }
}

#[test]
fn a_pause_waits_for_its_word() {
    let hooks = json!([{"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"],
        "timeoutConfiguration": {"timeoutInMinutes": 60}}]);
    let configuration = json!({"strategy": "BLUE_GREEN", "lifecycleHooks": hooks});
    let resume = |fleet: &mut Fleet, action: &str| {
        let shown = deployment(fleet);
        let hook = &shown["lifecycleHookDetails"][0];
        assert_eq!(
            (&hook["targetType"], &hook["status"]),
            (&json!("PAUSE"), &json!("AWAITING_ACTION"))
        );
        assert_eq!(hook["timeoutAction"], "ROLLBACK");
        let input = json!({"serviceDeploymentArn": shown["serviceDeploymentArn"],
            "hookId": hook["hookId"], "action": action});
        fleet.world.call("ContinueServiceDeployment", input.clone());
        settle(fleet);
        let refusal = fleet.world.refusal("ContinueServiceDeployment", input);
        assert_eq!(refusal.0, "InvalidParameterException");
        refusal.1
    };
    let over = "Continuing a service deployment is not allowed for service deployment in terminal \
                states.";
    let mut fleet = fleet(configuration.clone());
    // The first deployment is held too.
    assert_eq!(resume(&mut fleet, "CONTINUE"), over);
    for action in ["ROLLBACK", "CONTINUE"] {
        deploy(&mut fleet);
        assert_eq!(stage(&mut fleet), "POST_TEST_TRAFFIC_SHIFT");
        assert_eq!((running(&fleet), weights(&mut fleet)), ((2, 2), (0.0, 100.0)));
        assert_eq!(resume(&mut fleet, action), over);
        let status = deployment(&mut fleet)["status"].clone();
        match action {
            "ROLLBACK" => {
                assert_eq!((status, running(&fleet)), (json!("ROLLBACK_SUCCESSFUL"), (2, 0)));
            }
            _ => assert_eq!((status, running(&fleet)), (json!("SUCCESSFUL"), (0, 2))),
        }
    }
    // Nobody says anything.
    fleet.define("web", 0);
    fleet.update("s", json!({"taskDefinition": "web:3"}));
    settle(&mut fleet);
    fleet.world.pass(60 * MINUTE);
    settle(&mut fleet);
    let shown = deployment(&mut fleet);
    assert_eq!(shown["status"], "ROLLBACK_SUCCESSFUL");
    let text =
        "Service deployment rolled back because POST_TEST_TRAFFIC_SHIFT pause hook timed out.";
    assert_eq!(shown["statusReason"], text);
    assert_eq!(shown["rollback"]["reason"], text);
    let input = json!({"serviceDeploymentArn": shown["serviceDeploymentArn"], "hookId": "x"});
    let refusal = fleet.world.refusal("ContinueServiceDeployment", input);
    assert_eq!(refusal.1, "Invalid hookId: hookId must follow the format: ecs-{hookType}-{id}");
    fleet.world.survives_a_restart();
}

#[test]
fn a_webhook_is_told_what_a_function_is_and_asked_until_it_knows() {
    let mut hook = webhook(&["PRODUCTION_TRAFFIC_SHIFT"]);
    hook["hookDetails"] = json!({"bucket": "b"});
    let mut fleet = fleet(json!({"strategy": "BLUE_GREEN", "lifecycleHooks": [hook]}));
    let first = calls(&fleet);
    answer(&mut fleet, &first[0], json!({"hookStatus": "SUCCEEDED"}));
    settle(&mut fleet);
    deploy(&mut fleet);
    let shown = deployment(&mut fleet);
    let all = calls(&fleet);
    assert_eq!((all.len(), &*all[0].url), (1, "http://hooks.example/check"));
    let told: Value = serde_json::from_str(&all[0].body).unwrap();
    let target = shown["targetServiceRevision"]["arn"].as_str().unwrap();
    let source = shown["sourceServiceRevisions"][0]["arn"].as_str().unwrap();
    assert_eq!(told["lifecycleStage"], "PRODUCTION_TRAFFIC_SHIFT");
    assert_eq!(told["resourceArn"], shown["serviceDeploymentArn"]);
    assert_eq!(
        told["executionDetails"],
        json!({"serviceArn": shown["serviceArn"], "targetServiceRevisionArn": target,
            "testTrafficWeights": {}, "productionTrafficWeights": {target: 100, source: 0}})
    );
    assert_eq!(told["hookDetails"], json!({"bucket": "b"}));
    // Not yet: it is asked again when it said, and told what it said.
    let later = json!({"hookStatus": "IN_PROGRESS", "callBackDelay": 60, "hookDetails": {"n": 1}});
    answer(&mut fleet, &all[0], later);
    // The same answer again is no news.
    answer(&mut fleet, &all[0], json!({"hookStatus": "FAILED"}));
    assert_eq!(calls(&fleet), []);
    fleet.world.pass(Duration::from_secs(59));
    assert_eq!(calls(&fleet), []);
    fleet.world.pass(Duration::from_secs(1));
    let again = calls(&fleet);
    assert_eq!((again.len(), again[0].number), (1, 2));
    let told: Value = serde_json::from_str(&again[0].body).unwrap();
    assert_eq!(told["hookDetails"], json!({"bucket": "b", "n": 1}));
    assert_eq!(stage(&mut fleet), "PRODUCTION_TRAFFIC_SHIFT");
    fleet.world.survives_a_restart();
    answer(&mut fleet, &again[0], json!({"hookStatus": "SUCCEEDED"}));
    settle(&mut fleet);
    assert_eq!(
        (deployment(&mut fleet)["status"].clone(), running(&fleet)),
        (json!("SUCCESSFUL"), (0, 2))
    );
}

#[test]
fn a_hook_that_fails_brings_users_back_at_once() {
    let target = "http://hooks.example/check";
    let failed = "Service deployment rolled back because POST_PRODUCTION_TRAFFIC_SHIFT lifecycle \
                  hook(s) failed.";
    for (said, why) in [
        (
            json!({"hookStatus": "FAILED"}),
            format!("Lifecycle hook target {target} returned FAILED status."),
        ),
        (
            json!({"fine": true}),
            format!(
                "ECS was unable to parse the response from {target} due to HookStatus must not be null"
            ),
        ),
    ] {
        let hook = webhook(&["POST_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT"]);
        let mut fleet = fleet(json!({"strategy": "BLUE_GREEN"}));
        let more = json!({"deploymentConfiguration": {"lifecycleHooks": [hook]}});
        fleet.update("s", more);
        deploy(&mut fleet);
        let call = calls(&fleet).remove(0);
        answer(&mut fleet, &call, json!({"hookStatus": "SUCCEEDED"}));
        assert_eq!(weights(&mut fleet).0, 100.0);
        let call = calls(&fleet).remove(0);
        answer(&mut fleet, &call, said);
        assert_eq!((weights(&mut fleet).0, running(&fleet)), (0.0, (2, 2)));
        let shown = deployment(&mut fleet);
        assert_eq!(shown["status"], "ROLLBACK_IN_PROGRESS");
        assert_eq!(shown["statusReason"], json!(format!("{failed} {why}")));
        // On the way back the stages of the traffic call their hooks too.
        let call = calls(&fleet).remove(0);
        let told: Value = serde_json::from_str(&call.body).unwrap();
        let target = shown["targetServiceRevision"]["arn"].as_str().unwrap();
        assert_eq!(told["executionDetails"]["productionTrafficWeights"][target], 0);
        answer(&mut fleet, &call, json!({"hookStatus": "FAILED"}));
        settle(&mut fleet);
        let shown = deployment(&mut fleet);
        assert_eq!((&shown["status"], running(&fleet)), (&json!("ROLLBACK_SUCCESSFUL"), (2, 0)));
        assert!(fleet.service("s")["taskDefinition"].as_str().unwrap().ends_with("web:1"));
        let event = format!("deployment failed: {failed} {why}");
        assert!(
            fleet.events("s").iter().any(|told| told.ends_with(&event)),
            "{:?}",
            fleet.events("s")
        );
        fleet.world.survives_a_restart();
    }
}

#[test]
fn a_webhook_that_is_not_reached_is_tried_again_and_then_given_up() {
    let mut fleet = fleet(json!({"strategy": "BLUE_GREEN"}));
    let hooks = json!([webhook(&["PRE_SCALE_UP"])]);
    fleet.update("s", json!({"deploymentConfiguration": {"lifecycleHooks": hooks}}));
    deploy(&mut fleet);
    for tries in 1..=3 {
        let HookCall { deployment, hook, number, .. } = calls(&fleet).remove(0);
        assert_eq!((number, running(&fleet)), (tries, (2, 0)), "green waits for the hook");
        let answer = Answer::Unreached("connection refused".to_owned());
        fleet.world.report(HookCalled { deployment, hook, number, answer });
        fleet.world.pass(Duration::from_secs(5));
    }
    assert_eq!(calls(&fleet), []);
    let shown = deployment(&mut fleet);
    assert_eq!(shown["status"], "ROLLBACK_SUCCESSFUL");
    let text = "Service deployment rolled back because PRE_SCALE_UP lifecycle hook(s) failed. ECS was \
                unable to invoke hook target http://hooks.example/check due to connection refused";
    assert_eq!(shown["statusReason"], text);
    assert_eq!(running(&fleet), (2, 0));
}

#[test]
fn the_first_deployment_has_nowhere_to_go_back_to() {
    let mut fleet = Fleet::new(1);
    let hooks = json!([webhook(&["POST_SCALE_UP"])]);
    let configuration = json!({"strategy": "BLUE_GREEN", "lifecycleHooks": hooks});
    fleet.create("s", json!({"deploymentConfiguration": configuration}));
    settle(&mut fleet);
    let call = calls(&fleet).remove(0);
    answer(&mut fleet, &call, json!({"hookStatus": "FAILED"}));
    settle(&mut fleet);
    let shown = deployment(&mut fleet);
    assert_eq!(shown["status"], "ROLLBACK_FAILED");
    assert_eq!(shown["statusReason"], "No rollback candidate was found to run the rollback.");
    assert_eq!(fleet.service("s")["deployments"][0]["rolloutState"], "FAILED");
    // The next one does.
    let none =
        json!({"deploymentConfiguration": {"lifecycleHooks": []}, "forceNewDeployment": true});
    fleet.update("s", none);
    settle(&mut fleet);
    settle(&mut fleet);
    assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL");
    assert_eq!(running(&fleet), (2, 0));
    fleet.world.survives_a_restart();
}

#[test]
fn the_breaker_gives_green_up_while_it_comes_up() {
    for rollback in [true, false] {
        let breaker = json!({"enable": true, "rollback": rollback});
        let configuration = json!({"strategy": "CANARY", "deploymentCircuitBreaker": breaker});
        let mut fleet = fleet(configuration);
        fleet.fates.insert(2, Fate::NeverStarts);
        deploy(&mut fleet);
        settle(&mut fleet);
        assert_eq!(running(&fleet), (2, 0), "blue is not touched");
        let shown = deployment(&mut fleet);
        let breaker = &shown["deploymentCircuitBreaker"];
        assert_eq!(breaker["status"], "TRIGGERED");
        match rollback {
            true => {
                assert_eq!(shown["status"], "ROLLBACK_SUCCESSFUL");
                let text = "Service deployment rolled back because the circuit breaker threshold \
                            was exceeded.";
                assert_eq!(shown["statusReason"], text);
            }
            false => assert_eq!(shown["status"], "STOPPED"),
        }
        fleet.world.survives_a_restart();
    }
}

#[test]
fn an_alarm_in_any_stage_brings_users_back() {
    let alarms = json!({"alarmNames": ["errors"], "enable": true, "rollback": true});
    let stages = [
        "PRE_SCALE_UP",
        "POST_SCALE_UP",
        "POST_TEST_TRAFFIC_SHIFT",
        "PRE_PRODUCTION_TRAFFIC_SHIFT",
        "POST_PRODUCTION_TRAFFIC_SHIFT",
    ];
    for held in stages.into_iter().chain(["PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME"]) {
        let mut fleet =
            fleet(json!({"strategy": "LINEAR", "alarms": alarms, "bakeTimeInMinutes": 9}));
        let hook = json!({"targetType": "PAUSE", "lifecycleStages": [held]});
        let hooks = json!([hook]);
        if stages.contains(&held) {
            fleet.update("s", json!({"deploymentConfiguration": {"lifecycleHooks": hooks}}));
        }
        deploy(&mut fleet);
        for _ in 0..20 {
            if stage(&mut fleet) == held {
                break;
            }
            fleet.world.pass(6 * MINUTE);
        }
        let shown = deployment(&mut fleet);
        assert_eq!(
            (&shown["lifecycleStage"], &shown["alarms"]["status"]),
            (&json!(held), &json!("MONITORING"))
        );
        fleet.world.report(Rings(true));
        assert_eq!(weights(&mut fleet).0, 0.0);
        settle(&mut fleet);
        let shown = deployment(&mut fleet);
        assert_eq!(
            (&shown["status"], running(&fleet)),
            (&json!("ROLLBACK_SUCCESSFUL"), (2, 0)),
            "{held}"
        );
        let alarms = &shown["alarms"];
        assert_eq!(
            (&alarms["status"], &alarms["triggeredAlarmNames"]),
            (&json!("TRIGGERED"), &json!(["errors"]))
        );
        assert!(
            fleet
                .events("s")
                .iter()
                .any(|told| told.ends_with("deployment failed: alarm detected."))
        );
        // It rings still: what is deployed to mend it is not ended by it.
        fleet.update("s", json!({"forceNewDeployment": true,
            "deploymentConfiguration": {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, "lifecycleHooks": []}}));
        settle(&mut fleet);
        settle(&mut fleet);
        assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL");
        fleet.world.survives_a_restart();
    }
}

#[test]
fn a_deployment_is_stopped_by_hand_in_any_stage() {
    for kind in ["ROLLBACK", "ABORT"] {
        for passes in 0..6 {
            let linear = json!({"stepPercent": 50.0, "stepBakeTimeInMinutes": 1});
            let configuration = json!({"strategy": "LINEAR", "linearConfiguration": linear,
                "bakeTimeInMinutes": 2});
            let mut fleet = fleet(configuration);
            fleet.update("s", json!({"taskDefinition": "web:2"}));
            if passes > 0 {
                settle(&mut fleet);
            }
            (1..passes).for_each(|_| fleet.world.pass(MINUTE));
            let before = deployment(&mut fleet);
            let arn = &before["serviceDeploymentArn"];
            let (was, share) = (stage(&mut fleet), weights(&mut fleet).0);
            let input = json!({"serviceDeploymentArn": arn, "stopType": kind});
            fleet.world.call("StopServiceDeployment", input.clone());
            for _ in 0..3 {
                settle(&mut fleet);
            }
            let after = deployment(&mut fleet);
            match kind {
                "ROLLBACK" => {
                    assert_eq!(
                        (&after["status"], running(&fleet)),
                        (&json!("ROLLBACK_SUCCESSFUL"), (2, 0)),
                        "{was}"
                    );
                    assert_eq!(weights(&mut fleet), (0.0, 0.0));
                }
                _ => {
                    assert_eq!(after["status"], "STOPPED", "{was}");
                    assert_eq!(weights(&mut fleet).0, share, "{was}: traffic stays where it is");
                    // A new deployment puts the service in order.
                    fleet.update("s", json!({"forceNewDeployment": true}));
                    (0..8).for_each(|_| {
                        settle(&mut fleet);
                        fleet.world.pass(MINUTE)
                    });
                    settle(&mut fleet);
                    assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL", "{was}");
                    assert_eq!(running(&fleet), (0, 2), "{was}");
                }
            }
            let refusal = fleet.world.refusal("StopServiceDeployment", input);
            assert_eq!(refusal.0, "ConflictException");
            fleet.world.survives_a_restart();
        }
    }
}

#[test]
fn a_newer_deployment_puts_the_service_in_order_first() {
    let canary = json!({"canaryPercent": 20.0, "canaryBakeTimeInMinutes": 30});
    let mut fleet = fleet(json!({"strategy": "CANARY", "canaryConfiguration": canary}));
    deploy(&mut fleet);
    assert_eq!((running(&fleet), weights(&mut fleet).0), ((2, 2), 20.0));
    let superseded = deployment(&mut fleet)["serviceDeploymentArn"].clone();
    fleet.define("web", 0);
    fleet.update("s", json!({"taskDefinition": "web:3"}));
    // Users are with blue again, and the version between is on its way out.
    assert_eq!((stage(&mut fleet), weights(&mut fleet)), ("RECONCILE_SERVICE".into(), (0.0, 0.0)));
    assert_eq!(running(&fleet), (2, 0));
    settle(&mut fleet);
    settle(&mut fleet);
    assert_eq!(
        (stage(&mut fleet), weights(&mut fleet).0),
        ("PRODUCTION_TRAFFIC_SHIFT".into(), 20.0)
    );
    fleet.world.pass(30 * MINUTE);
    settle(&mut fleet);
    assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL");
    assert_eq!(running(&fleet), (0, 0));
    assert_eq!(fleet.counts("s"), (2, 0, 2));
    let input = json!({"serviceDeploymentArns": [superseded]});
    let old =
        fleet.world.call("DescribeServiceDeployments", input)["serviceDeployments"][0].clone();
    assert_eq!(old["status"], "STOPPED");
    fleet.world.survives_a_restart();
}

#[test]
fn both_versions_follow_the_desired_count_and_are_kept() {
    let mut fleet = fleet(json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 10}));
    deploy(&mut fleet);
    assert_eq!(stage(&mut fleet), "BAKE_TIME");
    fleet.update("s", json!({"desiredCount": 4}));
    settle(&mut fleet);
    assert_eq!(running(&fleet), (4, 4));
    // A task of each is lost: both are made whole.
    let lost: Vec<_> =
        [1, 2].map(|n| fleet.tasks("s").iter().find(|t| t.revision == n).unwrap().id).into();
    lost.into_iter().for_each(|task| fleet.observe(task, TaskStatus::Stopped));
    settle(&mut fleet);
    assert_eq!(running(&fleet), (4, 4));
    fleet.update("s", json!({"desiredCount": 1}));
    settle(&mut fleet);
    assert_eq!(running(&fleet), (1, 1));
    fleet.world.pass(10 * MINUTE);
    settle(&mut fleet);
    assert_eq!((running(&fleet), fleet.counts("s")), ((0, 1), (1, 0, 1)));
    fleet.world.survives_a_restart();
}

#[test]
fn a_stage_lasts_a_day_at_most() {
    let mut fleet = fleet(json!({"strategy": "BLUE_GREEN"}));
    fleet.fates.insert(2, Fate::Hangs);
    deploy(&mut fleet);
    fleet.world.pass(Duration::from_secs(24 * 3600));
    settle(&mut fleet);
    let shown = deployment(&mut fleet);
    let text = "Service deployment rolled back because SCALE_UP lifecycle stage timed out.";
    assert_eq!(shown["statusReason"], text);
    assert_eq!(running(&fleet), (2, 0));
}

#[test]
fn what_rolls_is_held_by_hooks_and_bakes() {
    let hooks =
        json!([{"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP", "POST_SCALE_UP"]}]);
    let mut fleet = fleet(json!({"strategy": "ROLLING"}));
    let more = json!({"lifecycleHooks": hooks, "bakeTimeInMinutes": 3});
    fleet.update("s", json!({"deploymentConfiguration": more}));
    deploy(&mut fleet);
    for (stage, tasks) in [("PRE_SCALE_UP", (2, 0)), ("POST_SCALE_UP", (0, 2))] {
        let shown = deployment(&mut fleet);
        assert_eq!((&shown["lifecycleStage"], running(&fleet)), (&json!(stage), tasks));
        assert!(shown["targetServiceRevision"]["requestedProductionTrafficWeight"].is_null());
        // What is lost while it is held is replaced.
        let lost = fleet.tasks("s")[0].id;
        fleet.observe(lost, TaskStatus::Stopped);
        settle(&mut fleet);
        assert_eq!(running(&fleet), tasks);
        let hook = &shown["lifecycleHookDetails"][0]["hookId"];
        let input = json!({"serviceDeploymentArn": shown["serviceDeploymentArn"], "hookId": hook});
        fleet.world.call("ContinueServiceDeployment", input);
        (0..3).for_each(|_| settle(&mut fleet));
        fleet.world.survives_a_restart();
    }
    assert_eq!(stage(&mut fleet), "BAKE_TIME");
    fleet.world.pass(3 * MINUTE);
    settle(&mut fleet);
    assert_eq!(deployment(&mut fleet)["status"], "SUCCESSFUL");
    // Going back rolls too.
    let more = json!({"taskDefinition": "web:1"});
    fleet.update("s", more);
    settle(&mut fleet);
    let arn = deployment(&mut fleet)["serviceDeploymentArn"].clone();
    fleet.world.call("StopServiceDeployment", json!({"serviceDeploymentArn": arn}));
    (0..3).for_each(|_| settle(&mut fleet));
    assert_eq!(deployment(&mut fleet)["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(running(&fleet), (0, 2));
    fleet.world.survives_a_restart();
}
