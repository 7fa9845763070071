//! A fleet whose hosts are of a capacity provider of managed instances, and daemons on them.

use serde_json::{Value, json};
use service_ecs::rows::container_instance::ContainerInstance;
use service_ecs::rows::task::Task;

use super::fleet::{Fleet, with};

pub const ARN: &str = "arn:aws:ecs:us-east-1:123456789012:";

/// Hosts of the provider `mi`, and the daemon task definition `agent:1`.
pub fn managed(hosts: usize) -> Fleet {
    let mut fleet = Fleet::new(0);
    provider(&mut fleet, "mi");
    (0..hosts).for_each(|_| fleet.add_host_of("mi"));
    define(&mut fleet);
    fleet
}

pub fn provider(fleet: &mut Fleet, name: &str) {
    let role = "arn:aws:iam::123456789012:role/infrastructure";
    let profile = "arn:aws:iam::123456789012:instance-profile/ecs";
    let input = json!({"name": name, "cluster": "c", "managedInstancesProvider": {
        "infrastructureRoleArn": role, "instanceLaunchTemplate": {
            "ec2InstanceProfileArn": profile,
            "networkConfiguration": {"subnets": ["subnet-1"]}}}});
    fleet.world.call("CreateCapacityProvider", input);
}

/// The next revision of `agent`.
pub fn define(fleet: &mut Fleet) {
    let container = json!({"name": "agent", "image": "agent:1", "cpu": 64, "memory": 64});
    let input = json!({"family": "agent", "containerDefinitions": [container]});
    fleet.world.call("RegisterDaemonTaskDefinition", input);
}

pub fn provider_arn(name: &str) -> String {
    format!("{ARN}capacity-provider/{name}")
}

pub fn daemon_arn() -> String {
    format!("{ARN}daemon/c/d")
}

pub fn creation(more: Value) -> Value {
    let input = json!({"clusterArn": format!("{ARN}cluster/c"), "daemonName": "d",
        "daemonTaskDefinitionArn": format!("{ARN}daemon-task-definition/agent:1"),
        "capacityProviderArns": [provider_arn("mi")]});
    with(input, more)
}

pub fn create(fleet: &mut Fleet, more: Value) -> Value {
    fleet.world.call("CreateDaemon", creation(more))
}

/// To a revision of `agent`.
pub fn update(fleet: &mut Fleet, revision: u32, more: Value) -> Value {
    let input = json!({"daemonArn": daemon_arn(),
        "daemonTaskDefinitionArn": format!("{ARN}daemon-task-definition/agent:{revision}"),
        "capacityProviderArns": [provider_arn("mi")]});
    fleet.world.call("UpdateDaemon", with(input, more))
}

pub fn describe(fleet: &mut Fleet) -> Value {
    fleet.world.call("DescribeDaemon", json!({"daemonArn": daemon_arn()}))["daemon"].clone()
}

/// A deployment in full: the daemon's newest.
pub fn deployment(fleet: &mut Fleet) -> Value {
    let arn = describe(fleet)["deploymentArn"].clone();
    deployment_of(fleet, &arn)
}

pub fn deployment_of(fleet: &mut Fleet, arn: &Value) -> Value {
    let input = json!({"daemonDeploymentArns": [arn]});
    fleet.world.call("DescribeDaemonDeployments", input)["daemonDeployments"][0].clone()
}

/// Tasks of the daemon that have not stopped.
pub fn tasks(fleet: &Fleet) -> Vec<Task> {
    let rows = fleet.world.core.state().all::<Task>();
    rows.filter(|task| task.daemon().is_some() && !task.is_stopped()).cloned().collect()
}

/// What each host is shown as.
pub fn shown(fleet: &Fleet) -> Vec<&'static str> {
    let state = fleet.world.core.state();
    let host = |id| state.get::<ContainerInstance>(id).expect("a host of the fleet");
    fleet.hosts.iter().map(|id| host(id).shown_status()).collect()
}
