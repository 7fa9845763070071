//! Services that ECS rolls itself, with every strategy and bound, some behind a load balancer, some
//! on every host; and tasks that are nobody's.

use core_state::State;
use core_task::TaskStatus;
use core_types::Id128;
use serde_json::{Value, json};
use service_ecs::rows::container_instance::ContainerInstance;
use service_ecs::rows::service::{Rollout, Service, ServiceStatus};
use service_ecs::rows::service_history::{DeploymentRecord, RecordStatus};
use service_ecs::rows::task::{HostLoad, Task};

use super::{Step, Workload};
use crate::chaos::{FAMILIES, Story};
use crate::shifts::Rings;
use crate::world::{CLUSTER, World, id_of};
use crate::{Outcome, auditor, hold};

const NAMES: [&str; 4] = ["s0", "s1", "s2", "s3"];
/// Is behind a load balancer.
const BALANCED: &str = "s3";
pub(crate) const BOUNDS: [(i32, i32); 7] =
    [(100, 200), (50, 200), (50, 100), (0, 100), (0, 200), (100, 150), (75, 125)];

pub(super) struct Services;

impl Workload for Services {
    fn begin(&mut self, story: &mut Story) -> Outcome<()> {
        story.world.balance(BALANCED);
        Ok(())
    }

    fn act(&mut self, story: &mut Story) -> Outcome<()> {
        match story.below(58) {
            0..15 => story.run_task(&json!({})),
            15..18 => story.stop_task(),
            18..21 => story.meddle(),
            21..33 => story.create_service(),
            33..43 => {
                let count = story.below(7);
                story.update(json!({"desiredCount": count}))
            }
            43..53 => story.deploy(),
            53 => story.update(json!({"forceNewDeployment": true})),
            54 => story.change_strategy(),
            55 => story.meddle(),
            _ => story.delete_service(),
        }
    }

    fn calm(&mut self, story: &mut Story) -> Outcome<()> {
        story.world.plane.report(Rings(false))?;
        for service in own(story) {
            let family = story.pick(&["web", "web", "checked"]);
            let mut input = json!({"cluster": CLUSTER, "service": service.name(),
                "forceNewDeployment": true, "taskDefinition": family});
            if !service.daemon {
                input["deploymentConfiguration"] = json!({"lifecycleHooks": []});
                // Fewer would leave some bounds no room for a deployment: as on AWS, it then stays.
                input["desiredCount"] = json!(4 + story.below(3));
            }
            story.world.must("UpdateService", &input)?;
        }
        Ok(())
    }

    fn settled(&self, story: &Story) -> Outcome<()> {
        own(story).iter().try_for_each(|service| converged(&story.world, service))
    }

    fn clear(&mut self, story: &mut Story) -> Outcome<()> {
        own(story).iter().try_for_each(|service| delete(story, service.name()))
    }
}

fn own(story: &Story) -> Vec<Service> {
    services(story.world.plane.view(), &NAMES)
}

/// Those of these names that stand.
pub(super) fn services(view: &State, names: &[&str]) -> Vec<Service> {
    let stands =
        |row: &&Service| row.status == ServiceStatus::Active && names.contains(&row.name());
    view.all::<Service>().filter(stands).cloned().collect()
}

pub(super) fn delete(story: &mut Story, name: &str) -> Outcome<()> {
    let input = json!({"cluster": CLUSTER, "service": name, "force": true});
    story.world.must("DeleteService", &input).map(drop)
}

/// Tasks of a service that have not stopped.
pub(super) fn tasks_of<'s>(view: &'s State, name: &str) -> Vec<&'s Task> {
    let own = |task: &&Task| task.service.as_deref() == Some(name) && !task.is_stopped();
    view.all::<Task>().filter(own).collect()
}

