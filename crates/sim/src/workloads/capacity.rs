//! Services and tasks on capacity providers: two over groups that ECS sizes, one over instances that
//! nobody does. Tasks wait for machines that are not there yet; machines that nobody needs go.

use std::sync::Arc;
use std::time::Duration;

use core_state::State;
use serde_json::{Value, json};
use service_ecs::rows::container_instance::ContainerInstance;
use service_ecs::rows::service::Service;
use service_ecs::rows::service_history::ServiceRevision;
use service_ecs::rows::task::Task;

use super::Workload;
use super::services::{BOUNDS, converged, delete, lay_over, services, tasks_of};
use crate::chaos::{FAMILIES, SMALL, Story};
use crate::group::{Group, desired_size, work_on};
use crate::world::CLUSTER;
use crate::{Outcome, hold};

const NAMES: [&str; 2] = ["c0", "c1"];
/// Over groups whose size ECS decides.
const SCALED: [&str; 2] = ["pa", "pb"];
const UNSCALED: &str = "pc";
const PROVIDERS: [&str; 3] = ["pa", "pb", "pc"];
/// A group shrinks a quarter of an hour after there was too much, and what it takes from under tasks
/// makes others free.
const CONVERGES_IN: Duration = Duration::from_secs(2 * 3600);

#[derive(Default)]
pub(super) struct Capacity {
    /// What the providers over groups are set to, in percent.
    targets: Vec<u32>,
}

impl Workload for Capacity {
    fn begin(&mut self, story: &mut Story) -> Outcome<()> {
        for name in SCALED {
            let target = story.pick(&[100, 100, 80, 50]);
            let (protected, drains) = (story.chance(50), story.chance(60));
            let word = |on: bool| if on { "ENABLED" } else { "DISABLED" };
            let group = json!({"autoScalingGroupArn": format!("{name}-group"),
                "managedScaling": {"status": "ENABLED", "targetCapacity": target,
                    "minimumScalingStepSize": 1 + story.below(2),
                    "maximumScalingStepSize": story.pick(&[2, 10, 10_000]),
                    "instanceWarmupPeriod": story.pick(&[0, 30, 60])},
                "managedTerminationProtection": word(protected), "managedDraining": word(drains)});
            let input = json!({"name": name, "autoScalingGroupProvider": group});
            story.world.must("CreateCapacityProvider", &input)?;
            self.targets.push(target);
            story.world.scale(Group { protected, drains, fails: 6, ..Group::new(name, SIZE) });
        }
        let group = json!({"autoScalingGroupArn": "pc-group"});
        let input = json!({"name": UNSCALED, "autoScalingGroupProvider": group});
        story.world.must("CreateCapacityProvider", &input)?;
        let all = [&PROVIDERS[..], &["FARGATE", "FARGATE_SPOT"]].concat();
        let put = json!({"cluster": CLUSTER, "capacityProviders": all,
            "defaultCapacityProviderStrategy": []});
        story.world.must("PutClusterCapacityProviders", &put)?;
        unscaled(story, 1024)
    }

    fn act(&mut self, story: &mut Story) -> Outcome<()> {
        let name = story.pick(&NAMES);
        let mut input = json!({"cluster": CLUSTER, "service": name});
        match story.below(24) {
            0..6 => return create(story, name),
            6 => {
                input["force"] = json!(true);
                return story.ask("DeleteService", &input).map(drop);
            }
            7..11 => input["desiredCount"] = json!(story.below(9)),
            11..14 => {
                let (family, fate) = (story.pick(&FAMILIES), story.some_fate());
                story.define(family, fate)?;
                input["taskDefinition"] = json!(family);
            }
            14 | 15 => {
                input["capacityProviderStrategy"] = mix(story);
                input["forceNewDeployment"] = json!(true);
            }
            16..20 => {
                let more = json!({"capacityProviderStrategy": mix(story)});
                return story.run_task(&more);
            }
            20 => return unscaled(story, 1024),
            n => return meddle(story, n),
        }
        story.ask("UpdateService", &input).map(drop)
    }

    fn calm(&mut self, story: &mut Story) -> Outcome<()> {
        story.world.groups.iter_mut().for_each(|group| group.fails = 0);
        for _ in 0..14 {
            unscaled(story, 4096)?;
        }
        for service in services(story.world.plane.view(), &NAMES) {
            let input = json!({"cluster": CLUSTER, "service": service.name(),
                "forceNewDeployment": true, "taskDefinition": story.pick(&SMALL),
                "desiredCount": 4 + story.below(4),
                "availabilityZoneRebalancing": "DISABLED"});
            story.world.must("UpdateService", &input)?;
        }
        Ok(())
    }

    fn takes(&self) -> Duration {
        CONVERGES_IN
    }

    fn settled(&self, story: &Story) -> Outcome<()> {
        let view = story.world.plane.view();
        for service in services(view, &NAMES) {
            converged(&story.world, &service)?;
            shares_kept(view, &service)?;
        }
        self.sized(story)
    }

    fn clear(&mut self, story: &mut Story) -> Outcome<()> {
        let all = services(story.world.plane.view(), &NAMES);
        all.iter().try_for_each(|service| delete(story, service.name()))
    }

