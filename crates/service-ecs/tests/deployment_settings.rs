//! What a deployment may not be asked to be, in AWS's words.

#![allow(clippy::unwrap_used)]

mod world;

use serde_json::{Value, json};
use world::fleet::Fleet;

#[test]
fn what_may_not_be_asked_for() {
    let mut fleet = Fleet::new(1);
    let pause = |stage: &str| json!({"targetType": "PAUSE", "lifecycleStages": [stage]});
    let target =
        |target: &str| json!({"hookTargetArn": target, "lifecycleStages": ["PRE_SCALE_UP"]});
    let hooks = |hook: Value| json!({"strategy": "BLUE_GREEN", "lifecycleHooks": [hook]});
    let lambda = "arn:aws:lambda:us-east-1:123456789012:function:f";
    for (configuration, text) in [
        (
            json!({"strategy": "BLUE"}),
            "strategy should be one of [ROLLING,BLUE_GREEN,LINEAR,CANARY]",
        ),
        (hooks(pause("TEST_TRAFFIC_SHIFT")), "Invalid lifecycle stage provided for Pause Hook"),
        (hooks(pause("BAKE_TIME")), "Invalid lifecycle stage: BAKE_TIME"),
        (
            hooks(json!({"targetType": "HTTP", "lifecycleStages": ["PRE_SCALE_UP"]})),
            "Invalid targetType. Valid values are: AWS_LAMBDA, PAUSE",
        ),
        (hooks(target("ftp://a/b")), "Invalid hookTargetArn: ftp://a/b"),
        (hooks(target("http:///b")), "Invalid hookTargetArn: http:///b"),
        (hooks(target("http://u:p@a/")), "hookTargetArn must not carry a user's name or password."),
        (
            hooks(target(lambda)),
            "Lambda functions are not available here: a lifecycle hook's hookTargetArn is the http or \
             https URL of a webhook.",
        ),
        (
            hooks(json!({"hookTargetArn": "http://a/"})),
            "lifecycleStages must be specified for a lifecycle hook.",
        ),
        (
            json!({"strategy": "BLUE_GREEN", "canaryConfiguration": {"canaryPercent": 5.0}}),
            "canaryConfiguration is not valid for the BLUE_GREEN strategy.",
        ),
        (
            json!({"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 0.05}}),
            "canaryPercent must be a multiple of 0.1 between 0.1 and 100.0.",
        ),
        (
            json!({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 2.0}}),
            "stepPercent must be a multiple of 0.1 between 3.0 and 100.0.",
        ),
        (
            json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1441}),
            "bakeTimeInMinutes must be between 0 and 1440.",
        ),
        (
            json!({"alarms": {"alarmNames": [], "enable": true, "rollback": true}}),
            "alarmNames must be specified when alarms are enabled.",
        ),
    ] {
        let input = json!({"cluster": "c", "serviceName": "s", "taskDefinition": "web",
            "desiredCount": 1, "deploymentConfiguration": configuration});
        assert_eq!(fleet.world.refusal("CreateService", input).1, text);
    }
    let daemon = json!({"cluster": "c", "serviceName": "s", "taskDefinition": "web",
        "schedulingStrategy": "DAEMON", "deploymentConfiguration": {"strategy": "BLUE_GREEN"}});
    let refusal = fleet.world.refusal("CreateService", daemon).1;
    assert!(refusal.contains("DAEMON scheduling strategy"), "{refusal}");
    let external = json!({"cluster": "c", "serviceName": "s", "desiredCount": 1,
        "deploymentController": {"type": "EXTERNAL"}, "deploymentConfiguration": {"alarms":
            {"alarmNames": ["a"], "enable": true, "rollback": true}}});
    let refusal = fleet.world.refusal("CreateService", external).1;
    let text = "Alarm based rollback feature is only supported with ECS deployment controller. Update \
                to ECS deployment controller and try again.";
    assert_eq!(refusal, text);
    let call = json!({"serviceDeploymentArn":
        "arn:aws:ecs:us-east-1:123456789012:service-deployment/c/s/none", "hookId": "ecs-pause-a"});
    let refusal = fleet.world.refusal("ContinueServiceDeployment", call);
    let text = "The service deployment does not exist.";
    assert_eq!(refusal, ("ServiceDeploymentNotFoundException".into(), text.into()));
}

/// AWS fills in what a breaker is not given, and an update keeps it.
#[test]
fn a_breaker_keeps_what_an_update_does_not_say() {
    let mut fleet = Fleet::new(1);
    let count = json!({"type": "COUNT", "value": 5});
    let breaker = json!({"enable": true, "rollback": false, "resetOnHealthyTask": false,
        "thresholdConfiguration": count});
    let configuration = json!({"deploymentConfiguration": {"deploymentCircuitBreaker": breaker}});
    let shown =
        |answer: Value| answer["deploymentConfiguration"]["deploymentCircuitBreaker"].clone();
    assert_eq!(shown(fleet.create("s", configuration)), breaker);
    let other = json!({"enable": false, "rollback": true});
    let update = json!({"deploymentConfiguration": {"deploymentCircuitBreaker": other}});
    let all = json!({"enable": false, "rollback": true, "resetOnHealthyTask": false,
        "thresholdConfiguration": count});
    assert_eq!(shown(fleet.update("s", update)), all);
}
