//! What tasks that wait for a scaled capacity provider may ask for beside room: interfaces of their
//! own, constraints, static ports, GPUs.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use serde_json::{Value, json};
use service_ec2::reports::NetworkReady;
use service_ecs::ops;
use service_ecs::rows::managed_scaling::ManagedScaling;
use service_ecs::rows::task::Task;
use world::fleet::{Fleet, with};

/// A cluster whose default is a scaled provider, with one instance of its.
fn fleet(more: Value) -> Fleet {
    let mut fleet = Fleet::new(0);
    let group = json!({"autoScalingGroupArn": "g", "managedScaling": {"status": "ENABLED"}});
    let input = json!({"name": "p", "autoScalingGroupProvider": group});
    fleet.world.call("CreateCapacityProvider", input);
    let put = json!({"cluster": "c", "capacityProviders": ["p"],
        "defaultCapacityProviderStrategy": [{"capacityProvider": "p", "weight": 1}]});
    fleet.world.call("PutClusterCapacityProviders", put);
    add(&mut fleet, more);
    fleet
}

/// One more instance of the provider; they are in two zones by turns.
fn add(fleet: &mut Fleet, more: Value) {
    let attributes = json!([{"name": "wharf.capacity-provider", "value": "p"},
        {"name": "ecs.capability.task-eni"}, {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.22"}]);
    fleet.add_host_with(attributes, more);
}

fn run(fleet: &mut Fleet, family: &str, count: u32, more: Value) -> Vec<Value> {
    let input = json!({"cluster": "c", "taskDefinition": family, "count": count});
    let answer = fleet.world.call("RunTask", with(input, more));
    assert_eq!(answer["failures"], json!([]));
    answer["tasks"].as_array().unwrap().clone()
}

fn waiting(fleet: &Fleet) -> usize {
    fleet.world.core.state().all::<Task>().filter(|task| task.waiting().is_some()).count()
}

/// What is decided of the group.
fn row(fleet: &Fleet) -> ManagedScaling {
    let cluster = ("123456789012/us-east-1".parse().unwrap(), "c".into());
    let mut rows = ops::group_sizes(fleet.world.core.state(), &cluster);
    rows.next().cloned().expect("the provider is scaled")
}

fn described(fleet: &mut Fleet, task: &Value) -> Value {
    let input = json!({"cluster": "c", "tasks": [task["taskArn"]]});
    fleet.world.call("DescribeTasks", input)["tasks"][0].clone()
}

/// Definitions of one container; `of_container` and `of_task` are added to them.
fn define(fleet: &mut Fleet, family: &str, of_container: Value, of_task: Value) {
    let image = format!("busybox@sha256:{}", "b".repeat(64));
    let container = with(json!({"name": "web", "image": image, "memory": 64}), of_container);
    let input = json!({"family": family, "containerDefinitions": [container]});
    fleet.world.call("RegisterTaskDefinition", with(input, of_task));
}

#[test]
fn what_a_task_was_told_beside_its_definition_outlasts_its_wait() {
    let mut fleet = fleet(json!({}));
    let over = json!({"overrides": {"containerOverrides": [{"name": "web", "command": ["other"]}]},
        "placementConstraints": [{"type": "distinctInstance"}], "startedBy": "me"});
    let tasks = run(&mut fleet, "web", 2, over);
    let waits = tasks.iter().find(|task| task["lastStatus"] == "PROVISIONING").unwrap();
    let shown = json!({"containerOverrides": [{"name": "web", "command": ["other"]}],
        "inferenceAcceleratorOverrides": []});
    assert_eq!((waiting(&fleet), &waits["overrides"]), (1, &shown));
    add(&mut fleet, json!({}));
    let placed = described(&mut fleet, waits);
    let kept = &placed["overrides"]["containerOverrides"][0]["command"];
    assert_eq!((kept, &placed["startedBy"]), (&json!(["other"]), &json!("me")));
}

#[test]
fn a_static_port_takes_an_instance_for_each_task() {
    let mut fleet = fleet(json!({}));
    run(&mut fleet, "fixed", 4, json!({}));
    assert_eq!((waiting(&fleet), row(&fleet).desired_size), (3, 4));
    fleet.world.survives_a_restart();
    (0..3).for_each(|_| add(&mut fleet, json!({})));
    fleet.settle();
    assert_eq!((waiting(&fleet), row(&fleet).reservation), (0, 10_000));
    fleet.world.survives_a_restart();
}

#[test]
fn a_port_that_the_instances_keep_for_themselves_makes_no_more_of_them() {
    let mut fleet = fleet(json!({}));
    let ports = json!({"portMappings": [{"containerPort": 22, "hostPort": 22}]});
    define(&mut fleet, "shell", ports, json!({}));
    let task = run(&mut fleet, "shell", 1, json!({})).remove(0);
    assert_eq!((waiting(&fleet), row(&fleet).desired_size), (1, 1));
    fleet.world.pass(Duration::from_secs(16 * 60));
    let reason = described(&mut fleet, &task)["stoppedReason"].clone();
    assert_eq!(reason, "TaskFailedToStart: RESOURCE:PORTS");
}

#[test]
fn distinct_instances_are_as_many_as_tasks() {
    let mut fleet = fleet(json!({}));
    let distinct = json!({"placementConstraints": [{"type": "distinctInstance"}]});
    run(&mut fleet, "web", 3, distinct);
    assert_eq!((waiting(&fleet), row(&fleet).desired_size), (2, 3));
    (0..2).for_each(|_| add(&mut fleet, json!({})));
    fleet.settle();
    let tasks = fleet.world.core.state().all::<Task>();
    let hosts: std::collections::BTreeSet<_> = tasks.filter_map(|task| task.host).collect();
    assert_eq!((waiting(&fleet), hosts.len()), (0, 3));
}

#[test]
fn an_attribute_that_no_instance_has_makes_no_more_of_them() {
    let mut fleet = fleet(json!({}));
    let expression = "attribute:disk == ssd";
    let constraint = json!({"type": "memberOf", "expression": expression});
    run(&mut fleet, "web", 2, json!({"placementConstraints": [constraint]}));
    let found = row(&fleet);
    assert_eq!((waiting(&fleet), found.desired_size, found.reservation), (2, 1, 10_000));
    fleet.world.survives_a_restart();
    // Once one has it, they have their places.
    let host = fleet.hosts[0].to_string();
    let attribute = json!({"name": "disk", "value": "ssd", "targetId": host});
    fleet.world.call("PutAttributes", json!({"cluster": "c", "attributes": [attribute]}));
    assert_eq!(waiting(&fleet), 0);
    fleet.world.survives_a_restart();
}

#[test]
fn gpus_are_counted_by_the_instance_that_has_them() {
    let gpus = json!({"platformDevices": [{"id": "gpu-1", "type": "GPU"},
        {"id": "gpu-2", "type": "GPU"}]});
    let mut fleet = fleet(gpus.clone());
    let needs = json!({"resourceRequirements": [{"type": "GPU", "value": "1"}]});
    define(&mut fleet, "gpu", needs, json!({}));
    let tasks = run(&mut fleet, "gpu", 5, json!({}));
    assert_eq!((waiting(&fleet), row(&fleet).desired_size), (3, 3));
    fleet.world.survives_a_restart();
    (0..2).for_each(|_| add(&mut fleet, gpus.clone()));
    fleet.settle();
    assert_eq!(waiting(&fleet), 0);
    let last = described(&mut fleet, &tasks[4]);
    assert_eq!(last["containers"][0]["gpuIds"].as_array().unwrap().len(), 1, "{last}");
    fleet.world.survives_a_restart();
}

#[test]
fn gpus_that_no_instance_has_make_no_more_of_them() {
    let mut fleet = fleet(json!({}));
    let needs = json!({"resourceRequirements": [{"type": "GPU", "value": "1"}]});
    define(&mut fleet, "gpu", needs, json!({}));
    let task = run(&mut fleet, "gpu", 1, json!({})).remove(0);
    assert_eq!((waiting(&fleet), row(&fleet).desired_size), (1, 1));
    fleet.world.pass(Duration::from_secs(16 * 60));
    let reason = described(&mut fleet, &task)["stoppedReason"].clone();
    assert_eq!(reason, "TaskFailedToStart: RESOURCE:GPU");
}

/// Tasks with interfaces of their own, in the zone of this number.
fn in_zone(fleet: &mut Fleet, zone: usize, count: u32) -> Vec<Value> {
    fleet.world.report(NetworkReady { cidr: "10.9.0.0/24".parse().unwrap() });
    define(fleet, "vpc", json!({}), json!({"networkMode": "awsvpc"}));
    let scope = "123456789012/us-east-1".parse().unwrap();
    let subnet = service_ec2::ops::subnets(fleet.world.core.state(), scope)[zone].id.clone();
    let network = json!({"awsvpcConfiguration": {"subnets": [subnet]}});
    run(fleet, "vpc", count, json!({"networkConfiguration": network}))
}

#[test]
fn a_task_with_an_interface_waits_for_an_instance_in_its_zone() {
    let mut fleet = fleet(json!({}));
    let tasks = in_zone(&mut fleet, 1, 2);
    assert_eq!(tasks[0]["attachments"], json!([]));
    // All instances are elsewhere; the next one may be there.
    assert_eq!((waiting(&fleet), row(&fleet).desired_size), (2, 2));
    fleet.world.survives_a_restart();
    add(&mut fleet, json!({}));
    assert_eq!(waiting(&fleet), 0);
    let shown = described(&mut fleet, &tasks[0]);
    assert_eq!(shown["attachments"][0]["type"], "ElasticNetworkInterface");
    assert_eq!(shown["availabilityZone"], "us-east-1b");
    fleet.world.survives_a_restart();
}

#[test]
fn a_task_whose_zone_never_comes_is_given_up() {
    let mut fleet = fleet(json!({}));
    let task = in_zone(&mut fleet, 1, 1).remove(0);
    fleet.world.pass(Duration::from_secs(16 * 60));
    let shown = described(&mut fleet, &task);
    assert_eq!(shown["stoppedReason"], "TaskFailedToStart: LOCATION");
    assert_eq!(shown["stopCode"], "TaskFailedToStart");
    fleet.world.survives_a_restart();
}

#[test]
fn a_service_with_interfaces_waits_as_well() {
    let mut fleet = fleet(json!({}));
    fleet.world.report(NetworkReady { cidr: "10.9.0.0/24".parse().unwrap() });
    define(&mut fleet, "vpc", json!({"memory": 512}), json!({"networkMode": "awsvpc"}));
    let scope = "123456789012/us-east-1".parse().unwrap();
    let subnets = service_ec2::ops::subnets(fleet.world.core.state(), scope);
    let ids: Vec<String> = subnets.iter().map(|subnet| subnet.id.clone()).collect();
    let network = json!({"awsvpcConfiguration": {"subnets": ids}});
    let service =
        json!({"taskDefinition": "vpc", "desiredCount": 5, "networkConfiguration": network});
    fleet.create("s", service);
    fleet.settle();
    // Two fit on an instance.
    assert_eq!((waiting(&fleet), row(&fleet).desired_size), (3, 3));
    (0..2).for_each(|_| add(&mut fleet, json!({})));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (5, 0, 5));
    assert_eq!(row(&fleet).reservation, 10_000);
    fleet.world.survives_a_restart();
}
