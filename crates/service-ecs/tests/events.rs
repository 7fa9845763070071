//! Changes as events: every step that a user can see is told once, in EventBridge's shape.

#![allow(clippy::unwrap_used)]

mod world;

use core_state::{Change, State};
use core_types::Time;
use serde_json::json;
use service_ecs::feeds::events::{Event, between, of};
use world::fleet::{Fate, Fleet};
use world::managed::{create, daemon_arn, managed};

/// What came since a state, as a follower would read it that looks now.
struct Follower {
    seen: State,
    at: Time,
}

impl Follower {
    fn new(fleet: &Fleet) -> Follower {
        Follower { seen: fleet.world.core.state().clone(), at: fleet.world.now }
    }

    fn read(&mut self, fleet: &Fleet) -> Vec<Event> {
        let state = fleet.world.core.state();
        let changes: Vec<Change> = between(&self.seen, state);
        let events = changes.iter().flat_map(|change| of(change, state, self.at)).collect();
        (self.seen, self.at) = (state.clone(), fleet.world.now);
        events
    }
}

fn named<'e>(events: &'e [Event], detail_type: &str) -> Vec<&'e Event> {
    events.iter().filter(|event| event.detail_type == detail_type).collect()
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().filter_map(|event| event.detail["eventName"].as_str()).collect()
}

