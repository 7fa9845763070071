//! What callers of task actions may ask, what they need leave for, and what they are refused.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use core_types::Id128;
use serde_json::{Value, json};
use service_ec2::reports::NetworkReady;
use service_ecs::feeds;
use service_ecs::reports::{AgentConnected, AgentDisconnected, Configured, ExecEnded, ExecOpened};
use world::{World, ends};

const ARN: &str = "arn:aws:ecs:us-east-1:123456789012";

/// A cluster with two connected hosts and a definition of one container.
fn world() -> World {
    let mut world = World::new();
    world.call("CreateCluster", json!({"clusterName": "c"}));
    let number = |name: &str| json!({"name": name, "type": "INTEGER", "integerValue": 4096});
    for n in 0..2 {
        let document = json!({"instanceId": format!("i-{n}"), "availabilityZone": "us-east-1a"});
        let input = json!({"cluster": "c", "totalResources": [number("CPU"), number("MEMORY")],
            "attributes": [{"name": "ecs.capability.execute-command"},
                {"name": "ecs.capability.task-eni"},
                {"name": "ecs.capability.task-cpu-mem-limit"},
                {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"}],
            "instanceIdentityDocument": document.to_string()});
        let answer = world.call("RegisterContainerInstance", input);
        let instance = id(&answer["containerInstance"]["containerInstanceArn"]);
        world.report(AgentConnected { instance, session: 1 });
    }
    let containers = json!([{"name": "a", "image": "i", "memory": 100, "cpu": 10}]);
    let mut definition = json!({"family": "web", "containerDefinitions": containers});
    definition["tags"] = json!([{"key": "of", "value": "definition"}]);
    world.call("RegisterTaskDefinition", definition);
    world
}

fn id(arn: &Value) -> Id128 {
    arn.as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap()
}

fn run(more: Value) -> Value {
    with(json!({"cluster": "c", "taskDefinition": "web"}), more)
}

fn with(mut input: Value, more: Value) -> Value {
    more.as_object().unwrap().iter().for_each(|(key, value)| input[key] = value.clone());
    input
}

#[test]
fn refusals_of_run_task() {
    let mut world = world();
    let invalid = "InvalidParameterException";
    let over = |over: Value| json!({"overrides": over});
    let container = |one: Value| over(json!({"containerOverrides": [one]}));
    let subnets =
        json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}});
    for (more, code, text) in [
        (json!({"cluster": "d"}), "ClusterNotFoundException", "Cluster not found."),
        (json!({"taskDefinition": "none"}), "ClientException", "TaskDefinition not found."),
        (json!({"taskDefinition": ""}), "ClientException", "TaskDefinition can not be blank."),
        (json!({"count": 0}), invalid, "Count should be between 1 and 10."),
        (json!({"count": 11}), invalid, "Count should be between 1 and 10."),
        (
            json!({"launchType": "X"}),
            invalid,
            "launch type should be one of [EC2,FARGATE,EXTERNAL]",
        ),
        (
            json!({"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "p"}]}),
            invalid,
            "Specify either Launch Type or Capacity Provider Strategy, but not both.",
        ),
        (
            json!({"launchType": "FARGATE"}),
            invalid,
            "Task definition does not support launch_type FARGATE.",
        ),
        (
            json!({"platformVersion": "LATEST"}),
            invalid,
            "The platform version must be null when specifying an EC2 launch type.",
        ),
        (
            json!({"launchType": "EXTERNAL"}),
            invalid,
            "No Container Instances were found in your cluster.",
        ),
        (
            subnets,
            invalid,
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ),
        (
            container(json!({"name": "b"})),
            invalid,
            "Override for container named b is not a container in the TaskDefinition.",
        ),
        (
            container(json!({"name": "a", "command": ["x".repeat(8200)]})),
            invalid,
            "Container Overrides length must be at most 8192",
        ),
        (
            json!({"placementConstraints": [{"type": "memberOf", "expression": "x"}]}),
            invalid,
            "Invalid constraint expression.",
        ),
        (
            json!({"placementStrategy": [{"type": "spread", "field": "x"}]}),
            invalid,
            "Invalid field for the spread strategy: x",
        ),
    ] {
        assert_eq!(world.refusal("RunTask", run(more)), (code.into(), text.into()));
    }
    world.call("DeregisterTaskDefinition", json!({"taskDefinition": "web:1"}));
    let refusal = world.refusal("RunTask", run(json!({"taskDefinition": "web:1"})));
    assert_eq!(refusal, ("ClientException".into(), "TaskDefinition is inactive".into()));
}

#[test]
fn tasks_with_interfaces_of_their_own_need_subnets_that_are_there() {
    let mut world = world();
    world.call(
        "RegisterTaskDefinition",
        json!({"family": "vpc", "networkMode": "awsvpc", "containerDefinitions": [
            {"name": "a", "image": "i", "memory": 4}]}),
    );
    let text = "Network Configuration must be provided when networkMode 'awsvpc' is specified.";
    let refusal = world.refusal("RunTask", run(json!({"taskDefinition": "vpc"})));
    assert_eq!(refusal.1, text);
    let with_subnet = |subnet: &str| {
        let network = json!({"awsvpcConfiguration": {"subnets": [subnet]}});
        run(json!({"taskDefinition": "vpc", "networkConfiguration": network}))
    };
    let (code, text) = world.refusal("RunTask", with_subnet("subnet-1"));
    assert_eq!(code, "InvalidParameterException");
    assert!(text.starts_with("Error retrieving subnet information for [subnet-1]: "), "{text}");
    assert!(text.ends_with(" (ErrorCode: InvalidSubnetID.NotFound)"), "{text}");

    world.report(NetworkReady { cidr: "10.9.0.0/24".parse().unwrap() });
    let scope = "123456789012/us-east-1".parse().unwrap();
    let (a, b) = {
        let vpc = service_ec2::ops::subnets(world.core.state(), scope);
        (vpc[0].id.clone(), vpc[1].id.clone())
    };
    let answer = world.call("RunTask", with_subnet(&b));
    let reasons = json!([answer["failures"][0]["reason"], answer["failures"][1]["reason"]]);
    assert_eq!(reasons, json!(["LOCATION", "LOCATION"]));
    let answer = world.call("RunTask", with_subnet(&a));
    assert_eq!(answer["failures"], json!([]));
    assert_eq!(answer["tasks"][0]["lastStatus"], "PROVISIONING");
    let arn = answer["tasks"][0]["taskArn"].clone();
    let named = json!({"cluster": "c", "tasks": [arn]});
    let task = world.call("DescribeTasks", named.clone())["tasks"][0].clone();
    let (status, attachment) = (&task["lastStatus"], &task["attachments"][0]);
    assert_eq!(
        (status, &attachment["type"]),
        (&json!("PENDING"), &json!("ElasticNetworkInterface"))
    );
    let address = task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"].clone();
    let told = feeds::payload(world.core.state(), id(&arn), "http://here", &mut |_| None).unwrap();
    let interface = &told.elastic_network_interfaces[0];
    assert_eq!(json!(interface.ipv4_addresses[0].private_address), address);
    assert!(interface.subnet_gateway_ipv4_address.starts_with("10.9.0.1/"));
    let change = |status: &str| json!({"cluster": "c", "task": arn, "status": status});
    world.call("SubmitTaskStateChange", change("RUNNING"));
    let task = world.call("DescribeTasks", named.clone())["tasks"][0].clone();
    assert_eq!(task["attachments"][0]["status"], "ATTACHED");
    // AWS: what still comes to it is turned away, it stops, and its interface goes.
    let stopped = world.call("StopTask", json!({"cluster": "c", "task": arn}))["task"].clone();
    assert_eq!(
        (&stopped["lastStatus"], &stopped["desiredStatus"]),
        (&json!("RUNNING"), &json!("STOPPED"))
    );
    let times = |world: &mut World, status: &str| {
        let task = world.call("DescribeTasks", named.clone())["tasks"][0].clone();
        assert_eq!(
            (&task["lastStatus"], &task["desiredStatus"]),
            (&json!(status), &json!("STOPPED"))
        );
        ["stoppingAt", "executionStoppedAt", "stoppedAt"].map(|name| task[name].is_number())
    };
    assert_eq!(times(&mut world, "DEACTIVATING"), [true, false, false]);
    world.call("SubmitTaskStateChange", change("STOPPED"));
    assert_eq!(times(&mut world, "DEPROVISIONING"), [true, true, false]);
    world.call("SubmitTaskStateChange", change("STOPPED"));
    world.pass(Duration::from_millis(2));
    assert_eq!(times(&mut world, "STOPPED"), [true, true, true]);
    let task = world.call("DescribeTasks", named)["tasks"][0].clone();
    assert_eq!(task["attachments"][0]["status"], "DELETED");
    assert_eq!(task["stopCode"], "UserInitiated");
    assert_eq!(world.core.state().count::<service_ec2::rows::interface::Interface>(), 0);
    world.survives_a_restart();
}

#[test]
fn fargate_runs_on_the_same_hosts_and_does_not_say_where() {
    let mut world = world();
    world.report(NetworkReady { cidr: "10.9.0.0/16".parse().unwrap() });
    world.call("CreateCluster", json!({"clusterName": "f"}));
    world.call(
        "RegisterTaskDefinition",
        json!({"family": "far", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
            "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [
            {"name": "a", "image": "i"}]}),
    );
    let scope = "123456789012/us-east-1".parse().unwrap();
    let subnet = service_ec2::ops::subnets(world.core.state(), scope)[0].id.clone();
    let network = json!({"awsvpcConfiguration": {"subnets": [subnet]}});
    let input = json!({"cluster": "f", "taskDefinition": "far", "launchType": "FARGATE",
        "networkConfiguration": network, "count": 10});
    let answer = world.call("RunTask", input.clone());
    let task = &answer["tasks"][0];
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 10);
    assert_eq!(
        (&task["launchType"], &task["platformVersion"]),
        (&json!("FARGATE"), &json!("1.4.0"))
    );
    assert_eq!((&task["cpu"], &task["memory"]), (&json!("256"), &json!("512")));
    assert_eq!(task["containerInstanceArn"], Value::Null);
    // Two hosts of 4096 MiB, and no more.
    let answer = world.call("RunTask", input);
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 6);
    let reason = answer["failures"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("Capacity is unavailable at this time."), "{reason}");
    let listed = world.call("ListTasks", json!({"cluster": "f", "launchType": "FARGATE"}));
    assert_eq!(listed["taskArns"].as_array().unwrap().len(), 16);
}

