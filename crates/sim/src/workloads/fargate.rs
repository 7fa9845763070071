//! Tasks and services of launch type FARGATE, and of the capacity providers FARGATE and
//! FARGATE_SPOT: they run on machines that nobody is shown, each with an address of its own.

use core_types::Scope;
use serde_json::{Value, json};
use service_ec2::reports::NetworkReady;
use service_ec2::rows::interface::Interface;
use service_ecs::rows::container_instance::ContainerInstance;
use service_ecs::rows::task::{Launch, Task};

use super::capacity::shares_kept;
use super::services::{BOUNDS, converged, delete, lay_over, services};
use super::{Step, Workload};
use crate::chaos::Story;
use crate::world::CLUSTER;
use crate::{Outcome, Violation, hold};

const NAMES: [&str; 2] = ["f0", "f1"];
const FAMILY: &str = "far";

#[derive(Default)]
pub(super) struct Fargate {
    subnets: Vec<String>,
}

impl Workload for Fargate {
    fn begin(&mut self, story: &mut Story) -> Outcome<()> {
        let cidr = "10.32.0.0/16".parse().expect("it is a range");
        story.world.plane.report(NetworkReady { cidr })?;
        story.world.sync()?;
        let scope: Scope = "123456789012/us-east-1".parse().expect("it is a scope");
        let subnets = service_ec2::ops::subnets(story.world.plane.view(), scope);
        self.subnets = subnets.into_iter().map(|subnet| subnet.id).collect();
        let put = json!({"cluster": CLUSTER, "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "defaultCapacityProviderStrategy": []});
        // Where there are others, whoever has put them has put these as well.
        if story.world.groups.is_empty() {
            story.world.must("PutClusterCapacityProviders", &put)?;
        }
        define(story, true)?;
        (0..2).try_for_each(|_| hidden(story, 2048))
    }

    fn act(&mut self, story: &mut Story) -> Outcome<()> {
        let name = story.pick(&NAMES);
        let mut input = json!({"cluster": CLUSTER, "service": name});
        let operation = match story.below(20) {
            0..5 => return self.create(story, name),
            5 => {
                input["force"] = json!(true);
                "DeleteService"
            }
            6..9 => {
                input["desiredCount"] = json!(story.below(6));
                "UpdateService"
            }
            9..12 => {
                define(story, false)?;
                input["taskDefinition"] = json!(FAMILY);
                "UpdateService"
            }
            12 => {
                input["capacityProviderStrategy"] = mix(story);
                input["forceNewDeployment"] = json!(true);
                "UpdateService"
            }
            13..17 => {
                let mut more = self.launch(story);
                more["taskDefinition"] = json!(FAMILY);
                (more["placementStrategy"], more["placementConstraints"]) = (json!([]), json!([]));
                return story.run_task(&more);
            }
            17 => return hidden(story, 2048),
            // Somebody else's machine serves Fargate beside its own cluster.
            18 => return story.add_host(&[("wharf.fargate", "also")]).map(drop),
            _ => return Ok(()),
        };
        story.ask(operation, &input).map(drop)
    }

    fn calm(&mut self, story: &mut Story) -> Outcome<()> {
        define(story, true)?;
        (0..4).try_for_each(|_| hidden(story, 16_384))?;
        for service in services(story.world.plane.view(), &NAMES) {
            let mut input = json!({"cluster": CLUSTER, "service": service.name(),
                "forceNewDeployment": true, "taskDefinition": FAMILY,
                "desiredCount": 4 + story.below(3)});
            if story.chance(60) {
                input["availabilityZoneRebalancing"] = json!("DISABLED");
            }
            story.world.must("UpdateService", &input)?;
        }
        Ok(())
    }

    fn settled(&self, story: &Story) -> Outcome<()> {
        let view = story.world.plane.view();
        for service in services(view, &NAMES) {
            converged(&story.world, &service)?;
            shares_kept(view, &service)?;
        }
        let holds = |task: &&Task| task.launch == Launch::Fargate && !task.is_stopped();
        let (tasks, addresses) =
            (view.all::<Task>().filter(holds).count(), view.count::<Interface>());
        hold!(tasks == addresses, "{tasks} tasks have {addresses} addresses");
        Ok(())
    }

    fn clear(&mut self, story: &mut Story) -> Outcome<()> {
        let all = services(story.world.plane.view(), &NAMES);
        all.iter().try_for_each(|service| delete(story, service.name()))
    }

    fn cleared(&self, story: &Story) -> Outcome<()> {
        let left = story.world.plane.view().count::<Interface>();
        hold!(left == 0, "{left} addresses are nobody's");
        Ok(())
    }
}

impl Fargate {
    /// How something is launched, and in which subnets.
    fn launch(&self, story: &mut Story) -> Value {
        let some = 1 + story.below(self.subnets.len() as u64) as usize;
        let network = json!({"awsvpcConfiguration": {"subnets": &self.subnets[..some]}});
        match story.chance(50) {
            true => json!({"launchType": "FARGATE", "networkConfiguration": network}),
            false => {
                json!({"capacityProviderStrategy": mix(story), "networkConfiguration": network})
            }
        }
    }

    fn create(&self, story: &mut Story, name: &str) -> Outcome<()> {
        let (least, most) = story.pick(&BOUNDS);
        let breaker = json!({"enable": story.chance(50), "rollback": story.chance(50)});
        let mut input = json!({"cluster": CLUSTER, "serviceName": name, "taskDefinition": FAMILY,
            "desiredCount": story.below(6),
            "deploymentConfiguration": {"minimumHealthyPercent": least, "maximumPercent": most,
                "deploymentCircuitBreaker": breaker}});
        let more = self.launch(story);
        lay_over(&mut input, &more);
        story.ask("CreateService", &input).map(drop)
    }
}

fn mix(story: &mut Story) -> Value {
    json!([{"capacityProvider": "FARGATE", "base": story.below(3), "weight": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": story.below(4)}])
}

fn define(story: &mut Story, works: bool) -> Outcome<()> {
    let fate = if works { crate::agent::Fate::Runs } else { story.some_fate() };
    let input = json!({"family": FAMILY, "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": "web", "image": "far:1"}]});
    story.register("RegisterTaskDefinition", &input, fate)
}

/// A machine that runs Fargate's tasks alone, and is shown to nobody.
fn hidden(story: &mut Story, memory: i64) -> Outcome<()> {
    story.world.add_host(memory, memory, &[("wharf.fargate", "only")]).map(drop)
}

/// Fargate's tasks go to Fargate's machines, and no others do to those that are its alone.
pub(super) fn audit(step: &Step<'_>) -> Outcome<()> {
    for change in step.changes {
        let Some((before, Some(task))) = change.of::<Task>() else { continue };
        let placed = task.host.filter(|_| before.is_none_or(|before| before.host.is_none()));
        let Some(host) = placed else { continue };
        let row = step.after.get::<ContainerInstance>(&host);
        let missing = || Violation(format!("task {} is on a host that is not there", task.id));
        let row = row.ok_or_else(missing)?;
        let (fargate, id) = (task.launch == Launch::Fargate, task.id);
        hold!(!fargate || row.serves_fargate(), "task {id} is on {host}, which is not Fargate's");
        hold!(fargate || !row.is_hidden(), "task {id} is on {host}, which is Fargate's alone");
    }
    Ok(())
}