/// What is wanted of a service runs, of one version.
pub(super) fn converged(world: &World, service: &Service) -> Outcome<()> {
    let (name, wanted) = (service.name(), service.desired_count as usize);
    let own = tasks_of(world.plane.view(), name);
    let running = own.iter().filter(|t| t.observed_status == TaskStatus::Running).count();
    // A daemon waits where its host is full: nothing makes room for it, as on AWS.
    let full = if service.daemon { full_hosts(world, &own) } else { 0 };
    hold!(
        running == own.len() && running + full == wanted,
        "{name}: {running} of {} tasks run, {wanted} are wanted; waiting: {}",
        own.len(),
        service.waiting
    );
    let rollouts: Vec<Rollout> = service.deployments.iter().map(|one| one.rollout).collect();
    let steady = rollouts == [Rollout::Completed] || full > 0 && rollouts.len() == 1;
    hold!(steady, "{name}: its deployments are {rollouts:?}");
    Ok(())
}

/// A rolling deployment that becomes a success has done what it was to do.
pub(super) fn audit(step: &Step<'_>) -> Outcome<()> {
    for change in step.changes {
        let Some((Some(was), Some(is))) = change.of::<DeploymentRecord>() else { continue };
        let key = &is.key.0;
        let over = was.status == RecordStatus::InProgress && is.status == RecordStatus::Successful;
        let early = is.configuration.early_success_criteria.as_ref();
        let early = early.filter(|early| early.enable == Some(true) && over);
        let (Some(early), Some(row)) = (early, step.after.get::<Service>(key)) else { continue };
        let of_target = |task: &&Task| task.started_by.as_ref() == row.primary().map(|one| &one.id);
        let serves = |task: &&Task| auditor::serves(step.after, task, step.now);
        let all = || auditor::current(step.after, row);
        let (name, wanted) = (row.name(), row.desired_count as usize);
        let percent = early.healthy_percent.unwrap_or_default().unsigned_abs() as usize;
        let needed = (wanted * percent).div_ceil(100).max(1).min(wanted);
        let serving = all().filter(of_target).filter(serves).count();
        hold!(serving >= needed, "{name}: a success with {serving} tasks, it was to have {needed}");
        let older = all().filter(|task| !of_target(task)).count();
        let cleanup =
            early.source_service_revision_cleanup.as_ref().map(|cleanup| cleanup.as_str());
        let alone = older == 0 || cleanup == Some("DEFERRED");
        hold!(alone, "{name}: a success with {older} tasks of older versions");
    }
    Ok(())
}

/// Hosts without one of these tasks, and without room for one.
fn full_hosts(world: &World, own: &[&Task]) -> usize {
    let view = world.plane.view();
    let load = |host| view.sum::<HostLoad>(&host);
    let shown = |host| view.get::<ContainerInstance>(&host).is_some_and(|row| !row.is_hidden());
    let full = |agent: &&crate::agent::Agent| {
        let (host, needed) = (agent.instance, 64);
        !agent.gone
            && shown(host)
            && !own.iter().any(|task| task.host == Some(host))
            && (agent.cpu - load(host).cpu < needed || agent.memory - load(host).memory < needed)
    };
    world.agents.iter().filter(full).count()
}

impl Story {
    pub(super) fn placement(&mut self) -> (Value, Value) {
        let strategy = [
            json!([]),
            json!([{"type": "spread", "field": "attribute:ecs.availability-zone"},
                {"type": "spread", "field": "instanceId"}]),
            json!([{"type": "binpack", "field": "memory"}]),
            json!([{"type": "random"}]),
        ];
        let constraints = [
            json!([]),
            json!([]),
            json!([{"type": "distinctInstance"}]),
            json!([{"type": "memberOf",
                "expression": "attribute:ecs.availability-zone in [us-east-1a, us-east-1b]"}]),
        ];
        let (one, other) = (self.below(4) as usize, self.below(4) as usize);
        (strategy[one].clone(), constraints[other].clone())
    }

