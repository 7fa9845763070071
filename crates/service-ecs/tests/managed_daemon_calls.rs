//! The Daemon actions as calls: what they refuse, list, and ask permission for.

#![allow(clippy::unwrap_used)]

mod world;

use serde_json::{Value, json};
use world::managed::*;

#[test]
fn what_is_asked_for_is_checked() {
    let mut fleet = managed(0);
    let group =
        "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:1:autoScalingGroupName/g";
    let input =
        json!({"name": "group", "autoScalingGroupProvider": {"autoScalingGroupArn": group}});
    fleet.world.call("CreateCapacityProvider", input);
    fleet.world.call("CreateCluster", json!({"clusterName": "other"}));
    let long = "x".repeat(37);
    let cases: &[(Value, &str, &str)] = &[
        (json!({"clusterArn": "none"}), "ClusterNotFoundException", "Cluster not found."),
        (json!({"daemonName": "a b"}), "InvalidParameterException", "Invalid daemon name"),
        (json!({"clientToken": long}), "InvalidParameterException", "36 characters"),
        (json!({"capacityProviderArns": []}), "InvalidParameterException", "between 1 and 20"),
        (json!({"capacityProviderArns": ["none"]}), "ClientException", "does not exist"),
        (json!({"capacityProviderArns": ["group"]}), "UnsupportedFeatureException", "Managed"),
        (json!({"capacityProviderArns": ["FARGATE"]}), "UnsupportedFeatureException", "Managed"),
        (json!({"capacityProviderArns": ["mi", "mi"]}), "InvalidParameterException", "twice"),
        (json!({"clusterArn": "other"}), "InvalidParameterException", "not associated"),
        (json!({"daemonTaskDefinitionArn": "none"}), "ClientException", "not found"),
        (
            json!({"deploymentConfiguration": {"bakeTimeInMinutes": 1441}}),
            "InvalidParameterException",
            "bakeTimeInMinutes",
        ),
        (
            json!({"deploymentConfiguration": {"alarms": {"enable": true}}}),
            "InvalidParameterException",
            "alarmNames",
        ),
        (json!({"propagateTags": "SERVICE"}), "InvalidParameterException", "propagateTags"),
        (
            json!({"tags": [{"key": "aws:a", "value": "b"}]}),
            "InvalidParameterException",
            "reserved",
        ),
    ];
    for (more, code, text) in cases {
        let refusal = fleet.world.refusal("CreateDaemon", creation(more.clone()));
        assert_eq!(refusal.0, *code, "{more}: {}", refusal.1);
        assert!(refusal.1.contains(text), "{more}: {}", refusal.1);
    }
    fleet.world.call("DeleteDaemonTaskDefinition", json!({"daemonTaskDefinition": "agent:1"}));
    let (code, text) = fleet.world.refusal("CreateDaemon", creation(json!({})));
    assert_eq!((code.as_str(), text.contains("inactive")), ("ClientException", true), "{text}");
}

#[test]
fn a_daemon_is_found_by_its_arn() {
    let mut fleet = managed(0);
    create(&mut fleet, json!({}));
    for (given, code) in [
        ("", "InvalidParameterException"),
        ("d", "InvalidParameterException"),
        (&format!("{ARN}service/c/d"), "InvalidParameterException"),
        (&format!("{ARN}daemon/c/e"), "DaemonNotFoundException"),
        (&format!("{ARN}daemon/e/d"), "ClusterNotFoundException"),
        ("arn:aws:ecs:eu-west-1:123456789012:daemon/c/d", "DaemonNotFoundException"),
        ("arn:aws:ecs:us-east-1:210987654321:daemon/c/d", "DaemonNotFoundException"),
    ] {
        for action in ["DescribeDaemon", "DeleteDaemon", "ListDaemonDeployments"] {
            let refusal = fleet.world.refusal(action, json!({"daemonArn": given}));
            assert_eq!(refusal.0, code, "{action} {given}: {}", refusal.1);
        }
    }
    let input = json!({"cluster": "c", "daemonName": "e"});
    assert_eq!(fleet.world.refusal("ListTasks", input).0, "DaemonNotFoundException");
    for action in ["DescribeDaemonDeployments", "DescribeDaemonRevisions"] {
        let member = ["daemonDeploymentArns", "daemonRevisionArns"];
        let member = member[usize::from(action.ends_with("Revisions"))];
        let (code, _) = fleet.world.refusal(action, json!({member: []}));
        assert_eq!(code, "InvalidParameterException");
        let answer = fleet.world.call(action, json!({member: ["nothing"]}));
        assert_eq!(answer["failures"], json!([{"arn": "nothing", "reason": "MISSING"}]));
    }
}

#[test]
fn the_same_call_under_its_token_is_the_same_daemon() {
    let mut fleet = managed(0);
    let made = create(&mut fleet, json!({"clientToken": "t"}));
    assert_eq!(create(&mut fleet, json!({"clientToken": "t"})), made);
    let other = creation(json!({"clientToken": "t", "critical": false}));
    for input in [creation(json!({})), other] {
        let (code, text) = fleet.world.refusal("CreateDaemon", input);
        assert_eq!(code, "InvalidParameterException");
        assert_eq!(text, "Creation of daemon was not idempotent.");
    }
}