#[test]
fn a_task_is_told_at_each_of_its_steps() {
    let mut fleet = Fleet::new(1);
    let mut follower = Follower::new(&fleet);
    let input = json!({"cluster": "c", "taskDefinition": "web", "startedBy": "me"});
    let answer = fleet.world.call("RunTask", input);
    let arn = answer["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    let events = follower.read(&fleet);
    let tasks = named(&events, "ECS Task State Change");
    assert_eq!(tasks.len(), 1, "{events:?}");
    let first = tasks[0];
    assert_eq!(first.resources, std::slice::from_ref(&arn));
    assert_eq!((first.version.as_str(), first.source.as_str()), ("0", "aws.ecs"));
    assert_eq!((first.account.as_str(), first.region.as_str()), ("123456789012", "us-east-1"));
    assert_eq!(first.time, "2023-11-14T22:13:20Z");
    let detail = &first.detail;
    assert_eq!(
        (&detail["lastStatus"], &detail["desiredStatus"]),
        (&json!("PENDING"), &json!("RUNNING"))
    );
    assert_eq!(detail["startedBy"], "me");
    assert_eq!(detail["clusterArn"], "arn:aws:ecs:us-east-1:123456789012:cluster/c");
    assert!(detail["createdAt"].as_str().unwrap().starts_with("2023-11-14T22:13:20"), "{detail}");
    // What is left on its host has changed with it.
    let hosts = named(&events, "ECS Container Instance State Change");
    assert_eq!(hosts[0].detail["pendingTasksCount"], 1);
    assert!(hosts[0].detail["clusterArn"].is_string());

    fleet.settle();
    let events = follower.read(&fleet);
    let tasks = named(&events, "ECS Task State Change");
    assert_eq!(tasks.last().unwrap().detail["lastStatus"], "RUNNING");
    let version = |event: &Event| event.detail["version"].as_u64().unwrap();
    let running = version(tasks.last().unwrap());
    assert!(running > version(first));

    fleet.world.call("StopTask", json!({"cluster": "c", "task": arn, "reason": "enough"}));
    let events = follower.read(&fleet);
    let stopping = named(&events, "ECS Task State Change")[0].clone();
    assert_eq!(stopping.detail["desiredStatus"], "STOPPED");
    assert!(version(&stopping) > running);
    fleet.settle();
    let events = follower.read(&fleet);
    let last = named(&events, "ECS Task State Change").pop().unwrap().clone();
    assert_eq!(
        (&last.detail["lastStatus"], &last.detail["stoppedReason"]),
        (&json!("STOPPED"), &json!("enough"))
    );
    assert_eq!(last.detail["stopCode"], "UserInitiated");
    // Nothing more comes of it.
    assert_eq!(follower.read(&fleet), []);
}

#[test]
fn services_tell_their_deployments_and_what_hinders_them() {
    let mut fleet = Fleet::new(1);
    let mut follower = Follower::new(&fleet);
    fleet.create("s", json!({"taskDefinition": "fixed", "desiredCount": 1}));
    let events = follower.read(&fleet);
    assert_eq!(names(&events), ["SERVICE_DEPLOYMENT_IN_PROGRESS"]);
    let deployment = named(&events, "ECS Deployment State Change")[0];
    assert_eq!(deployment.resources, ["arn:aws:ecs:us-east-1:123456789012:service/c/s"]);
    assert_eq!(deployment.detail["eventType"], "INFO");
    assert!(deployment.detail["deploymentId"].as_str().unwrap().starts_with("ecs-svc/"));
    fleet.settle();
    let events = follower.read(&fleet);
    assert_eq!(names(&events), ["SERVICE_DEPLOYMENT_COMPLETED", "SERVICE_STEADY_STATE"]);
    fleet.world.call("UpdateService", json!({"cluster": "c", "service": "s", "desiredCount": 2}));
    let events = follower.read(&fleet);
    // AWS: a number that a user has given is not told.
    assert_eq!(names(&events), ["SERVICE_TASK_PLACEMENT_FAILURE"]);
    let detail = &named(&events, "ECS Service Action")[0].detail;
    let host = fleet.hosts[0];
    let arn = format!("arn:aws:ecs:us-east-1:123456789012:container-instance/c/{host}");
    assert_eq!(detail["eventType"], "ERROR");
    assert_eq!(
        (&detail["reason"], &detail["containerInstanceArns"]),
        (&json!("RESOURCE:PORTS"), &json!([arn]))
    );
    // It is not told anew for a number alone.
    fleet.update("s", json!({"desiredCount": 3}));
    assert_eq!(names(&follower.read(&fleet)), [""; 0]);
}

#[test]
fn capacity_providers_are_told_as_short_and_as_steady() {
    let mut fleet = Fleet::new(0);
    let group = json!({"autoScalingGroupArn": "g"});
    let input = json!({"name": "p", "autoScalingGroupProvider": group});
    fleet.world.call("CreateCapacityProvider", input);
    let put = json!({"cluster": "c", "capacityProviders": ["p"],
        "defaultCapacityProviderStrategy": [{"capacityProvider": "p", "weight": 1}]});
    fleet.world.call("PutClusterCapacityProviders", put);
    let mut follower = Follower::new(&fleet);
    fleet.create("s", json!({"desiredCount": 1}));
    let events = follower.read(&fleet);
    let failure = named(&events, "ECS Service Action")[0];
    let arns = json!(["arn:aws:ecs:us-east-1:123456789012:capacity-provider/p"]);
    assert_eq!(failure.detail["eventName"], "SERVICE_TASK_PLACEMENT_FAILURE");
    assert_eq!(failure.detail["capacityProviderArns"], arns);
    fleet.add_host_of("p");
    fleet.settle();
    let events = follower.read(&fleet);
    let steady: Vec<_> = named(&events, "ECS Service Action");
    let steady: Vec<_> = steady.iter().map(|event| &event.detail).collect();
    assert_eq!(
        (&steady[0]["eventName"], &steady[1]["eventName"]),
        (&json!("SERVICE_STEADY_STATE"), &json!("CAPACITY_PROVIDER_STEADY_STATE"))
    );
    assert_eq!(steady[1]["capacityProviderArns"], arns);
}

#[test]
fn a_task_set_tells_for_its_service() {
    let mut fleet = Fleet::new(1);
    let input = json!({"cluster": "c", "serviceName": "s", "desiredCount": 2,
        "deploymentController": {"type": "EXTERNAL"}});
    fleet.world.call("CreateService", input);
    let mut follower = Follower::new(&fleet);
    let scale = json!({"value": 50, "unit": "PERCENT"});
    let input = json!({"cluster": "c", "service": "s", "taskDefinition": "fixed", "scale": scale});
    let set = fleet.world.call("CreateTaskSet", input)["taskSet"]["taskSetArn"].clone();
    fleet.settle();
    let events = follower.read(&fleet);
    let told = named(&events, "ECS Service Action");
    assert_eq!(told[0].detail["eventName"], "TASKSET_STEADY_STATE");
    assert_eq!(told[0].detail["taskSetArns"], json!([set]));
    assert_eq!(told[0].resources, ["arn:aws:ecs:us-east-1:123456789012:service/c/s"]);
    let input = json!({"cluster": "c", "service": "s", "taskSet": set,
        "scale": {"value": 100, "unit": "PERCENT"}});
    fleet.world.call("UpdateTaskSet", input);
    let events = follower.read(&fleet);
    let told = named(&events, "ECS Service Action");
    assert_eq!(told[0].detail["eventName"], "SERVICE_TASK_PLACEMENT_FAILURE");
    assert_eq!(told[0].detail["reason"], "RESOURCE:PORTS");
}

#[test]
fn what_a_service_stops_is_told() {
    let mut fleet = Fleet::new(2);
    fleet.create("s", json!({}));
    fleet.settle();
    fleet.world.pass(std::time::Duration::from_secs(1));
    let mut follower = Follower::new(&fleet);
    fleet.update("s", json!({"desiredCount": 1}));
    fleet.settle();
    let events = follower.read(&fleet);
    let told = named(&events, "ECS Service Action");
    let stopped: Vec<_> =
        told.iter().filter(|event| event.detail["eventName"] == "TASKS_STOPPED").collect();
    let gone = named(&events, "ECS Task State Change")[0].resources[0].clone();
    assert_eq!((stopped.len(), told.len()), (1, 2), "and the service is steady again: {told:?}");
    assert_eq!(stopped[0].detail["taskArns"], json!([gone]));
    assert_eq!(stopped[0].resources, ["arn:aws:ecs:us-east-1:123456789012:service/c/s"]);
}

#[test]
fn a_daemon_tells_of_a_host_that_its_constraints_name_no_more() {
    let mut fleet = Fleet::new(2);
    let arns: Vec<String> = fleet
        .hosts
        .iter()
        .map(|id| format!("arn:aws:ecs:us-east-1:123456789012:container-instance/c/{id}"))
        .collect();
    let attribute = |host: usize| {
        json!({"cluster": "c", "attributes": [{"name": "probe", "value": "yes",
            "targetId": arns[host]}]})
    };
    for host in [0, 1] {
        fleet.world.call("PutAttributes", attribute(host));
    }
    let only = json!([{"type": "memberOf", "expression": "attribute:probe == yes"}]);
    let input = json!({"cluster": "c", "serviceName": "d", "taskDefinition": "web",
        "schedulingStrategy": "DAEMON", "placementConstraints": only});
    fleet.world.call("CreateService", input);
    fleet.settle();
    assert_eq!(fleet.counts("d"), (2, 0, 2));
    let mut follower = Follower::new(&fleet);
    let off = json!({"cluster": "c", "attributes": [{"name": "probe", "targetId": arns[1]}]});
    fleet.world.call("DeleteAttributes", off);
    fleet.settle();
    assert_eq!(fleet.counts("d"), (1, 0, 1));
    let events = follower.read(&fleet);
    let told = named(&events, "ECS Service Action");
    let name = "SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED";
    let found = told.iter().find(|event| event.detail["eventName"] == name).unwrap();
    assert_eq!(found.detail["containerInstanceArns"], json!([arns[1]]));
    assert_eq!(found.detail["eventType"], "ERROR");
}

#[test]
fn a_broken_version_is_told_as_impaired_and_as_failed() {
    let mut fleet = Fleet::new(1);
    fleet.fates.insert(1, Fate::NeverStarts);
    let mut follower = Follower::new(&fleet);
    let breaker = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": false}});
    fleet.create("s", json!({"desiredCount": 20, "deploymentConfiguration": breaker}));
    let mut told = Vec::new();
    for _ in 0..40 {
        fleet.settle();
        told.extend(follower.read(&fleet));
        fleet.world.pass(std::time::Duration::from_secs(30));
        told.extend(follower.read(&fleet));
    }
    let names = names(&told);
    assert!(names.contains(&"SERVICE_TASK_START_IMPAIRED"), "{names:?}");
    assert!(names.contains(&"SERVICE_DEPLOYMENT_FAILED"), "{names:?}");
}

#[test]
fn an_instance_is_told_when_it_joins_leaves_and_drains() {
    let mut fleet = Fleet::new(1);
    let mut follower = Follower::new(&fleet);
    fleet.add_host();
    let events = follower.read(&fleet);
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(
        (&events[0].detail["status"], &events[0].detail["agentConnected"]),
        (&json!("ACTIVE"), &json!(true))
    );
    let arn = events[0].resources[0].clone();
    fleet.disconnect(fleet.hosts[1]);
    let events = follower.read(&fleet);
    assert_eq!(events[0].detail["agentConnected"], false);
    let input = json!({"cluster": "c", "containerInstances": [arn], "status": "DRAINING"});
    fleet.world.call("UpdateContainerInstancesState", input);
    let events = follower.read(&fleet);
    assert_eq!(
        (&events[0].detail["status"], &events[0].resources),
        (&json!("DRAINING"), &vec![arn])
    );
}

#[test]
fn a_pause_is_told_when_it_waits_and_how_it_ended() {
    let mut fleet = Fleet::new(1);
    let hooks =
        json!([{"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP", "POST_SCALE_UP"]}]);
    let configuration = json!({"strategy": "BLUE_GREEN", "lifecycleHooks": hooks});
    let mut follower = Follower::new(&fleet);
    fleet.create("s", json!({"desiredCount": 0, "deploymentConfiguration": configuration}));
    for (stage, action, ended) in [
        ("PRE_SCALE_UP", "CONTINUE", "HOOK_SUCCEEDED"),
        ("POST_SCALE_UP", "ROLLBACK", "HOOK_FAILED"),
    ] {
        let events = follower.read(&fleet);
        let all = named(&events, "ECS Hook State Change");
        let last = all.last().unwrap();
        let detail = &last.detail;
        assert_eq!(detail["eventName"], "HOOK_AWAITING_ACTION");
        assert_eq!(
            (&detail["hookType"], &detail["lifecycleStage"]),
            (&json!("PAUSE"), &json!(stage))
        );
        assert_eq!(detail["serviceDeploymentArn"], json!(last.resources[0]));
        let input = json!({"serviceDeploymentArn": detail["serviceDeploymentArn"],
            "hookId": detail["hookId"], "action": action});
        let before = fleet.world.core.state().clone();
        fleet.world.call("ContinueServiceDeployment", input);
        let state = fleet.world.core.state();
        let changes = between(&before, state);
        let events: Vec<Event> =
            changes.iter().flat_map(|change| of(change, state, fleet.world.now)).collect();
        assert!(names(&events).contains(&ended), "{events:?}");
    }
}