#[test]
fn permissions_name_the_revision_the_cluster_and_the_roles() {
    let mut world = world();
    let role = world.role("t", "ecs-tasks.amazonaws.com");
    let tags = json!([{"key": "team", "value": "red"}]);
    let input = run(json!({"overrides": {"taskRoleArn": role}, "tags": tags,
        "enableExecuteCommand": true}));
    let answer = world.call("RunTask", input);
    assert_eq!(
        world.demanded(),
        [
            format!("ecs:RunTask {ARN}:task-definition/web:1"),
            format!("iam:PassRole {role}"),
            format!("ecs:TagResource {ARN}:task/c/*"),
        ]
    );
    let has = |world: &World, key: &str, value: &str| {
        let all = world.conditions();
        all.iter().any(|(k, v)| k == key && v.iter().any(|v| v == value))
    };
    for (key, value) in [
        ("ecs:cluster", format!("{ARN}:cluster/c").as_str()),
        ("ecs:enable-execute-command", "true"),
        ("aws:RequestTag/team", "red"),
        ("aws:ResourceTag/of", "definition"),
    ] {
        assert!(has(&world, key, value), "{key}");
    }
    let arn = answer["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    world.call("DescribeTasks", json!({"cluster": "c", "tasks": [arn]}));
    assert_eq!(world.demanded(), [format!("ecs:DescribeTasks {arn}")]);
    assert!(has(&world, "aws:ResourceTag/team", "red"));
    world.call("ListTasks", json!({"cluster": "c"}));
    assert_eq!(world.demanded(), [format!("ecs:ListTasks {ARN}:container-instance/c/*")]);
    world.call("StopTask", json!({"cluster": "c", "task": arn}));
    assert_eq!(world.demanded(), [format!("ecs:StopTask {arn}")]);
    assert!(has(&world, "ecs:cluster", &format!("{ARN}:cluster/c")));
}

#[test]
fn tags_come_from_the_call_the_definition_and_aws() {
    let mut world = world();
    let input = run(json!({"propagateTags": "TASK_DEFINITION", "enableECSManagedTags": true,
        "tags": [{"key": "a", "value": "b"}]}));
    let answer = world.call("RunTask", input);
    let tag = |key: &str, value: &str| json!({"key": key, "value": value});
    let all = json!([tag("of", "definition"), tag("a", "b"), tag("aws:ecs:clusterName", "c")]);
    assert_eq!(answer["tasks"][0]["tags"], all);
    let arn = answer["tasks"][0]["taskArn"].clone();
    let plain = world.call("DescribeTasks", json!({"cluster": "c", "tasks": [arn]}));
    assert_eq!(plain["tasks"][0]["tags"], json!([]));
}

#[test]
fn lists_are_filtered_and_paged() {
    let mut world = world();
    let strategy = json!([{"type": "spread", "field": "instanceId"}]);
    let many = json!({"count": 6, "startedBy": "me", "placementStrategy": strategy});
    let answer = world.call("RunTask", run(many));
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 6);
    let containers = json!([{"name": "a", "image": "i", "memory": 4}]);
    let job = json!({"family": "job", "containerDefinitions": containers});
    world.call("RegisterTaskDefinition", job);
    world.call("RunTask", run(json!({"taskDefinition": "job"})));
    let host = answer["tasks"][0]["containerInstanceArn"].clone();
    let mut count = |more: Value| {
        let answer = world.call("ListTasks", with(json!({"cluster": "c"}), more));
        answer["taskArns"].as_array().unwrap().len()
    };
    assert_eq!(count(json!({})), 7);
    assert_eq!(count(json!({"startedBy": "me"})), 6);
    assert_eq!(count(json!({"startedBy": "you"})), 0);
    assert_eq!(count(json!({"family": "job"})), 1);
    assert_eq!(count(json!({"launchType": "EC2"})), 7);
    assert_eq!(count(json!({"launchType": "FARGATE"})), 0);
    assert_eq!(count(json!({"desiredStatus": "STOPPED"})), 0);
    assert_eq!(count(json!({"desiredStatus": "PENDING"})), 0);
    assert_eq!(count(json!({"containerInstance": host, "family": "web"})), 3);
    let (mut seen, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut input = json!({"cluster": "c", "maxResults": 2});
        if token.is_string() {
            input["nextToken"] = token;
        }
        let page = world.call("ListTasks", input);
        seen.extend(ends(&page["taskArns"]));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 7);
    let refusal = world.refusal("ListTasks", json!({"cluster": "c", "serviceName": "s"}));
    assert_eq!(refusal, ("ServiceNotFoundException".into(), "Service not found.".into()));
    let refusal = world.refusal("DescribeTasks", json!({"cluster": "c", "tasks": ["x"]}));
    assert_eq!(refusal.1, "taskId length should be one of [32,36]");
    let other = json!({"cluster": "c", "tasks": [format!("{ARN}:task/d/{}", "0".repeat(32))]});
    let text = "Invalid identifier: Identifier is for cluster d. Your cluster is c";
    assert_eq!(world.refusal("DescribeTasks", other).1, text);
    let none = world.refusal("DescribeTasks", json!({"cluster": "c", "tasks": []}));
    assert_eq!(none.1, "Tasks cannot be empty.");
}

