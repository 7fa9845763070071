//! Task definitions from registration to deletion.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use serde_json::{Value, json};
use world::{World, ends};

fn web() -> Value {
    json!({
        "family": "web",
        "containerDefinitions": [{
            "name": "app", "image": "nginx:1", "memory": 128,
            "portMappings": [{"containerPort": 80}],
            "healthCheck": {"command": ["CMD-SHELL", "true"]},
        }],
    })
}

#[test]
fn a_registration_is_shown_with_what_aws_fills_in() {
    let mut world = World::new();
    let answer = world.call("RegisterTaskDefinition", web());
    assert_eq!(
        answer,
        json!({"taskDefinition": {
            "taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1",
            "family": "web",
            "revision": 1,
            "status": "ACTIVE",
            "containerDefinitions": [{
                "name": "app", "image": "nginx:1", "memory": 128, "cpu": 0, "essential": true,
                "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
                "environment": [], "mountPoints": [], "volumesFrom": [], "systemControls": [],
                "healthCheck": {
                    "command": ["CMD-SHELL", "true"], "interval": 30, "timeout": 5, "retries": 3,
                },
            }],
            "volumes": [],
            "placementConstraints": [],
            "compatibilities": ["EXTERNAL", "EC2"],
            "requiresAttributes": [
                {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.24"},
                {"name": "ecs.capability.container-health-check"},
            ],
            "enableFaultInjection": false,
            "registeredAt": 1_700_000_000,
            "registeredBy": "arn:aws:iam::123456789012:user/ada",
        }})
    );
    assert_eq!(
        world.demanded(),
        ["ecs:RegisterTaskDefinition arn:aws:ecs:us-east-1:123456789012:task-definition/web:*"]
    );
    let mut described = world.call("DescribeTaskDefinition", json!({"taskDefinition": "web"}));
    assert_eq!(described["tags"].take(), json!([]));
    assert_eq!(described["taskDefinition"], answer["taskDefinition"]);
    world.survives_a_restart();
}

/// A registration with most of what there is.
fn full() -> Value {
    json!({
        "family": "full",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": ".25 vCPU",
        "memory": "1 GB",
        "taskRoleArn": "app-role",
        "executionRoleArn": "arn:aws:iam::123456789012:role/exec",
        "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
        "ephemeralStorage": {"sizeInGiB": 30},
        "pidMode": "task",
        "tags": [{"key": "team", "value": "red"}],
        "volumes": [
            {"name": "scratch", "host": {}},
            {"name": "files", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}},
        ],
        "containerDefinitions": [
            {
                "name": "app",
                "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1",
                "cpu": 128, "memoryReservation": 64,
                "portMappings": [{"containerPort": 8080, "name": "http", "appProtocol": "http"}],
                "command": [], "entryPoint": ["/bin/app"],
                "environment": [{"name": "A", "value": "1"}],
                "secrets": [{"name": "S", "valueFrom": "param"}],
                "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}],
                "mountPoints": [{"sourceVolume": "scratch", "containerPath": "/tmp"}],
                "logConfiguration": {"logDriver": "awslogs", "options": {
                    "awslogs-group": "g", "awslogs-region": "us-east-1",
                    "awslogs-stream-prefix": "p", "mode": "non-blocking"}},
                "linuxParameters": {"initProcessEnabled": true},
                "ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 20}],
                "restartPolicy": {"enabled": true, "restartAttemptPeriod": 60},
                "dockerLabels": {"a": "b"},
            },
            {"name": "init", "image": "busybox", "essential": false, "links": []},
        ],
    })
}

#[test]
fn fargate_and_everything_else_comes_back_as_given() {
    let mut world = World::new();
    let given = full();
    let answer = world.call("RegisterTaskDefinition", given.clone());
    let shown = &answer["taskDefinition"];
    assert_eq!(answer["tags"], given["tags"]);
    assert_eq!((&shown["cpu"], &shown["memory"]), (&json!("256"), &json!("1024")));
    assert_eq!(shown["taskRoleArn"], "arn:aws:iam::123456789012:role/app-role");
    for same in ["networkMode", "requiresCompatibilities", "runtimePlatform", "ephemeralStorage"] {
        assert_eq!(shown[same], given[same], "{same}");
    }
    assert_eq!(shown["compatibilities"], json!(["EC2", "MANAGED_INSTANCES", "FARGATE"]));
    assert_eq!(shown["volumes"][0], json!({"name": "scratch", "host": {}}));
    let efs = json!({"fileSystemId": "fs-1", "rootDirectory": "/"});
    assert_eq!(shown["volumes"][1]["efsVolumeConfiguration"], efs);
    let (app, init) = (&shown["containerDefinitions"][0], &shown["containerDefinitions"][1]);
    for (key, value) in given["containerDefinitions"][0].as_object().unwrap() {
        if key != "portMappings" {
            assert_eq!(app[key], *value, "{key}");
        }
    }
    assert_eq!(app["portMappings"][0]["hostPort"], 8080);
    assert_eq!((&init["links"], &init["essential"]), (&json!([]), &json!(false)));
    // What is shown, with what is only shown taken away, registers again.
    let mut again = shown.clone();
    for key in [
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
    ] {
        again.as_object_mut().unwrap().remove(key);
    }
    let answer = world.call("RegisterTaskDefinition", again);
    assert_eq!(answer["taskDefinition"]["containerDefinitions"], shown["containerDefinitions"]);
    world.survives_a_restart();
}

