//! Tasks from their start to their end, as callers and hosts see them.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use core_task::Desired;
use core_types::Id128;
use serde_json::{Value, json};
use service_ecs::feeds;
use service_ecs::reports::{AgentConnected, AgentDisconnected, PayloadAcknowledged};
use world::World;

/// A cluster with hosts whose agents are connected, and a task definition.
struct Stage {
    world: World,
    hosts: Vec<Id128>,
}

fn registration(machine: &str, zone: &str, cpu: i32, memory: i32) -> Value {
    let number = |name: &str, n: i32| json!({"name": name, "type": "INTEGER", "integerValue": n});
    let document = json!({"instanceId": machine, "availabilityZone": zone}).to_string();
    json!({
        "cluster": "c", "instanceIdentityDocument": document,
        "attributes": [{"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"},
            {"name": "com.amazonaws.ecs.capability.task-iam-role"}],
        "totalResources": [number("CPU", cpu), number("MEMORY", memory),
            {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
            {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []}],
    })
}

impl Stage {
    fn new(hosts: usize) -> Stage {
        let mut world = World::new();
        world.call("CreateCluster", json!({"clusterName": "c"}));
        let mut stage = Stage { world, hosts: Vec::new() };
        for n in 0..hosts {
            let zone = ["us-east-1a", "us-east-1b"][n % 2];
            let input = registration(&format!("i-{n}"), zone, 1024, 1024);
            let answer = stage.world.call("RegisterContainerInstance", input);
            let id = id_of(&answer["containerInstance"]["containerInstanceArn"]);
            stage.world.report(AgentConnected { instance: id, session: 1 });
            stage.hosts.push(id);
        }
        stage.define(json!([{"name": "web", "image": "busybox", "cpu": 100, "memory": 64,
            "portMappings": [{"containerPort": 80, "hostPort": 0}]}]));
        stage
    }

    fn define(&mut self, containers: Value) {
        let input = json!({"family": "web", "containerDefinitions": containers});
        self.world.call("RegisterTaskDefinition", input);
    }

    fn run(&mut self, more: Value) -> Value {
        self.world.call("RunTask", with(json!({"cluster": "c", "taskDefinition": "web"}), more))
    }

    fn run_one(&mut self) -> String {
        self.run(json!({}))["tasks"][0]["taskArn"].as_str().unwrap().to_owned()
    }

    fn described(&mut self, arn: &str) -> Value {
        let input = json!({"cluster": "c", "tasks": [arn], "include": ["TAGS"]});
        self.world.call("DescribeTasks", input)["tasks"][0].clone()
    }

    fn submit(&mut self, arn: &str, more: Value) {
        let answer = self
            .world
            .call("SubmitTaskStateChange", with(json!({"cluster": "c", "task": arn}), more));
        assert_eq!(answer["acknowledgment"], "ACCEPT");
    }

    /// A host that is back is told to stop what was given up, for as long as it takes, and what the
    /// task holds is free once it has answered that there is no such task any more.
    fn stop_is_answered(&mut self, arn: &str, host: Id128) {
        self.world.pass(Duration::from_secs(3000));
        let held = self.free_memory(host);
        let told = feeds::assignments(self.world.core.state(), host);
        assert_eq!((told[0].arn.as_str(), told[0].desired), (arn, Desired::Stopped));
        self.submit(arn, json!({"status": "STOPPED"}));
        assert!(held < 1024 && self.free_memory(host) == 1024);
        assert_eq!(feeds::assignments(self.world.core.state(), host), []);
    }

    fn free_memory(&mut self, host: Id128) -> i64 {
        let input = json!({"cluster": "c", "containerInstances": [host.to_string()]});
        let answer = self.world.call("DescribeContainerInstances", input);
        let left = &answer["containerInstances"][0]["remainingResources"];
        left[1]["integerValue"].as_i64().unwrap()
    }
}

fn with(mut input: Value, more: Value) -> Value {
    more.as_object().unwrap().iter().for_each(|(key, value)| input[key] = value.clone());
    input
}

fn id_of(arn: &Value) -> Id128 {
    arn.as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap()
}

fn reasons(answer: &Value) -> Vec<&str> {
    let all = answer["failures"].as_array().unwrap().iter();
    all.map(|failure| failure["reason"].as_str().unwrap()).collect()
}

#[test]
fn a_task_runs_and_stops_as_its_agent_tells() {
    let mut stage = Stage::new(1);
    let host = stage.hosts[0];
    let answer = stage.run(json!({"startedBy": "me", "tags": [{"key": "a", "value": "b"}]}));
    let task = &answer["tasks"][0];
    let arn = task["taskArn"].as_str().unwrap().to_owned();
    let prefix = "arn:aws:ecs:us-east-1:123456789012:task/c/";
    assert_eq!(arn.strip_prefix(prefix).map(str::len), Some(32));
    for (key, value) in [
        ("lastStatus", json!("PENDING")),
        ("desiredStatus", json!("RUNNING")),
        ("launchType", json!("EC2")),
        ("group", json!("family:web")),
        ("startedBy", json!("me")),
        ("cpu", json!("100")),
        ("memory", json!("64")),
        ("availabilityZone", json!("us-east-1a")),
        ("healthStatus", json!("UNKNOWN")),
        ("version", json!(1)),
        ("attachments", json!([])),
        ("enableExecuteCommand", json!(false)),
        ("attributes", json!([{"name": "ecs.cpu-architecture", "value": "x86_64"}])),
        ("tags", json!([{"key": "a", "value": "b"}])),
        (
            "overrides",
            json!({"containerOverrides": [{"name": "web"}],
            "inferenceAcceleratorOverrides": []}),
        ),
    ] {
        assert_eq!(task[key], value, "{key}");
    }
    assert_eq!(answer["failures"], json!([]));
    assert_eq!(stage.free_memory(host), 960);
    let told = feeds::assignments(stage.world.core.state(), host);
    assert_eq!((told.len(), told[0].desired, told[0].acknowledged), (1, Desired::Running, None));
    let id = told[0].task;
    stage.world.report(PayloadAcknowledged { instance: host, tasks: vec![(id, Desired::Running)] });
    assert!(feeds::assignments(stage.world.core.state(), host)[0].is_acknowledged());

    let binding =
        json!({"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"});
    stage.submit(
        &arn,
        json!({"status": "RUNNING", "pullStartedAt": 1_700_000_000, "pullStoppedAt": 1_700_000_001,
            "containers": [{"containerName": "web", "runtimeId": "r1", "status": "RUNNING",
                "imageDigest": "sha256:aa", "networkBindings": [binding]}]}),
    );
    let task = stage.described(&arn);
    assert_eq!(task["lastStatus"], "RUNNING");
    assert_eq!(task["connectivity"], "CONNECTED");
    let container = &task["containers"][0];
    assert_eq!(container["networkBindings"], json!([binding]));
    assert_eq!(container["runtimeId"], "r1");
    assert_eq!(container["imageDigest"], "sha256:aa");
    assert_eq!(container["lastStatus"], "RUNNING");
    assert!(task["startedAt"].is_number() && task["pullStartedAt"].is_number());
    let input = json!({"cluster": "c", "containerInstance": host.to_string()});
    assert_eq!(stage.world.call("ListTasks", input)["taskArns"], json!([arn]));

    stage.submit(
        &arn,
        json!({"status": "STOPPED", "containers": [{"containerName": "web", "exitCode": 3,
            "status": "STOPPED"}]}),
    );
    // A late repeat of an earlier state changes nothing.
    stage.submit(&arn, json!({"status": "RUNNING"}));
    let task = stage.described(&arn);
    for (key, value) in [
        ("lastStatus", json!("STOPPED")),
        ("desiredStatus", json!("STOPPED")),
        ("stopCode", json!("EssentialContainerExited")),
        ("stoppedReason", json!("Essential container in task exited")),
    ] {
        assert_eq!(task[key], value, "{key}");
    }
    assert_eq!(task["containers"][0]["exitCode"], 3);
    assert!(task["stoppedAt"].is_number() && task["executionStoppedAt"].is_number());
    assert_eq!(stage.free_memory(host), 1024);
    stage.world.survives_a_restart();

    stage.world.pass(Duration::from_secs(3599));
    assert_eq!(stage.described(&arn)["lastStatus"], "STOPPED");
    stage.world.pass(Duration::from_secs(2));
    let input = json!({"cluster": "c", "tasks": [arn]});
    let answer = stage.world.call("DescribeTasks", input);
    assert_eq!(answer["failures"], json!([{"arn": arn, "reason": "MISSING"}]));
}

/// What had started before was stopped on account of the one that could not, and has an exit code.
#[test]
fn a_task_of_which_one_container_started_has_failed_to_start() {
    let mut stage = Stage::new(1);
    stage.world.call(
        "RegisterTaskDefinition",
        json!({"family": "two", "containerDefinitions": [
            {"name": "web", "image": "i", "memory": 4}, {"name": "side", "image": "i", "memory": 4}]}),
    );
    let run = json!({"cluster": "c", "taskDefinition": "two"});
    let arn = stage.world.call("RunTask", run)["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    stage.submit(
        &arn,
        json!({"status": "STOPPED", "containers": [
            {"containerName": "web", "status": "STOPPED", "reason": "CannotStartContainerError: no"},
            {"containerName": "side", "status": "STOPPED", "exitCode": 137}]}),
    );
    let task = stage.described(&arn);
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    assert_eq!(task["stoppedReason"], "Task failed to start");
}

#[test]
fn an_image_that_is_not_there_is_a_failed_start() {
    let mut stage = Stage::new(1);
    let arn = stage.run_one();
    let reason = "CannotPullContainerError: no such image";
    stage.submit(
        &arn,
        json!({"status": "STOPPED", "containers": [
            {"containerName": "web", "status": "STOPPED", "reason": reason}]}),
    );
    let task = stage.described(&arn);
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    assert_eq!(task["stoppedReason"], "Task failed to start");
    assert_eq!(task["containers"][0]["reason"], reason);
}

#[test]
fn stopping_answers_at_once_and_is_told_to_the_host() {
    let mut stage = Stage::new(1);
    let host = stage.hosts[0];
    let arn = stage.run_one();
    let id = id_of(&json!(arn));
    stage.world.report(PayloadAcknowledged { instance: host, tasks: vec![(id, Desired::Running)] });
    stage.submit(&arn, json!({"status": "RUNNING"}));
    let stop = json!({"cluster": "c", "task": arn, "reason": "enough"});
    let answer = stage.world.call("StopTask", stop);
    let task = &answer["task"];
    assert_eq!(
        (&task["lastStatus"], &task["desiredStatus"]),
        (&json!("RUNNING"), &json!("STOPPED"))
    );
    assert_eq!(task["stopCode"], "UserInitiated");
    let again = stage.world.call("StopTask", json!({"cluster": "c", "task": id.to_string()}));
    assert_eq!(again["task"]["stoppedReason"], "enough");
    let told = feeds::assignments(stage.world.core.state(), host);
    assert_eq!((told[0].desired, told[0].is_acknowledged()), (Desired::Stopped, false));
    stage.world.report(PayloadAcknowledged { instance: host, tasks: vec![(id, Desired::Stopped)] });
    assert_eq!(stage.described(&arn)["lastStatus"], "STOPPING");
    stage.submit(&arn, json!({"status": "STOPPED", "reason": "the agent's"}));
    let task = stage.described(&arn);
    assert_eq!(
        (&task["lastStatus"], &task["stoppedReason"]),
        (&json!("STOPPED"), &json!("enough"))
    );
    let list = |desired: &str| json!({"cluster": "c", "desiredStatus": desired});
    assert_eq!(stage.world.call("ListTasks", list("STOPPED"))["taskArns"], json!([arn]));
    assert_eq!(stage.world.call("ListTasks", list("RUNNING"))["taskArns"], json!([]));
    let refusal = stage.world.refusal("StopTask", json!({"cluster": "c", "task": "f".repeat(32)}));
    let text = "The referenced task was not found.";
    assert_eq!(refusal, ("InvalidParameterException".into(), text.into()));
}

#[test]
fn what_does_not_fit_is_said_for_each_instance() {
    let mut stage = Stage::new(2);
    stage.define(json!([{"name": "web", "image": "i", "memory": 600}]));
    let answer = stage.run(json!({"count": 3}));
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(reasons(&answer), ["RESOURCE:MEMORY", "RESOURCE:MEMORY"]);
    stage.define(json!([{"name": "web", "image": "i", "memory": 4, "cpu": 2000}]));
    assert_eq!(reasons(&stage.run(json!({}))), ["RESOURCE:CPU", "RESOURCE:CPU"]);
    let ports = json!([{"containerPort": 80, "hostPort": 8080}]);
    stage.define(json!([{"name": "web", "image": "i", "memory": 4, "portMappings": ports}]));
    let answer = stage.run(json!({"count": 3}));
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(reasons(&answer), ["RESOURCE:PORTS", "RESOURCE:PORTS"]);
    let user = json!([{"name": "web", "image": "i", "memory": 4, "privileged": true}]);
    stage.define(user);
    assert_eq!(reasons(&stage.run(json!({}))), ["ATTRIBUTE", "ATTRIBUTE"]);
    let hosts = stage.hosts.clone();
    for host in hosts {
        stage.world.report(AgentDisconnected {
            instance: host,
            session: 1,
            away: std::time::Duration::ZERO,
        });
    }
    assert_eq!(reasons(&stage.run(json!({"taskDefinition": "web:1"}))), ["AGENT", "AGENT"]);
    let names = json!([stage.hosts[0].to_string(), "0".repeat(32)]);
    let input = json!({"cluster": "c", "taskDefinition": "web:1", "containerInstances": names});
    assert_eq!(reasons(&stage.world.call("StartTask", input)), ["AGENT", "MISSING"]);
    stage.world.call("CreateCluster", json!({"clusterName": "empty"}));
    let input = json!({"cluster": "empty", "taskDefinition": "web:1"});
    let refusal = stage.world.refusal("RunTask", input);
    let text = "No Container Instances were found in your cluster.";
    assert_eq!(refusal, ("InvalidParameterException".into(), text.into()));
}

#[test]
fn a_lost_host_loses_its_tasks_once() {
    let mut stage = Stage::new(1);
    let host = stage.hosts[0];
    let arn = stage.run_one();
    let id = id_of(&json!(arn));
    stage.world.report(PayloadAcknowledged { instance: host, tasks: vec![(id, Desired::Running)] });
    stage.submit(&arn, json!({"status": "RUNNING"}));
    // Back within the grace: nothing has happened.
    stage.world.report(AgentDisconnected {
        instance: host,
        session: 1,
        away: std::time::Duration::ZERO,
    });
    assert_eq!(stage.described(&arn)["connectivity"], "DISCONNECTED");
    stage.world.pass(Duration::from_secs(59));
    stage.world.report(AgentConnected { instance: host, session: 2 });
    // The end of the older connection comes late.
    stage.world.report(AgentDisconnected {
        instance: host,
        session: 1,
        away: std::time::Duration::ZERO,
    });
    stage.world.pass(Duration::from_secs(120));
    assert_eq!(stage.described(&arn)["lastStatus"], "RUNNING");

    stage.world.report(AgentDisconnected {
        instance: host,
        session: 2,
        away: std::time::Duration::ZERO,
    });
    stage.world.pass(Duration::from_secs(61));
    let task = stage.described(&arn);
    assert_eq!(task["lastStatus"], "STOPPED");
    assert_eq!(task["stopCode"], "TerminationNotice");
    assert_eq!(task["stoppedReason"], "Host EC2 (instance i-0) terminated.");
    // It comes back and still runs it: it is told to stop, and holds what it held until then.
    stage.world.report(AgentConnected { instance: host, session: 3 });
    assert_eq!(stage.free_memory(host), 960);
    let state = stage.world.core.state();
    let told = feeds::assignments(state, host);
    assert_eq!((told[0].desired, told[0].is_acknowledged()), (Desired::Stopped, false));
    let candidate = aws_agent::acs::TaskIdentifier { task_arn: arn.clone(), ..Default::default() };
    assert_eq!(feeds::stops(state, host, std::slice::from_ref(&candidate)), [candidate]);
    stage.submit(&arn, json!({"status": "RUNNING"}));
    assert_eq!(stage.described(&arn)["lastStatus"], "STOPPED");
    stage.submit(&arn, json!({"status": "STOPPED"}));
    assert_eq!(stage.free_memory(host), 1024);
    assert_eq!(feeds::assignments(stage.world.core.state(), host), []);
    stage.world.survives_a_restart();
}

#[test]
fn a_host_that_has_forgotten_itself_has_forgotten_its_tasks() {
    let mut stage = Stage::new(1);
    let host = stage.hosts[0];
    let arn = stage.run_one();
    let id = id_of(&json!(arn));
    stage.world.report(PayloadAcknowledged { instance: host, tasks: vec![(id, Desired::Running)] });
    stage.submit(&arn, json!({"status": "RUNNING"}));
    let mut again = registration("i-0", "us-east-1a", 1024, 1024);
    again["containerInstanceArn"] = json!(host.to_string());
    stage.world.call("RegisterContainerInstance", again.clone());
    assert_eq!(stage.described(&arn)["lastStatus"], "RUNNING");
    again.as_object_mut().unwrap().remove("containerInstanceArn");
    stage.world.call("RegisterContainerInstance", again);
    let task = stage.described(&arn);
    assert_eq!(
        (&task["lastStatus"], &task["stopCode"]),
        (&json!("STOPPED"), &json!("TerminationNotice"))
    );
    stage.world.report(AgentConnected { instance: host, session: 2 });
    stage.stop_is_answered(&arn, host);
}

#[test]
fn a_task_that_no_host_has_taken_stops_without_one() {
    let mut stage = Stage::new(1);
    let host = stage.hosts[0];
    let arn = stage.run_one();
    stage.world.report(AgentDisconnected {
        instance: host,
        session: 1,
        away: std::time::Duration::ZERO,
    });
    stage.world.call("StopTask", json!({"cluster": "c", "task": arn}));
    let task = stage.described(&arn);
    assert_eq!(task["lastStatus"], "STOPPED");
    assert_eq!(task["stoppedReason"], "Task stopped by user");
    // Whether the host has it after all is known when it is back.
    stage.world.report(AgentConnected { instance: host, session: 2 });
    stage.stop_is_answered(&arn, host);
}

#[test]
fn what_is_not_here_yet_stops_the_task_by_name() {
    let mut stage = Stage::new(1);
    let secret = json!([{"name": "S", "valueFrom": "/p"}]);
    let execution = stage.world.role("e", "ecs-tasks.amazonaws.com");
    stage.world.call(
        "RegisterTaskDefinition",
        json!({"family": "web", "executionRoleArn": execution, "containerDefinitions": [
            {"name": "web", "image": "i", "memory": 4, "secrets": secret}]}),
    );
    let attributes = json!([
        {"name": "ecs.capability.secrets.ssm.environment-variables"}]);
    let host = stage.hosts[0];
    let mut again = registration("i-0", "us-east-1a", 1024, 1024);
    again["attributes"] = attributes;
    stage.world.call("RegisterContainerInstance", again);
    let arn = stage.run_one();
    let task = stage.described(&arn);
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    let reason = task["stoppedReason"].as_str().unwrap();
    assert!(reason.starts_with("ResourceInitializationError: "), "{reason}");
    assert_eq!(feeds::assignments(stage.world.core.state(), host), []);
}

const TASKS: &str = "ecs-tasks.amazonaws.com";

fn unable(role: &str) -> String {
    format!(
        "ECS was unable to assume the role '{role}' that was provided for this task. Please verify \
         that the role being passed has the proper trust relationship and permissions and that \
         your IAM user has permissions to pass this role."
    )
}

#[test]
fn a_task_gets_only_roles_that_trust_it() {
    let mut stage = Stage::new(1);
    let missing = "arn:aws:iam::123456789012:role/missing".to_owned();
    let foreign = stage.world.role("foreign", "ec2.amazonaws.com");
    let trusted = stage.world.role("trusted", TASKS);
    let run = |of: &str, role: &str| json!({"cluster": "c", "taskDefinition": "web", "overrides": { of: role }});
    for of in ["taskRoleArn", "executionRoleArn"] {
        for role in [&missing, &foreign] {
            let (code, text) = stage.world.refusal("RunTask", run(of, role));
            assert_eq!((&*code, text), ("ClientException", unable(role)));
        }
        let started = stage.world.call("RunTask", run(of, &trusted));
        assert_eq!(started["failures"], json!([]));
    }
    let hosts = stage.world.call("ListContainerInstances", json!({"cluster": "c"}));
    let mut start = run("taskRoleArn", &missing);
    start["containerInstances"] = hosts["containerInstanceArns"].clone();
    assert_eq!(stage.world.refusal("StartTask", start).1, unable(&missing));

    // A service's tasks stop with the reason, and run once the role is as it should be.
    stage.world.call(
        "RegisterTaskDefinition",
        json!({"family": "svc", "taskRoleArn": foreign, "containerDefinitions": [
            {"name": "web", "image": "i", "memory": 4}]}),
    );
    stage.world.call(
        "CreateService",
        json!({"cluster": "c", "serviceName": "s", "taskDefinition": "svc", "desiredCount": 1}),
    );
    let list = |status: &str| json!({"cluster": "c", "serviceName": "s", "desiredStatus": status});
    let stopped = stage.world.call("ListTasks", list("STOPPED"));
    let arn = stopped["taskArns"][0].as_str().unwrap().to_owned();
    let task = stage.described(&arn);
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    assert_eq!(task["stoppedReason"], unable(&foreign));
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"Service": TASKS}, "Action": "sts:AssumeRole",
        "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:ecs:us-east-1:123456789012:*"},
            "StringEquals": {"aws:SourceAccount": "123456789012"}}}]});
    stage.world.call(
        "UpdateAssumeRolePolicy",
        json!({"RoleName": "foreign", "PolicyDocument": trust.to_string()}),
    );
    stage.world.pass(Duration::from_secs(3600));
    let pending = stage.world.call("ListTasks", list("RUNNING"));
    assert_eq!(pending["taskArns"].as_array().unwrap().len(), 1, "{pending}");
}

#[test]
fn the_same_call_again_starts_nothing() {
    let mut stage = Stage::new(1);
    let first = stage.run(json!({"clientToken": "t", "count": 2}));
    let again = stage.run(json!({"clientToken": "t", "count": 2}));
    assert_eq!(first["tasks"], again["tasks"]);
    let other = json!({"cluster": "c", "taskDefinition": "web", "clientToken": "t", "count": 3});
    assert_eq!(stage.world.refusal("RunTask", other).0, "ConflictException");
    let all = stage.world.call("ListTasks", json!({"cluster": "c"}));
    assert_eq!(all["taskArns"].as_array().unwrap().len(), 2);
}