#[test]
fn a_session_needs_a_task_that_lets_one_in() {
    let mut world = world();
    let answer = world.call("RunTask", run(json!({"enableExecuteCommand": true})));
    let task = &answer["tasks"][0];
    let (arn, host) = (task["taskArn"].clone(), id(&task["containerInstanceArn"]));
    let exec = json!({"cluster": "c", "task": arn, "command": "sh", "interactive": true});
    let (code, text) = world.refusal("ExecuteCommand", exec.clone());
    assert_eq!(code, "InvalidParameterException");
    assert!(text.starts_with("The execute command failed because"), "{text}");
    let containers = json!([{"containerName": "a", "status": "RUNNING", "runtimeId": "r"}]);
    let agents = json!([{"containerName": "a", "managedAgentName": "ExecuteCommandAgent",
        "status": "RUNNING"}]);
    let running = json!({"cluster": "c", "task": arn, "status": "RUNNING",
        "containers": containers, "managedAgents": agents});
    world.call("SubmitTaskStateChange", running);
    let described = world.call("DescribeTasks", json!({"cluster": "c", "tasks": [arn]}));
    let agent = &described["tasks"][0]["containers"][0]["managedAgents"][0];
    assert_eq!(
        (&agent["name"], &agent["lastStatus"]),
        (&json!("ExecuteCommandAgent"), &json!("RUNNING"))
    );
    let answer = world.call("ExecuteCommand", exec.clone());
    let demands = [
        format!("ecs:ExecuteCommand {}", arn.as_str().unwrap()),
        format!("ecs:ExecuteCommand {ARN}:cluster/c"),
    ];
    assert_eq!(world.demanded(), demands);
    let session = &answer["session"];
    let name = session["sessionId"].as_str().unwrap().to_owned();
    let token = session["tokenValue"].as_str().unwrap().to_owned();
    let url = session["streamUrl"].as_str().unwrap();
    assert!(url.starts_with("ws://127.0.0.1:4566/v1/data-channel/"), "{url}");
    assert_eq!(answer["containerName"], "a");

    let waiting = feeds::exec::waiting(world.core.state(), host, world.now);
    assert_eq!((waiting.len(), waiting[0].session_id.as_str()), (1, name.as_str()));
    assert!(feeds::exec::of_client(world.core.state(), &name, &token).is_some());
    assert!(feeds::exec::of_client(world.core.state(), &name, &token[1..]).is_none());
    assert!(feeds::exec::of_host(world.core.state(), &name, Id128([1; 16])).is_none());
    world.report(ExecOpened { session: name.clone() });
    assert_eq!(feeds::exec::waiting(world.core.state(), host, world.now), []);
    world.pass(Duration::from_secs(3600));
    assert!(feeds::exec::of_host(world.core.state(), &name, host).is_some());
    world.report(ExecEnded { session: name.clone() });
    assert!(feeds::exec::of_host(world.core.state(), &name, host).is_none());

    // One that nobody opens is gone after a while.
    world.call("ExecuteCommand", exec.clone());
    world.pass(Duration::from_secs(61));
    assert_eq!(feeds::exec::waiting(world.core.state(), host, world.now), []);
    world.report(AgentDisconnected { instance: host, session: 1, away: std::time::Duration::ZERO });
    assert_eq!(world.refusal("ExecuteCommand", exec.clone()).0, "TargetNotConnectedException");
    let (code, _) = world.refusal("ExecuteCommand", with(exec, json!({"container": "b"})));
    assert_eq!(code, "InvalidParameterException");
}