#[test]
fn attributes_and_permissions_are_those_of_what_was_given() {
    let mut world = World::new();
    let given = full();
    let answer = world.call("RegisterTaskDefinition", given.clone());
    let shown = &answer["taskDefinition"];
    let mut attributes: Vec<_> = shown["requiresAttributes"].as_array().unwrap().iter().collect();
    attributes.sort_by_key(|a| a["name"].as_str().unwrap().to_owned());
    let names: Vec<_> = attributes.iter().map(|a| a["name"].as_str().unwrap()).collect();
    let names: Vec<_> = names.iter().map(|n| n.rsplit("capability.").next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "docker-remote-api.1.17",
            "docker-remote-api.1.18",
            "docker-remote-api.1.19",
            "docker-remote-api.1.21",
            "docker-remote-api.1.25",
            "docker-remote-api.1.28",
            "ecr-auth",
            "logging-driver.awslogs",
            "task-iam-role",
            "container-ordering",
            "container-restart-policy",
            "efs",
            "efsAuth",
            "execution-role-awslogs",
            "execution-role-ecr-pull",
            "extensible-ephemeral-storage",
            "pid-ipc-namespace-sharing",
            "secrets.ssm.environment-variables",
            "task-eni",
        ]
    );
    assert_eq!(
        world.demanded(),
        [
            "ecs:RegisterTaskDefinition arn:aws:ecs:us-east-1:123456789012:task-definition/full:*",
            "iam:PassRole arn:aws:iam::123456789012:role/app-role",
            "iam:PassRole arn:aws:iam::123456789012:role/exec",
            "ecs:TagResource arn:aws:ecs:us-east-1:123456789012:task-definition/full:*",
        ]
    );
    let asked = world.conditions();
    let passed = ("iam:PassedToService".to_owned(), vec!["ecs-tasks.amazonaws.com".to_owned()]);
    assert!(asked.contains(&passed), "{asked:?}");
    let tags = json!({"taskDefinition": "full:1", "include": ["TAGS"]});
    assert_eq!(world.call("DescribeTaskDefinition", tags)["tags"], given["tags"]);
}

#[test]
fn revisions_only_rise() {
    let mut world = World::new();
    let register = |world: &mut World| {
        world.call("RegisterTaskDefinition", web())["taskDefinition"]["revision"].clone()
    };
    for n in 1..=3 {
        assert_eq!(register(&mut world), n);
    }
    let latest = |world: &mut World| {
        let shown = world.call("DescribeTaskDefinition", json!({"taskDefinition": "web"}));
        shown["taskDefinition"]["revision"].clone()
    };
    assert_eq!(latest(&mut world), 3);
    let gone = world.call("DeregisterTaskDefinition", json!({"taskDefinition": "web:3"}));
    assert_eq!(gone["taskDefinition"]["status"], "INACTIVE");
    assert_eq!(gone["taskDefinition"]["deregisteredAt"], 1_700_000_000);
    let again = world.call("DeregisterTaskDefinition", json!({"taskDefinition": "web:3"}));
    assert_eq!(again, gone);
    assert_eq!(latest(&mut world), 2);

    let deleted = world.call("DeleteTaskDefinitions", json!({"taskDefinitions": ["web:3"]}));
    assert_eq!(deleted["taskDefinitions"][0]["status"], "DELETE_IN_PROGRESS");
    assert_eq!(deleted["taskDefinitions"][0]["deleteRequestedAt"], 1_700_000_000);
    assert_eq!(deleted["failures"], json!([]));
    let by = |status: &str| json!({"status": status});
    let list = world.call("ListTaskDefinitions", by("DELETE_IN_PROGRESS"));
    assert_eq!(ends(&list["taskDefinitionArns"]), ["web:3"]);
    let refused = world.refusal("DeregisterTaskDefinition", json!({"taskDefinition": "web:3"}));
    assert_eq!(refused.0, "ClientException");
    world.pass(Duration::from_secs(3600));
    let missing = world.refusal("DescribeTaskDefinition", json!({"taskDefinition": "web:3"}));
    assert_eq!(missing, ("ClientException".into(), "Unable to describe task definition.".into()));
    assert_eq!(register(&mut world), 4);
    world.survives_a_restart();
}