    /// Nothing is needed any more: nothing is there.
    fn cleared(&self, story: &Story) -> Outcome<()> {
        self.sized(story)?;
        let left: usize = story.world.groups.iter().map(|group| group.hosts.len()).sum();
        hold!(left == 0, "{left} instances work for nobody");
        Ok(())
    }
}

/// Of a machine of a group.
const SIZE: (i64, i64) = (1024, 1024);

impl Capacity {
    /// Each group is as large as what runs on it needs at its target capacity, and no larger.
    fn sized(&self, story: &Story) -> Outcome<()> {
        let view = story.world.plane.view();
        for (group, target) in story.world.groups.iter().zip(&self.targets) {
            let name = group.provider.as_str();
            let of = |row: &&ContainerInstance| row.capacity_provider.as_deref() == Some(name);
            let own = view.all::<ContainerInstance>().filter(of);
            let own = own.filter(|row| row.terminating.is_none());
            let busy = own.filter(|row| work_on(view, row.id) > 0).count();
            let fits = (busy * 100).div_ceil(*target as usize);
            let wanted = desired_size(view, name).unwrap_or_default() as usize;
            hold!(
                wanted == fits,
                "{name}: {wanted} instances are wanted, {busy} work at {target} %"
            );
            let there = group.hosts.len() - group.going.len() + group.starting.len();
            hold!(there == wanted, "{name}: {there} instances are there, {wanted} are wanted");
            // AWS: what is no service's is waited for.
            let idle = |host: &&usize| work_on(view, story.world.agents[**host].instance) == 0;
            let idle = group.going.iter().filter(idle).count();
            hold!(idle == 0, "{name}: {idle} instances may go for ever");
        }
        Ok(())
    }
}

/// A base on the first, and weights.
fn mix(story: &mut Story) -> Value {
    let (first, second) = (story.below(3) as usize, 1 + story.below(2) as usize);
    let (one, other) = (PROVIDERS[first], PROVIDERS[(first + second) % 3]);
    let base = story.below(3);
    match story.chance(40) {
        true => json!([{"capacityProvider": one, "base": base, "weight": 1}]),
        false => json!([{"capacityProvider": one, "base": base, "weight": 1 + story.below(2)},
            {"capacityProvider": other, "weight": story.below(4)}]),
    }
}

fn create(story: &mut Story, name: &str) -> Outcome<()> {
    let (strategy, constraints) = story.placement();
    let (least, most) = story.pick(&BOUNDS);
    let breaker = json!({"enable": story.chance(50), "rollback": story.chance(50)});
    let mut input = json!({"cluster": CLUSTER, "serviceName": name, "desiredCount": story.below(7),
        "taskDefinition": story.pick(&FAMILIES), "placementStrategy": strategy,
        "placementConstraints": constraints, "capacityProviderStrategy": mix(story)});
    let configuration = json!({"minimumHealthyPercent": least, "maximumPercent": most,
        "deploymentCircuitBreaker": breaker});
    lay_over(&mut input, &json!({"deploymentConfiguration": configuration}));
    story.ask("CreateService", &input).map(drop)
}

/// An instance of the provider whose group nobody sizes.
fn unscaled(story: &mut Story, size: i64) -> Outcome<()> {
    let attributes = [("wharf.capacity-provider", UNSCALED)];
    story.world.add_host(size, size, &attributes).map(drop)
}

/// A group is not as it was left: somebody has made it larger, or a machine of it is gone.
fn meddle(story: &mut Story, how: u64) -> Outcome<()> {
    let nth = story.below(story.world.groups.len() as u64) as usize;
    let now = story.world.now();
    let group = &mut story.world.groups[nth];
    if how == 21 {
        group.starting.push(now);
    } else if let Some(host) = group.hosts.first().copied() {
        story.world.cut(host, None);
    }
    Ok(())
}

/// A service's tasks are where its strategy says: first the base, then by the weights, a task more
/// or less. AWS: that is minded when tasks are started, and where zones are evened out some go.
pub(super) fn shares_kept(view: &State, service: &Service) -> Outcome<()> {
    let revision = service.primary().map(|one| (service.key.clone(), one.revision));
    let revision = revision.and_then(|key| view.get::<ServiceRevision>(&key));
    let items = revision.map(|revision| revision.providers.as_slice()).unwrap_or_default();
    if service.rebalancing {
        return Ok(());
    }
    let tasks = tasks_of(view, service.name());
    let number = |n: Option<i32>| f64::from(n.unwrap_or_default());
    let based: f64 = items.iter().map(|item| number(item.base)).sum();
    let weights: f64 = items.iter().map(|item| number(item.weight)).sum();
    let rest = (tasks.len() as f64 - based).max(0.0);
    for item in items {
        let name = item.capacity_provider.as_deref().unwrap_or_default();
        let there = tasks.iter().filter(|task| provider(task).is_some_and(|of| **of == *name));
        let weight = if items.len() == 1 { 1.0 } else { number(item.weight) / weights };
        let exact = number(item.base).min(tasks.len() as f64) + rest * weight;
        let there = there.count() as f64;
        let kept = (there - exact).abs() <= 1.0;
        hold!(
            kept,
            "{}: {there} of {} tasks are on {name}, {exact} should be",
            service.name(),
            tasks.len()
        );
    }
    Ok(())
}

fn provider(task: &Task) -> Option<&Arc<str>> {
    task.extras.as_ref().and_then(|extras| extras.capacity_provider.as_ref())
}