#[test]
fn only_a_services_tasks_can_be_protected() {
    let mut world = world();
    let service = json!({"cluster": "c", "serviceName": "s", "taskDefinition": "web",
        "desiredCount": 1});
    world.call("CreateService", service);
    let owned = world.call("ListTasks", json!({"cluster": "c", "serviceName": "s"}));
    let answer = world.call("RunTask", run(json!({})));
    let arns = [&owned["taskArns"][0], &answer["tasks"][0]["taskArn"]];
    let arns = arns.map(|arn| arn.as_str().unwrap().to_owned());
    let input = json!({"cluster": "c", "tasks": arns, "protectionEnabled": true,
        "expiresInMinutes": 5});
    let answer = world.call("UpdateTaskProtection", input.clone());
    assert_eq!(answer["protectedTasks"][0]["taskArn"], arns[0]);
    assert_eq!(answer["protectedTasks"][0]["protectionEnabled"], true);
    assert_eq!(answer["failures"][0]["reason"], "TASK_NOT_VALID");
    let get = json!({"cluster": "c", "tasks": [arns[0]]});
    let shown = world.call("GetTaskProtection", get.clone());
    assert_eq!(shown["protectedTasks"][0]["protectionEnabled"], true);
    assert!(shown["protectedTasks"][0]["expirationDate"].is_number());
    world.pass(Duration::from_secs(301));
    let shown = world.call("GetTaskProtection", get);
    assert_eq!(shown["protectedTasks"], json!([{"taskArn": arns[0], "protectionEnabled": false}]));
    let wrong = with(input, json!({"expiresInMinutes": 2881}));
    assert_eq!(world.refusal("UpdateTaskProtection", wrong).0, "InvalidParameterException");
}