#[test]
fn what_cannot_be_deleted_is_told_one_by_one() {
    let mut world = World::new();
    world.call("RegisterTaskDefinition", web());
    let asked = json!({"taskDefinitions": ["web", "web:9", "web:1", "a b:1"]});
    let answer = world.call("DeleteTaskDefinitions", asked);
    let reasons: Vec<_> = answer["failures"].as_array().unwrap().iter().collect();
    let reason = |n: usize| reasons[n]["reason"].as_str().unwrap();
    assert!(reason(0).starts_with("The specified task definition identifier is invalid."));
    assert!(reason(1).starts_with("The specified task definition does not exist."));
    assert!(reason(2).starts_with("The specified task definition is still in ACTIVE status."));
    assert!(reason(3).starts_with("The specified task definition identifier is invalid."));
    let arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:9";
    assert_eq!(reasons[1]["arn"], arn);
    let (code, text) = world.refusal("DeleteTaskDefinitions", json!({"taskDefinitions": []}));
    assert_eq!(code, "InvalidParameterException");
    assert_eq!(text, "size of TaskDefinition references list must be greater than 0");
    let many: Vec<_> = (1..=11).map(|n| format!("web:{n}")).collect();
    let (code, _) = world.refusal("DeleteTaskDefinitions", json!({"taskDefinitions": many}));
    assert_eq!(code, "InvalidParameterException");
}

#[test]
fn lists_go_either_way_in_pages() {
    let mut world = World::new();
    for family in ["b", "a", "ab", "a"] {
        let mut given = web();
        given["family"] = json!(family);
        world.call("RegisterTaskDefinition", given);
    }
    let all = |world: &mut World, mut input: Value| {
        let (mut seen, mut pages) = (Vec::new(), 0);
        loop {
            let answer = world.call("ListTaskDefinitions", input.clone());
            seen.extend(ends(&answer["taskDefinitionArns"]));
            pages += 1;
            match answer.get("nextToken") {
                Some(token) => input["nextToken"] = token.clone(),
                None => return (seen, pages),
            }
        }
    };
    let up = ["a:1", "a:2", "ab:1", "b:1"].map(String::from).to_vec();
    let down: Vec<_> = up.iter().rev().cloned().collect();
    assert_eq!(all(&mut world, json!({})), (up.clone(), 1));
    assert_eq!(all(&mut world, json!({"maxResults": 1})), (up, 4));
    assert_eq!(all(&mut world, json!({"sort": "DESC", "maxResults": 3})), (down, 2));
    let family = json!({"familyPrefix": "a", "sort": "DESC", "maxResults": 1});
    assert_eq!(all(&mut world, family), (vec!["a:2".into(), "a:1".into()], 2));
    assert_eq!(all(&mut world, json!({"status": "INACTIVE"})), (vec![], 1));
    world.call("DeregisterTaskDefinition", json!({"taskDefinition": "b:1"}));
    assert_eq!(all(&mut world, json!({"status": "INACTIVE"})), (vec!["b:1".into()], 1));

    let families = |world: &mut World, input: Value| {
        world.call("ListTaskDefinitionFamilies", input)["families"].clone()
    };
    assert_eq!(families(&mut world, json!({})), json!(["a", "ab", "b"]));
    assert_eq!(families(&mut world, json!({"status": "ACTIVE"})), json!(["a", "ab"]));
    assert_eq!(families(&mut world, json!({"status": "INACTIVE"})), json!(["b"]));
    assert_eq!(families(&mut world, json!({"familyPrefix": "a"})), json!(["a", "ab"]));
    assert_eq!(families(&mut world, json!({"familyPrefix": "ab"})), json!(["ab"]));
    for (operation, input) in [
        ("ListTaskDefinitions", json!({"status": "GONE"})),
        ("ListTaskDefinitions", json!({"sort": "UP"})),
        ("ListTaskDefinitions", json!({"nextToken": "x"})),
        ("ListTaskDefinitions", json!({"maxResults": 101})),
        ("ListTaskDefinitionFamilies", json!({"status": "GONE"})),
    ] {
        assert_eq!(world.refusal(operation, input).0, "InvalidParameterException");
    }
}

#[test]
fn references_that_name_nothing() {
    let mut world = World::new();
    for given in ["", "web", "web:1", "web:0", "web:x", "arn:aws:ecs:eu-west-1:1:x/web:1"] {
        let (code, text) =
            world.refusal("DescribeTaskDefinition", json!({"taskDefinition": given}));
        assert_eq!(
            (code.as_str(), text.as_str()),
            ("ClientException", "Unable to describe task definition."),
            "{given}"
        );
    }
    for (given, code, text) in [
        ("web", "ClientException", "Revision is missing."),
        ("web:x", "InvalidParameterException", "Invalid revision number. Number: x"),
        ("web:7", "ClientException", "Unable to describe task definition."),
    ] {
        let input = json!({"taskDefinition": given});
        let refusal = world.refusal("DeregisterTaskDefinition", input);
        assert_eq!(refusal, (code.into(), text.into()), "{given}");
    }
}
