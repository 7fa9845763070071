//! Container instances, their attributes, and tags on everything.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use serde_json::{Value, json};
use world::{World, ends};

const DOCUMENT: &str = r#"{"instanceId":"i-1","instanceType":"t3.large","imageId":"ami-1",
    "availabilityZone":"us-east-1a","region":"us-east-1","accountId":"123456789012"}"#;

fn registration() -> Value {
    json!({
        "cluster": "c",
        "instanceIdentityDocument": DOCUMENT,
        "attributes": [{"name": "ecs.os-type", "value": "linux"}, {"name": "gpu"}],
        "totalResources": [
            {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
            {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
        ],
        "versionInfo": {"agentVersion": "1.105.1", "dockerVersion": "x"},
        "tags": [{"key": "team", "value": "red"}],
    })
}

fn world() -> World {
    let mut world = World::new();
    world.call("CreateCluster", json!({"clusterName": "c"}));
    world
}

fn register(world: &mut World, input: Value) -> String {
    let answer = world.call("RegisterContainerInstance", input);
    answer["containerInstance"]["containerInstanceArn"].as_str().unwrap().to_owned()
}

#[test]
fn an_agent_registers_and_gets_everything_back() {
    let mut world = world();
    let answer = world.call("RegisterContainerInstance", registration());
    let shown = &answer["containerInstance"];
    let arn = shown["containerInstanceArn"].as_str().unwrap();
    let start = "arn:aws:ecs:us-east-1:123456789012:container-instance/c/";
    assert_eq!(arn.strip_prefix(start).map(str::len), Some(32));
    assert_eq!(
        shown["attributes"],
        json!([
            {"name": "ecs.os-type", "value": "linux"}, {"name": "gpu"},
            {"name": "ecs.availability-zone", "value": "us-east-1a"},
            {"name": "ecs.instance-type", "value": "t3.large"},
            {"name": "ecs.ami-id", "value": "ami-1"},
        ])
    );
    assert_eq!(
        shown["registeredResources"][0],
        json!({"name": "CPU", "type": "INTEGER", "integerValue": 2048, "longValue": 0,
            "doubleValue": 0.0})
    );
    assert_eq!(shown["remainingResources"], shown["registeredResources"]);
    for (key, value) in [
        ("status", json!("ACTIVE")),
        ("ec2InstanceId", json!("i-1")),
        ("agentConnected", json!(false)),
        ("runningTasksCount", json!(0)),
        ("versionInfo", registration()["versionInfo"].clone()),
        ("tags", registration()["tags"].clone()),
        ("version", json!(1)),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    let arn = arn.to_owned();
    // The same machine again, with its ARN and without, is the same instance.
    assert_eq!(register(&mut world, registration()), arn);
    let mut again = registration();
    again["containerInstanceArn"] = json!(arn);
    assert_eq!(register(&mut world, again), arn);
    let described = world.call("DescribeClusters", json!({"clusters": ["c"]}));
    assert_eq!(described["clusters"][0]["registeredContainerInstancesCount"], 1);

    let mut resized = registration();
    resized["instanceIdentityDocument"] = json!(DOCUMENT.replace("t3.large", "t3.small"));
    let (code, text) = world.refusal("RegisterContainerInstance", resized);
    assert_eq!(code, "ClientException");
    assert!(text.starts_with("Container instance type changes are not supported."), "{text}");
    let mut broken = registration();
    broken["instanceIdentityDocument"] = json!("{");
    assert_eq!(world.refusal("RegisterContainerInstance", broken).0, "ClientException");
    let mut nowhere = registration();
    nowhere["cluster"] = json!("nowhere");
    let refusal = world.refusal("RegisterContainerInstance", nowhere);
    assert_eq!(refusal, ("ClusterNotFoundException".into(), "Cluster not found.".into()));
    world.survives_a_restart();
}

#[test]
fn instances_drain_and_leave() {
    let mut world = world();
    let arn = register(&mut world, registration());
    let id = ends(&json!([arn]))[0].clone();
    let update = |status: &str, names: Value| {
        let mut input = json!({"cluster": "c", "status": status});
        input["containerInstances"] = names;
        input
    };
    let answer =
        world.call("UpdateContainerInstancesState", update("DRAINING", json!([id, "nobody"])));
    assert_eq!(answer["containerInstances"][0]["status"], "DRAINING");
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
    let (code, text) = world.refusal("UpdateContainerInstancesState", update("GONE", json!([id])));
    assert_eq!(code, "InvalidParameterException");
    assert_eq!(text, "Container instance status should be one of [ACTIVE, DRAINING]");
    let list = |world: &mut World, more: Value| {
        let mut input = json!({"cluster": "c"});
        more.as_object().unwrap().iter().for_each(|(k, v)| input[k] = v.clone());
        ends(&world.call("ListContainerInstances", input)["containerInstanceArns"])
    };
    assert_eq!(list(&mut world, json!({"status": "ACTIVE"})).len(), 0);
    assert_eq!(list(&mut world, json!({"status": "DRAINING"})).len(), 1);
    assert_eq!(list(&mut world, json!({})), std::slice::from_ref(&id));
    for (filter, many) in [
        ("attribute:ecs.instance-type == t3.large and agentVersion > 1.30.0", 1),
        ("attribute:ecs.instance-type =~ t2.*", 0),
        ("ec2InstanceId in ['i-1']", 1),
        ("attribute:gpu exists and runningTasksCount == 0", 1),
        ("task:group == service:web", 0),
    ] {
        assert_eq!(list(&mut world, json!({"filter": filter})).len(), many, "{filter}");
    }
    let bad = json!({"cluster": "c", "filter": "what"});
    assert_eq!(world.refusal("ListContainerInstances", bad).0, "InvalidParameterException");

    let (code, _) = world.refusal("DeleteCluster", json!({"cluster": "c"}));
    assert_eq!(code, "ClusterContainsContainerInstancesException");
    let short = format!("arn:aws:ecs:us-east-1:123456789012:container-instance/{id}");
    let leave = json!({"cluster": "c", "containerInstance": short});
    let gone = world.call("DeregisterContainerInstance", leave.clone());
    assert_eq!(gone["containerInstance"]["status"], "INACTIVE");
    let (code, text) = world.refusal("DeregisterContainerInstance", leave);
    assert_eq!(code, "InvalidParameterException");
    assert!(text.ends_with("not found."), "{text}");
    assert_eq!(list(&mut world, json!({})).len(), 0);
    let asked = json!({"cluster": "c", "containerInstances": [id, "nobody"],
        "include": ["TAGS", "CONTAINER_INSTANCE_HEALTH"]});
    let described = world.call("DescribeContainerInstances", asked.clone());
    assert_eq!(described["containerInstances"][0]["status"], "INACTIVE");
    assert!(described["containerInstances"][0]["healthStatus"].is_object());
    let failure = json!({"reason": "MISSING",
        "arn": "arn:aws:ecs:us-east-1:123456789012:container-instance/c/nobody"});
    assert_eq!(described["failures"], json!([failure]));
    let mut again = registration();
    again["containerInstanceArn"] = json!(arn);
    assert_eq!(world.refusal("RegisterContainerInstance", again).0, "InvalidParameterException");
    assert_ne!(register(&mut world, registration()), arn);
    world.pass(Duration::from_secs(3600));
    let described = world.call("DescribeContainerInstances", asked);
    assert_eq!(described["containerInstances"], json!([]));
    let empty = json!({"cluster": "c", "containerInstances": []});
    assert_eq!(world.refusal("DescribeContainerInstances", empty).0, "InvalidParameterException");
    world.survives_a_restart();
}

#[test]
fn attributes_are_put_listed_and_deleted() {
    let mut world = world();
    let arn = register(&mut world, registration());
    let id = ends(&json!([arn]))[0].clone();
    let put = |attributes: Value| json!({"cluster": "c", "attributes": attributes});
    let stack = |value: &str| json!([{"name": "stack", "value": value, "targetId": arn}]);
    let answer = world.call("PutAttributes", put(stack("test")));
    assert_eq!(answer["attributes"], stack("test"));
    assert_eq!(world.demanded(), [format!("ecs:PutAttributes {arn}")]);
    world.call("PutAttributes", put(stack("production")));
    let by_id = json!([{"name": "plain", "targetType": "container-instance", "targetId": id}]);
    world.call("PutAttributes", put(by_id.clone()));
    let list = |world: &mut World, mut input: Value| {
        input["cluster"] = json!("c");
        input["targetType"] = json!("container-instance");
        world.call("ListAttributes", input)
    };
    let found = list(&mut world, json!({"attributeName": "stack"}));
    assert_eq!(found["attributes"], stack("production"));
    let found = list(&mut world, json!({"attributeValue": "linux"}));
    assert_eq!(found["attributes"].as_array().unwrap().len(), 1);
    let (mut names, mut input) = (Vec::new(), json!({"maxResults": 2}));
    loop {
        let page = list(&mut world, input.clone());
        let attributes = page["attributes"].as_array().unwrap().clone();
        names.extend(attributes.iter().map(|a| a["name"].as_str().unwrap().to_owned()));
        match page.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => break,
        }
    }
    let all = [
        "ecs.os-type",
        "gpu",
        "ecs.availability-zone",
        "ecs.instance-type",
        "ecs.ami-id",
        "stack",
        "plain",
    ];
    assert_eq!(names, all);
    world.call("DeleteAttributes", put(by_id));
    let shown = world
        .call("DescribeContainerInstances", json!({"cluster": "c", "containerInstances": [id]}));
    let left = shown["containerInstances"][0]["attributes"].as_array().unwrap().len();
    assert_eq!(left, 6);

    for (input, code) in [
        (json!([]), "InvalidParameterException"),
        (json!([{"name": "ecs.x", "targetId": id}]), "InvalidParameterException"),
        (json!([{"name": "a b", "targetId": id}]), "InvalidParameterException"),
        (json!([{"name": "a", "value": " b", "targetId": id}]), "InvalidParameterException"),
        (json!([{"name": "a", "targetId": "nobody"}]), "TargetNotFoundException"),
    ] {
        assert_eq!(world.refusal("PutAttributes", put(input.clone())).0, code, "{input}");
    }
    let many: Vec<_> = (0..10).map(|n| json!({"name": format!("a{n}"), "targetId": id})).collect();
    let (code, _) = world.refusal("PutAttributes", put(json!(many)));
    assert_eq!(code, "AttributeLimitExceededException");
    let kind = json!({"cluster": "c", "targetType": "task"});
    assert_eq!(world.refusal("ListAttributes", kind).0, "InvalidParameterException");
    world.survives_a_restart();
}

/// Such a host lost what its configuration says of it when its agent was started again.
#[test]
fn what_an_agent_told_of_its_configuration_stays() {
    let mut world = world();
    let told = |attributes: Value, arn: Option<&str>| {
        let mut input = registration();
        input["attributes"] = attributes;
        if let Some(arn) = arn {
            input["containerInstanceArn"] = json!(arn);
        }
        input
    };
    let first = json!([{"name": "ecs.os-type", "value": "linux"}, {"name": "ecs.capability.old"},
        {"name": "stack", "value": "blue"}, {"name": "rack", "value": "7"}]);
    let arn = register(&mut world, told(first.clone(), None));
    let own = |world: &mut World, input: Value| {
        let input = json!({"cluster": "c", "containerInstances": [input]});
        let shown = world.call("DescribeContainerInstances", input);
        let all = shown["containerInstances"][0]["attributes"].as_array().unwrap().clone();
        let pair = |a: Value| {
            let text = |name: &str| a[name].as_str().unwrap_or_default().to_owned();
            (text("name"), text("value"))
        };
        let mut all: Vec<_> = all.into_iter().map(pair).collect();
        all.retain(|(name, _)| !name.starts_with("ecs.") || name.contains("capability"));
        all.sort();
        all
    };
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    // AWS: an agent that remembers its ARN tells what it can do, and nothing of its configuration.
    let again = json!([{"name": "ecs.os-type", "value": "linux"}, {"name": "ecs.capability.new"}]);
    register(&mut world, told(again.clone(), Some(&arn)));
    let expected = pairs(&[("ecs.capability.new", ""), ("rack", "7"), ("stack", "blue")]);
    assert_eq!(own(&mut world, json!(arn)), expected);
    // A user has changed one and deleted the other: that stays, too.
    let put = |list: Value| json!({"cluster": "c", "attributes": list});
    let green = json!([{"name": "stack", "value": "green", "targetId": arn}]);
    world.call("PutAttributes", put(green));
    world.call("DeleteAttributes", put(json!([{"name": "rack", "targetId": arn}])));
    register(&mut world, told(again, Some(&arn)));
    let expected = pairs(&[("ecs.capability.new", ""), ("stack", "green")]);
    assert_eq!(own(&mut world, json!(arn)), expected);
    // One that was put away is gone with what it hid.
    world.call("DeleteAttributes", put(json!([{"name": "stack", "targetId": arn}])));
    assert_eq!(own(&mut world, json!(arn)), pairs(&[("ecs.capability.new", "")]));
    // An agent without memory tells everything.
    register(&mut world, told(first, None));
    let expected = pairs(&[("ecs.capability.old", ""), ("rack", "7"), ("stack", "blue")]);
    assert_eq!(own(&mut world, json!(arn)), expected);
    world.survives_a_restart();
}

#[test]
fn everything_that_is_there_takes_tags() {
    let mut world = world();
    let arn = |rest: &str| format!("arn:aws:ecs:us-east-1:123456789012:{rest}");
    let group = json!({"autoScalingGroupArn": "g"});
    world.call("CreateCapacityProvider", json!({"name": "cp", "autoScalingGroupProvider": group}));
    let task = json!({"family": "f", "containerDefinitions": [
        {"name": "a", "image": "i", "memory": 4}]});
    world.call("RegisterTaskDefinition", task);
    let mut plain = registration();
    plain.as_object_mut().unwrap().remove("tags");
    let instance = register(&mut world, plain);
    let targets =
        [arn("cluster/c"), arn("task-definition/f:1"), arn("capacity-provider/cp"), instance];
    for target in &targets {
        let tags = json!([{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]);
        let input = json!({"resourceArn": target, "tags": tags});
        assert_eq!(world.call("TagResource", input), json!({}));
        assert_eq!(world.demanded(), [format!("ecs:TagResource {target}")]);
        let over = json!([{"key": "a", "value": "3"}]);
        world.call("TagResource", json!({"resourceArn": target, "tags": over}));
        let there = ("aws:ResourceTag/a".to_owned(), vec!["1".to_owned()]);
        assert!(world.conditions().contains(&there));
        world.call("UntagResource", json!({"resourceArn": target, "tagKeys": ["b", "c"]}));
        let listed = world.call("ListTagsForResource", json!({"resourceArn": target}));
        assert_eq!(listed["tags"], over, "{target}");
    }
    world.call("DeregisterTaskDefinition", json!({"taskDefinition": "f:1"}));
    world.call("DeleteCapacityProvider", json!({"capacityProvider": "cp"}));
    let invalid = "InvalidParameterException";
    for (target, code, text) in [
        (arn("cluster/x"), "ClusterNotFoundException", "Cluster not found."),
        (arn("task-definition/f:1"), invalid, "The specified task definition is inactive."),
        (arn("task-definition/f:2"), invalid, "The specified task definition is not found."),
        (arn("capacity-provider/cp"), invalid, "The specified capacity provider is inactive."),
        (arn("container-instance/x"), invalid, "Long arn format must be used for tagging"),
        (arn("container-instance/c/x"), invalid, "The specified container instance is not found."),
        (arn("what/x"), invalid, "The ARN provided is invalid."),
        ("web".into(), invalid, "The ARN provided is invalid."),
        ("arn:aws:s3:::bucket/x".into(), invalid, "The ARN provided is invalid."),
    ] {
        let refusal = world.refusal("ListTagsForResource", json!({"resourceArn": target}));
        assert_eq!(refusal.0, code, "{target}: {}", refusal.1);
        assert!(refusal.1.starts_with(text), "{target}: {}", refusal.1);
    }
    let many: Vec<_> = (0..51).map(|n| json!({"key": n.to_string(), "value": ""})).collect();
    for tags in [
        json!(many),
        json!([{"key": "aws:x", "value": ""}]),
        json!([{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]),
    ] {
        let input = json!({"resourceArn": arn("cluster/c"), "tags": tags});
        assert_eq!(world.refusal("TagResource", input).0, invalid);
    }
    world.survives_a_restart();
}