#[test]
fn capacity_is_shared_out_by_base_and_weight() {
    let mut world = world();
    let group = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:\
                 8c4f4a5e-6d1b-4a3e-9a83-1c9c3a5e0d11:autoScalingGroupName/g";
    let group = json!({"autoScalingGroupArn": group});
    let provider = json!({"name": "p", "autoScalingGroupProvider": group});
    world.call("CreateCapacityProvider", provider);
    let put = json!({"cluster": "c", "capacityProviders": ["p"],
        "defaultCapacityProviderStrategy": [{"capacityProvider": "p", "weight": 1}]});
    world.call("PutClusterCapacityProviders", put);
    // No host is of the provider's group.
    let text = "No Container Instances were found in your capacity provider.";
    assert_eq!(world.refusal("RunTask", run(json!({}))).1, text);
    let answer = world.call("RunTask", run(json!({"launchType": "EC2"})));
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 1);
    let other = json!({"capacityProviderStrategy": [{"capacityProvider": "q"}]});
    assert_eq!(world.refusal("RunTask", run(other)).0, "InvalidParameterException");
}

#[test]
fn an_operator_may_keep_stopped_tasks_longer() {
    let mut world = world();
    let (lost, kept) = (Duration::from_secs(5), Duration::from_secs(10_000));
    world.report(Configured { host_lost_after: lost, stopped_tasks_kept: kept });
    let answer = world.call("RunTask", run(json!({})));
    let task = &answer["tasks"][0];
    let (arn, host) = (task["taskArn"].clone(), id(&task["containerInstanceArn"]));
    world.report(AgentDisconnected { instance: host, session: 1, away: std::time::Duration::ZERO });
    world.pass(Duration::from_secs(6));
    let input = json!({"cluster": "c", "tasks": [arn]});
    let shown = world.call("DescribeTasks", input.clone());
    assert_eq!(shown["tasks"][0]["stopCode"], "TerminationNotice");
    world.pass(Duration::from_secs(9_000));
    assert_eq!(world.call("DescribeTasks", input.clone())["failures"], json!([]));
    world.pass(Duration::from_secs(2_000));
    assert_eq!(world.call("DescribeTasks", input)["tasks"], json!([]));
}