    /// Somebody runs tasks, wherever they may go.
    pub(super) fn run_task(&mut self, more: &Value) -> Outcome<()> {
        let (strategy, constraints) = self.placement();
        let mut input = json!({"cluster": CLUSTER, "taskDefinition": self.pick(&FAMILIES),
            "count": 1 + self.below(4), "placementStrategy": strategy,
            "placementConstraints": constraints});
        lay_over(&mut input, more);
        let Some(answer) = self.ask("RunTask", &input)? else { return Ok(()) };
        for task in answer["tasks"].as_array().into_iter().flatten() {
            self.tasks += 1;
            self.world.promises.add(id_of(&task["taskArn"])?);
        }
        Ok(())
    }

    fn stop_task(&mut self) -> Outcome<()> {
        let all: Vec<Id128> = self.world.plane.view().all::<Task>().map(|task| task.id).collect();
        if all.is_empty() {
            return Ok(());
        }
        let task = self.pick(&all).to_string();
        self.ask("StopTask", &json!({"cluster": CLUSTER, "task": task})).map(drop)
    }

    fn create_service(&mut self) -> Outcome<()> {
        let (strategy, constraints) = self.placement();
        let (name, family) = (self.pick(&NAMES), self.pick(&FAMILIES));
        let (least, most) = self.pick(&BOUNDS);
        let breaker = json!({"enable": self.chance(50), "rollback": self.chance(50)});
        let mut input = json!({"cluster": CLUSTER, "serviceName": name, "taskDefinition": family,
            "desiredCount": self.below(6), "placementConstraints": constraints,
            "deploymentConfiguration": {"minimumHealthyPercent": least, "maximumPercent": most,
                "deploymentCircuitBreaker": breaker}});
        match self.chance(10) {
            true => {
                input["schedulingStrategy"] = json!("DAEMON");
                input["deploymentConfiguration"] = json!({});
                input.as_object_mut().and_then(|input| input.remove("desiredCount"));
            }
            false => {
                input["placementStrategy"] = strategy;
                let more = self.strategy();
                lay_over(&mut input["deploymentConfiguration"], &more);
            }
        }
        let configuration = &mut input["deploymentConfiguration"];
        if matches!(configuration["strategy"].as_str(), None | Some("ROLLING")) {
            configuration["earlySuccessCriteria"] = self.early(least);
        }
        self.ask("CreateService", &input).map(drop)
    }

    /// Whether a deployment is a success before all of its tasks are there.
    fn early(&mut self, least: i32) -> Value {
        let percent = least + self.below(101 - least as u64) as i32;
        let cleanup = self.pick(&["BLOCKING", "DEFERRED"]);
        json!({"enable": self.chance(50), "healthyPercent": percent,
            "sourceServiceRevisionCleanup": cleanup})
    }

    fn update(&mut self, more: Value) -> Outcome<()> {
        let mut input = json!({"cluster": CLUSTER, "service": self.pick(&NAMES)});
        lay_over(&mut input, &more);
        self.ask("UpdateService", &input).map(drop)
    }

    fn deploy(&mut self) -> Outcome<()> {
        let family = self.pick(&FAMILIES);
        let fate = self.some_fate();
        self.define(family, fate)?;
        self.update(json!({"taskDefinition": family}))
    }

    /// The strategy of a service changes between its deployments.
    fn change_strategy(&mut self) -> Outcome<()> {
        let configuration = self.strategy();
        self.update(json!({"deploymentConfiguration": configuration}))
    }

    fn delete_service(&mut self) -> Outcome<()> {
        let name = self.pick(&NAMES);
        self.ask("DeleteService", &json!({"cluster": CLUSTER, "service": name, "force": true}))
            .map(drop)
    }
}

/// More members of a request.
pub(super) fn lay_over(input: &mut Value, more: &Value) {
    for (key, value) in more.as_object().into_iter().flatten() {
        input[key] = value.clone();
    }
}