#[test]
fn a_daemons_deployment_is_told_with_what_fails_of_it() {
    let mut fleet = managed(1);
    fleet.fates.insert(1, Fate::NeverStarts);
    let mut follower = Follower::new(&fleet);
    let made = create(&mut fleet, json!({}));
    let events = follower.read(&fleet);
    let told = named(&events, "ECS Daemon Deployment State Change");
    assert_eq!(told.len(), 1, "{events:?}");
    assert_eq!(told[0].resources, [daemon_arn()]);
    assert_eq!(told[0].detail["eventName"], "DAEMON_DEPLOYMENT_IN_PROGRESS");
    assert_eq!(told[0].detail["daemonDeploymentArn"], made["deploymentArn"]);
    fleet.turn();
    let events = follower.read(&fleet);
    let told = named(&events, "ECS Daemon Service Action");
    assert_eq!(told.len(), 1, "{events:?}");
    let detail = &told[0].detail;
    assert_eq!(detail["eventName"], "DAEMON_TASK_START_IMPAIRED");
    assert_eq!(detail["failureType"], "TASK_FAILED_TO_RUN");
    assert_eq!(
        (&detail["daemonArn"], &detail["capacityProviderName"]),
        (&json!(daemon_arn()), &json!("mi"))
    );
    assert_eq!(detail["taskArn"], json!(told[0].resources[0]));
    while fleet.turn() {}
    assert!(names(&follower.read(&fleet)).contains(&"DAEMON_DEPLOYMENT_STOPPED"));
}