mod texts {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever stands where a task, an instance or an attachment is named, the answer is one.
        #[test]
        fn names_of_any_kind_are_answered(
            text in prop_oneof![
                ".{0,80}",
                "(arn:aws:ecs:us-east-1:123456789012:)?(task|attachment|container-instance)/(c/)?[0-9a-f-]{0,40}",
            ],
            status in "[A-Z_]{0,12}",
        ) {
            let mut world = World::new();
            world.call("CreateCluster", json!({"clusterName": "c"}));
            let task = json!({"cluster": "c", "task": text});
            let change = json!({"attachmentArn": text, "status": status});
            let agent = json!({"containerName": text, "status": status});
            for (operation, input) in [
                ("StopTask", task.clone()),
                ("DescribeTasks", json!({"cluster": "c", "tasks": [text]})),
                ("GetTaskProtection", json!({"cluster": "c", "tasks": [text]})),
                ("ListTasks", json!({"cluster": "c", "containerInstance": text})),
                ("ListTasks", json!({"cluster": "c", "serviceName": text, "nextToken": text})),
                ("RunTask", json!({"cluster": text, "taskDefinition": text})),
                ("StartTask", json!({"cluster": "c", "taskDefinition": text,
                    "containerInstances": [text]})),
                ("ExecuteCommand", with(task.clone(), json!({"command": text, "interactive": true}))),
                ("SubmitTaskStateChange", with(task.clone(), json!({"status": status,
                    "containers": [agent], "managedAgents": [agent], "attachments": [change]}))),
                ("SubmitContainerStateChange", with(task, agent.clone())),
                ("SubmitAttachmentStateChanges", json!({"cluster": "c", "attachments": [change]})),
                ("DiscoverPollEndpoint", json!({"cluster": text, "containerInstance": text})),
                ("RegisterContainerInstance", json!({"cluster": "c", "clientToken": text,
                    "instanceIdentityDocument": text, "containerInstanceArn": text})),
            ] {
                if let Err((code, message)) = world.try_call(operation, input) {
                    prop_assert!(!code.is_empty() && !message.is_empty(), "{operation}");
                }
            }
            let scope: core_types::Scope = "123456789012/us-east-1".parse().unwrap();
            let state = world.core.state();
            let found = feeds::find_instance(state, scope.account, scope.region, "c", &text);
            prop_assert!(found.is_err());
            prop_assert_eq!(feeds::task_of(state, &text), None);
        }
    }
}
