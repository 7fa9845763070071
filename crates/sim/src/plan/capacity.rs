//! What a plan says of capacity: groups of instances that are sized by what runs on them, services
//! with a strategy over capacity providers, and Fargate.

use std::collections::BTreeMap;

use core_types::Scope;
use serde::Deserialize;
use serde_json::{Value, json};
use service_ec2::reports::NetworkReady;

use super::{Counts, Course, Look, Plan, Wanted, millis};
use crate::group::{Group, desired_size};
use crate::world::{CLUSTER, World};
use crate::{Outcome, hold};

/// An Auto Scaling group, and the capacity provider of its name that sizes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instances {
    pub name: String,
    /// Of each of its instances.
    pub cpu: i64,
    pub memory: i64,
    /// How many there are at the start.
    #[serde(default)]
    pub count: usize,
    /// As in CreateCapacityProvider: in percent, in instances, in seconds.
    #[serde(default = "whole")]
    pub target: u32,
    #[serde(default = "least_step")]
    pub minimum_step: u32,
    #[serde(default = "most_step")]
    pub maximum_step: u32,
    #[serde(default = "warmup")]
    pub warmup: u32,
    #[serde(default)]
    pub protected: bool,
    #[serde(default = "yes")]
    pub draining: bool,
    /// From when an instance is asked for until it has registered: least and most, in seconds.
    #[serde(default = "boots")]
    pub boots_in: (f64, f64),
}

fn whole() -> u32 {
    100
}

fn least_step() -> u32 {
    1
}

fn most_step() -> u32 {
    10_000
}

fn warmup() -> u32 {
    300
}

fn yes() -> bool {
    true
}

fn boots() -> (f64, f64) {
    (40.0, 90.0)
}

/// One line of a service's strategy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// A group of the plan, FARGATE or FARGATE_SPOT.
    pub provider: String,
    #[serde(default)]
    pub base: u32,
    #[serde(default)]
    pub weight: u32,
}

const FARGATE: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];
/// Instances of all groups: an arm's length beyond what somebody can look at.
const MOST: usize = 2_000;

impl Wanted {
    /// Whether its tasks run on machines that nobody is shown.
    pub fn is_fargate(&self) -> bool {
        let built_in = |share: &Share| FARGATE.contains(&share.provider.as_str());
        self.fargate || self.capacity.iter().any(built_in)
    }
}

/// What has to be there before the hosts and the services are.
pub fn begin(world: &mut World, plan: &Plan) -> Outcome<()> {
    if plan.services.iter().any(Wanted::is_fargate) {
        let cidr = "10.32.0.0/16".parse().expect("it is a range");
        world.plane.report(NetworkReady { cidr })?;
        world.sync()?;
    }
    let mut names: Vec<&str> = Vec::new();
    for group in &plan.groups {
        let word = |on: bool| if on { "ENABLED" } else { "DISABLED" };
        let scaling = json!({"status": "ENABLED", "targetCapacity": group.target,
            "minimumScalingStepSize": group.minimum_step,
            "maximumScalingStepSize": group.maximum_step,
            "instanceWarmupPeriod": group.warmup});
        let provider = json!({"autoScalingGroupArn": &group.name, "managedScaling": scaling,
            "managedTerminationProtection": word(group.protected),
            "managedDraining": word(group.draining)});
        let input = json!({"name": &group.name, "autoScalingGroupProvider": provider});
        world.must("CreateCapacityProvider", &input)?;
        names.push(&group.name);
    }
    names.extend(FARGATE);
    let put = json!({"cluster": CLUSTER, "capacityProviders": names,
        "defaultCapacityProviderStrategy": []});
    world.must("PutClusterCapacityProviders", &put)?;
    let all: usize = plan.groups.iter().map(|group| group.count).sum();
    hold!(all <= MOST, "a plan's groups have at most {MOST} instances at the start");
    for one in &plan.groups {
        let mut group = Group::new(&one.name, (one.cpu, one.memory));
        (group.protected, group.drains) = (one.protected, one.draining);
        group.boots = millis(one.boots_in);
        for _ in 0..one.count {
            let attributes = [("wharf.capacity-provider", one.name.as_str())];
            group.hosts.push(world.add_host(one.cpu, one.memory, &attributes)?);
        }
        world.scale(group);
    }
    Ok(())
}

/// How a service's tasks are launched, for CreateService.
pub fn launched(world: &World, wanted: &Wanted) -> Value {
    let mut input = json!({});
    if wanted.is_fargate() {
        let scope: Scope = "123456789012/us-east-1".parse().expect("it is a scope");
        let subnets = service_ec2::ops::subnets(world.plane.view(), scope).into_iter();
        let subnets: Vec<String> = subnets.map(|subnet| subnet.id).collect();
        input["networkConfiguration"] = json!({"awsvpcConfiguration": {"subnets": subnets}});
    }
    let items = wanted.capacity.iter().map(|share| {
        json!({"capacityProvider": &share.provider, "base": share.base, "weight": share.weight})
    });
    match wanted.capacity.is_empty() {
        true if wanted.fargate => input["launchType"] = json!("FARGATE"),
        true => {}
        false => input["capacityProviderStrategy"] = items.collect(),
    }
    input
}

/// The instances of a group now, as the tasks of a service are looked at.
pub fn look(world: &World, nth: usize, course: &mut Course) {
    let group = &world.groups[nth];
    let desired = desired_size(world.plane.view(), &group.provider).unwrap_or_default();
    let counts = Counts {
        starting: group.starting.len() as u32,
        running: (group.hosts.len() - group.going.len()) as u32,
        stopping: group.going.len() as u32,
    };
    let versions = BTreeMap::from([(0, counts)]);
    let versions = if counts == Counts::default() { BTreeMap::new() } else { versions };
    course.looks.push(Look { least: desired, most: desired, desired, versions });
}

/// A task definition's members that say where it runs.
pub fn defined(wanted: &Wanted, input: &mut Value) {
    if wanted.is_fargate() {
        input["requiresCompatibilities"] = json!(["FARGATE"]);
        input["networkMode"] = json!("awsvpc");
        input["cpu"] = json!(wanted.cpu.to_string());
        input["memory"] = json!(wanted.memory.to_string());
    }
}