#[test]
fn daemons_are_listed_by_cluster_and_provider() {
    let mut fleet = managed(0);
    provider(&mut fleet, "mi2");
    for name in ["b", "a", "c"] {
        let on = if name == "c" { "mi2" } else { "mi" };
        let more = json!({"daemonName": name, "capacityProviderArns": [provider_arn(on)]});
        create(&mut fleet, more);
    }
    let names = |answer: &Value| -> Vec<String> {
        let all = answer["daemonSummariesList"].as_array().unwrap().iter();
        all.map(|d| d["daemonArn"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    let all = fleet.world.call("ListDaemons", json!({}));
    assert_eq!(names(&all), ["a", "b", "c"]);
    assert_eq!(all["daemonSummariesList"][0]["status"], "ACTIVE");
    let by = json!({"capacityProviderArns": [provider_arn("mi2")], "clusterArn": "c"});
    assert_eq!(names(&fleet.world.call("ListDaemons", by)), ["c"]);
    let first = fleet.world.call("ListDaemons", json!({"maxResults": 2, "clusterArn": "c"}));
    assert_eq!(names(&first), ["a", "b"]);
    let rest = json!({"nextToken": first["nextToken"], "clusterArn": "c"});
    assert_eq!(names(&fleet.world.call("ListDaemons", rest)), ["c"]);
    let (code, _) = fleet.world.refusal("ListDaemons", json!({"clusterArn": "none"}));
    assert_eq!(code, "ClusterNotFoundException");
    let (code, _) = fleet.world.refusal("ListDaemons", json!({"maxResults": 101}));
    assert_eq!(code, "InvalidParameterException");
}

#[test]
fn daemons_have_tags_and_guard_their_cluster() {
    let mut fleet = managed(0);
    create(&mut fleet, json!({"tags": [{"key": "a", "value": "b"}]}));
    let arn = json!({"resourceArn": daemon_arn()});
    let more = json!({"resourceArn": daemon_arn(), "tags": [{"key": "c", "value": "d"}]});
    fleet.world.call("TagResource", more);
    let tags = fleet.world.call("ListTagsForResource", arn)["tags"].clone();
    assert_eq!(tags, json!([{"key": "a", "value": "b"}, {"key": "c", "value": "d"}]));
    let (code, _) = fleet.world.refusal("DeleteCluster", json!({"cluster": "c"}));
    assert_eq!(code, "ClusterContainsCapacityProviderException");
}

#[test]
fn each_asks_for_its_permissions() {
    let mut fleet = managed(0);
    let role = "arn:aws:iam::123456789012:role/task";
    let container = json!({"name": "agent", "image": "agent:1"});
    let input = json!({"family": "sized", "cpu": "512", "memory": "1024", "taskRoleArn": role,
        "containerDefinitions": [container]});
    fleet.world.call("RegisterDaemonTaskDefinition", input);
    let more = json!({"daemonTaskDefinitionArn": "sized", "enableExecuteCommand": true,
        "propagateTags": "NONE", "tags": [{"key": "a", "value": "b"}]});
    create(&mut fleet, more);
    let on = daemon_arn();
    assert_eq!(
        fleet.world.demanded(),
        [
            format!("ecs:CreateDaemon {on}"),
            format!("iam:PassRole {role}"),
            format!("ecs:TagResource {on}")
        ]
    );
    let conditions = fleet.world.conditions();
    for (key, value) in [
        ("ecs:cluster", format!("{ARN}cluster/c")),
        ("ecs:daemon-task-definition", format!("{ARN}daemon-task-definition/sized:1")),
        ("ecs:capacity-provider", provider_arn("mi")),
        ("ecs:enable-execute-command", "true".to_owned()),
        ("ecs:propagate-tags", "NONE".to_owned()),
        ("ecs:task-cpu", "512".to_owned()),
        ("ecs:task-memory", "1024".to_owned()),
        ("aws:RequestTag/a", "b".to_owned()),
    ] {
        assert!(conditions.contains(&(key.to_owned(), vec![value])), "{key}: {conditions:?}");
    }
    let deployment = describe(&mut fleet)["deploymentArn"].as_str().unwrap().to_owned();
    assert_eq!(fleet.world.demanded(), [format!("ecs:DescribeDaemon {on}")]);
    let tag = ("aws:ResourceTag/a".to_owned(), vec!["b".to_owned()]);
    assert!(fleet.world.conditions().contains(&tag));
    let input = json!({"daemonDeploymentArns": [deployment]});
    fleet.world.call("DescribeDaemonDeployments", input);
    let action = "ecs:DescribeDaemonDeployments";
    assert_eq!(
        fleet.world.demanded(),
        [format!("{action} {on}"), format!("{action} {deployment}")]
    );
    assert!(fleet.world.conditions().contains(&("ecs:daemon".to_owned(), vec![on.clone()])));
    fleet.world.call("ListDaemons", json!({"clusterArn": "c"}));
    assert_eq!(fleet.world.demanded(), ["ecs:ListDaemons *"]);
    fleet.world.call("ListDaemonDeployments", json!({"daemonArn": on}));
    assert_eq!(fleet.world.demanded(), [format!("ecs:ListDaemonDeployments {on}")]);
    fleet.world.call("DeleteDaemon", json!({"daemonArn": on}));
    assert_eq!(fleet.world.demanded(), [format!("ecs:DeleteDaemon {on}")]);
}
