//! Daemon task definitions: the machinery of task definitions, in a smaller shape.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use serde_json::{Value, json};
use world::World;

fn agent(family: &str) -> Value {
    json!({
        "family": family, "cpu": "512", "memory": "1024", "pidMode": "shared",
        "volumes": [{"name": "v", "host": {"sourcePath": "/var"}}],
        "containerDefinitions": [{
            "name": "agent", "image": "agent:1", "memory": 64,
            "mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}],
        }],
    })
}

fn arns(answer: &Value) -> Vec<String> {
    let list = answer["daemonTaskDefinitions"].as_array().unwrap();
    let end = |arn: &Value| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    list.iter().map(|summary| end(&summary["arn"])).collect()
}

#[test]
fn daemons_are_registered_described_listed_and_deleted() {
    let mut world = World::new();
    let answer = world.call("RegisterDaemonTaskDefinition", agent("a"));
    let arn = "arn:aws:ecs:us-east-1:123456789012:daemon-task-definition/a:1";
    assert_eq!(answer, json!({"daemonTaskDefinitionArn": arn}));
    let name = |name: &str| json!({"daemonTaskDefinition": name});
    let shown = world.call("DescribeDaemonTaskDefinition", name("a"));
    let shown = &shown["daemonTaskDefinition"];
    for (key, value) in [
        ("status", json!("ACTIVE")),
        ("revision", json!(1)),
        ("cpu", json!("512")),
        ("pidMode", json!("shared")),
        ("volumes", agent("a")["volumes"].clone()),
        ("registeredBy", json!("arn:aws:iam::123456789012:user/ada")),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    assert_eq!(shown["containerDefinitions"][0]["essential"], true);
    assert_eq!(shown["containerDefinitions"][0].get("portMappings"), None);
    for family in ["a", "b", "ab"] {
        world.call("RegisterDaemonTaskDefinition", agent(family));
    }
    let list =
        |world: &mut World, input: Value| arns(&world.call("ListDaemonTaskDefinitions", input));
    assert_eq!(list(&mut world, json!({})), ["a:1", "a:2", "ab:1", "b:1"]);
    let last = json!({"familyPrefix": "a", "revision": "LAST_REGISTERED", "sort": "DESC"});
    assert_eq!(list(&mut world, last), ["ab:1", "a:2"]);
    let first = world.call("ListDaemonTaskDefinitions", json!({"sort": "DESC", "maxResults": 3}));
    let rest = json!({"sort": "DESC", "nextToken": first["nextToken"]});
    assert_eq!(list(&mut world, rest), ["a:1"]);

    let tags = json!([{"key": "k", "value": "v"}]);
    world.call("TagResource", json!({"resourceArn": arn, "tags": tags}));
    let listed = world.call("ListTagsForResource", json!({"resourceArn": arn}));
    assert_eq!(listed["tags"], tags);
    world.call("DeleteDaemonTaskDefinition", name(arn));
    let (code, text) = world.refusal("DeleteDaemonTaskDefinition", name("a:1"));
    assert_eq!(code, "ClientException");
    assert!(text.contains("being deleted"), "{text}");
    assert_eq!(list(&mut world, json!({"status": "DELETE_IN_PROGRESS"})), ["a:1"]);
    world.pass(Duration::from_secs(130));
    assert!(list(&mut world, json!({"status": "DELETE_IN_PROGRESS"})).is_empty());
    let shown = world.call("DescribeDaemonTaskDefinition", name("a:1"));
    assert_eq!(shown["daemonTaskDefinition"]["status"], "DELETED");
    world.pass(Duration::from_secs(3600));
    let (code, text) = world.refusal("DescribeDaemonTaskDefinition", name("a:1"));
    assert_eq!(code, "ClientException");
    assert!(text.contains("not found"), "{text}");
    let bad = json!({"family": "a", "containerDefinitions": [{"name": "a", "image": ""}]});
    let (_, text) = world.refusal("RegisterDaemonTaskDefinition", bad);
    assert_eq!(text, "Container.image should not be null or empty.");
    world.survives_a_restart();
}
