//! Services whose versions are task sets: somebody outside says which share of the tasks each has,
//! and each has exactly that, between all of it and twice as many. Now and then ECS takes a service
//! over, or gives it back.

use core_state::State;
use core_task::TaskStatus;
use serde_json::{Value, json};
use service_ecs::rows::service::{Controller, Service, ServiceStatus};
use service_ecs::rows::task::Task;
use service_ecs::rows::task_set::TaskSet;

use super::services::{BOUNDS, converged, delete, services};
use super::{Step, Workload};
use crate::auditor;
use crate::chaos::{FAMILIES, SMALL, Story};
use crate::world::CLUSTER;
use crate::{Outcome, hold};

const NAMES: [&str; 2] = ["e0", "e1"];
const SHARES: [f64; 6] = [0.0, 10.0, 33.3, 50.0, 75.0, 100.0];

pub(super) struct TaskSets;

impl Workload for TaskSets {
    fn act(&mut self, story: &mut Story) -> Outcome<()> {
        let name = story.pick(&NAMES);
        let there = services(story.world.plane.view(), &[name]).into_iter().next();
        let rolled = there.as_ref().is_some_and(|there| there.controller == Controller::Ecs);
        if rolled || there.is_some() && story.chance(45) {
            return hand_over(story, name, rolled);
        }
        let sets = sets(story.world.plane.view(), name);
        let some = match sets.is_empty() {
            true => None,
            false => Some(sets[story.below(sets.len() as u64) as usize].key.1.clone()),
        };
        let mut input = json!({"cluster": CLUSTER, "service": name});
        let operation = match (story.below(20), some) {
            (0..4, _) => return create(story, name),
            (4, _) => {
                input["force"] = json!(true);
                "DeleteService"
            }
            (5..8, _) => {
                input["desiredCount"] = json!(story.below(8));
                "UpdateService"
            }
            (8..13, _) | (_, None) => {
                let family = story.pick(&FAMILIES);
                if story.chance(40) {
                    let fate = story.some_fate();
                    story.define(family, fate)?;
                }
                input["taskDefinition"] = json!(family);
                input["scale"] = scale(story.pick(&SHARES));
                "CreateTaskSet"
            }
            (13..17, Some(set)) => {
                input["taskSet"] = json!(set);
                input["scale"] = scale(story.pick(&SHARES));
                "UpdateTaskSet"
            }
            (17, Some(set)) => {
                input["primaryTaskSet"] = json!(set);
                "UpdateServicePrimaryTaskSet"
            }
            (_, Some(set)) => {
                input["taskSet"] = json!(set);
                input["force"] = json!(story.chance(70));
                "DeleteTaskSet"
            }
        };
        story.ask(operation, &input).map(drop)
    }

    /// A version that works beside those that may not, which go.
    fn calm(&mut self, story: &mut Story) -> Outcome<()> {
        for service in services(story.world.plane.view(), &NAMES) {
            let name = service.name();
            if service.controller == Controller::Ecs {
                let input = json!({"cluster": CLUSTER, "service": name, "taskDefinition": "web",
                    "forceNewDeployment": true, "desiredCount": 4 + story.below(3)});
                story.world.must("UpdateService", &input)?;
                continue;
            }
            for set in sets(story.world.plane.view(), name) {
                let input = json!({"cluster": CLUSTER, "service": name, "taskSet": &*set.key.1,
                    "force": true});
                if set.draining || story.chance(60) {
                    story.world.must("DeleteTaskSet", &input)?;
                }
            }
            let mut input = json!({"cluster": CLUSTER, "service": name});
            input["desiredCount"] = json!(4 + story.below(4));
            story.world.must("UpdateService", &input)?;
        }
        // At most five at a time: what was deleted has to be gone first.
        story.pass(std::time::Duration::from_secs(200))?;
        for service in services(story.world.plane.view(), &NAMES) {
            let name = service.name();
            if service.controller == Controller::Ecs {
                continue;
            }
            let mut input = json!({"cluster": CLUSTER, "service": name});
            input["taskDefinition"] = json!(story.pick(&SMALL));
            input["scale"] = scale(story.pick(&SHARES));
            if sets(story.world.plane.view(), name).len() < 5 {
                let made = story.world.must("CreateTaskSet", &input)?;
                let set = &made["taskSet"]["id"];
                let input = json!({"cluster": CLUSTER, "service": name, "primaryTaskSet": set});
                story.world.must("UpdateServicePrimaryTaskSet", &input)?;
            }
        }
        Ok(())
    }

    fn settled(&self, story: &Story) -> Outcome<()> {
        let view = story.world.plane.view();
        for service in services(view, &NAMES) {
            let name = service.name();
            if service.controller == Controller::Ecs {
                converged(&story.world, &service)?;
                continue;
            }
            let all = sets(view, name);
            for set in &all {
                let id = &set.key.1;
                hold!(!set.draining, "{name}: {id} drains for ever");
                let own = tasks(view, &service, set);
                let running = own.iter().filter(|t| t.observed_status == TaskStatus::Running);
                let (running, share) = (running.count(), share(&service, set));
                hold!(
                    running == own.len() && running == share as usize,
                    "{name}: {running} of {} tasks of {id} run, its share is {share}",
                    own.len()
                );
                hold!(set.steady_at.is_some(), "{name}: {id} has no steady state");
            }
            let primary = all.iter().filter(|set| set.primary).count();
            hold!(primary <= 1, "{name}: {primary} primary task sets");
        }
        Ok(())
    }

    fn clear(&mut self, story: &mut Story) -> Outcome<()> {
        let all = services(story.world.plane.view(), &NAMES);
        all.iter().try_for_each(|service| delete(story, service.name()))
    }

    fn cleared(&self, story: &Story) -> Outcome<()> {
        let left = story.world.plane.view().count::<TaskSet>();
        hold!(left == 0, "{left} task sets are left");
        Ok(())
    }
}

fn scale(percent: f64) -> Value {
    json!({"value": percent, "unit": "PERCENT"})
}

fn create(story: &mut Story, name: &str) -> Outcome<()> {
    let (strategy, constraints) = story.placement();
    let (least, most) = story.pick(&BOUNDS);
    let input = json!({"cluster": CLUSTER, "serviceName": name, "desiredCount": story.below(8),
        "deploymentController": {"type": "EXTERNAL"}, "placementStrategy": strategy,
        "placementConstraints": constraints,
        "deploymentConfiguration": {"minimumHealthyPercent": least, "maximumPercent": most}});
    story.ask("CreateService", &input).map(drop)
}

/// The service changes hands, where it may; while ECS has it, it is deployed as others are.
fn hand_over(story: &mut Story, name: &str, rolled: bool) -> Outcome<()> {
    let mut input = json!({"cluster": CLUSTER, "service": name});
    // As many calls as it takes; one of those that are lost is made another time.
    for _ in 0..5 {
        if rolled || !prepares(story, name, &input)? {
            break;
        }
    }
    let controller = match story.below(8) {
        0..5 if rolled => None,
        5 | 6 if rolled => Some("EXTERNAL"),
        0..7 => Some("ECS"),
        _ => Some("CODE_DEPLOY"),
    };
    if let Some(controller) = controller {
        input["deploymentController"] = json!({"type": controller});
    }
    match story.below(5) {
        0 => input["desiredCount"] = json!(story.below(8)),
        1 if controller != Some("EXTERNAL") => {
            input["taskDefinition"] = json!(story.pick(&FAMILIES));
        }
        2 if controller != Some("EXTERNAL") => input["forceNewDeployment"] = json!(true),
        _ => {}
    }
    story.ask("UpdateService", &input).map(drop)
}

/// One task set alone, which is PRIMARY, goes over. False where there is no more to do for that.
fn prepares(story: &mut Story, name: &str, of: &Value) -> Outcome<bool> {
    let all = sets(story.world.plane.view(), name);
    let mut input = of.clone();
    let Some(last) = all.iter().rfind(|set| !set.draining) else {
        input["taskDefinition"] = json!(story.pick(&SMALL));
        input["scale"] = scale(story.pick(&SHARES));
        return story.ask("CreateTaskSet", &input).map(|made| made.is_some());
    };
    let id = &*last.key.1;
    let operation = match all.iter().find(|set| *set.key.1 != *id && !set.draining) {
        Some(other) => {
            input["taskSet"] = json!(*other.key.1);
            input["force"] = json!(true);
            "DeleteTaskSet"
        }
        None if last.primary => return Ok(false),
        None => {
            input["primaryTaskSet"] = json!(id);
            "UpdateServicePrimaryTaskSet"
        }
    };
    story.ask(operation, &input).map(|_| true)
}

/// The task sets of a service, those that drain too.
fn sets(view: &State, service: &str) -> Vec<TaskSet> {
    view.all::<TaskSet>().filter(|set| &*set.key.0.1 == service).cloned().collect()
}

fn tasks<'s>(view: &'s State, service: &Service, set: &TaskSet) -> Vec<&'s Task> {
    let own = |task: &&Task| task.started_by.as_ref() == Some(&set.key.1);
    auditor::current(view, service).filter(own).collect()
}

/// AWS: the service's count by the set's percent, always rounded up; hundredths are exact enough.
fn share(service: &Service, set: &TaskSet) -> u32 {
    let hundredths = (set.percent * 100.0).round() as u64;
    let exact = u64::from(service.desired_count) * hundredths;
    if set.draining { 0 } else { exact.div_ceil(10_000) as u32 }
}

/// No set goes beyond its bounds, and nobody starts tasks but for a set that stands.
pub(super) fn audit(step: &Step<'_>) -> Outcome<()> {
    let mut seen = Vec::new();
    for change in step.changes {
        let Some((_, Some(task))) = change.of::<Task>() else { continue };
        let Some(name) = &task.service else { continue };
        let key = (task.cluster.clone(), name.clone());
        if !seen.contains(&key) {
            seen.push(key);
        }
    }
    for service in seen.iter().filter_map(|key| step.after.get::<Service>(key)) {
        let stands = service.status == ServiceStatus::Active;
        if service.controller != Controller::External || !stands {
            continue;
        }
        let sets = sets(step.after, service.name());
        for set in &sets {
            let bounds = auditor::bounds_of(service, share(service, set));
            let name = format!("{}, {}", service.name(), set.key.1);
            let own = |state| tasks(state, service, set);
            auditor::keeps((step.before, step.after), &name, bounds, step.now, own)?;
        }
        for task in auditor::current(step.after, service) {
            let new = step.before.get::<Task>(&task.id).is_none();
            let of = |set: &TaskSet| task.started_by.as_ref() == Some(&set.key.1) && !set.draining;
            let known = !new || sets.iter().any(of);
            hold!(known, "{}: task {} is of no set that stands", service.name(), task.id);
        }
    }
    Ok(())
}
