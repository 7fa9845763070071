//! Managed daemons: one task of each on every machine of a capacity provider of managed instances,
//! there before any other task and gone after them, while deployments go from batch to batch.

use std::time::Duration;

use core_state::State;
use core_task::{Desired, TaskStatus};
use core_types::Id128;
use serde_json::{Value, json};
use service_ecs::rows::container_instance::{ContainerInstance, InstanceStatus};
use service_ecs::rows::daemon::Daemon;
use service_ecs::rows::daemon_history::{DaemonDeployment, DaemonDeploymentStatus};
use service_ecs::rows::task::{StopCode, Task, TasksOn};

use super::{Step, Workload};
use crate::agent::Fate;
use crate::chaos::Story;
use crate::world::{CLUSTER, World};
use crate::{Outcome, hold};

/// The first is critical, the second is not.
const NAMES: [&str; 2] = ["d0", "d1"];
const CRITICAL: &str = "d0";
const PROVIDER: &str = "mi";
const FAMILY: &str = "agent";
const ARN: &str = "arn:aws:ecs:us-east-1:123456789012:";

#[derive(Default)]
pub(super) struct Daemons {
    /// The newest revision of the task definition.
    newest: u32,
}

impl Workload for Daemons {
    fn begin(&mut self, story: &mut Story) -> Outcome<()> {
        let role = "arn:aws:iam::123456789012:role/infrastructure";
        let profile = "arn:aws:iam::123456789012:instance-profile/ecs";
        let template = json!({"ec2InstanceProfileArn": profile,
            "networkConfiguration": {"subnets": ["subnet-1"]}});
        let managed = json!({"infrastructureRoleArn": role, "instanceLaunchTemplate": template});
        let input =
            json!({"name": PROVIDER, "cluster": CLUSTER, "managedInstancesProvider": managed});
        story.world.must("CreateCapacityProvider", &input)?;
        self.define(story, Fate::Runs)?;
        (0..2).try_for_each(|_| machine(&mut story.world).map(drop))
    }

    fn act(&mut self, story: &mut Story) -> Outcome<()> {
        let name = story.pick(&NAMES);
        let mut input = json!({"daemonArn": format!("{ARN}daemon/{CLUSTER}/{name}")});
        match story.below(20) {
            0..6 => {
                let input = self.wanted(
                    story,
                    name,
                    &json!({"daemonName": name,
                    "clusterArn": format!("{ARN}cluster/{CLUSTER}")}),
                );
                story.ask("CreateDaemon", &input).map(drop)
            }
            6..12 => {
                if story.chance(70) {
                    let fate = story.some_fate();
                    self.define(story, fate)?;
                }
                input = self.wanted(story, name, &input);
                story.ask("UpdateDaemon", &input).map(drop)
            }
            12 => story.ask("DeleteDaemon", &input).map(drop),
            13..17 => machine(&mut story.world).map(drop),
            _ => {
                let all = machines(story.world.plane.view());
                let Some(one) = all.get(story.below(8) as usize) else { return Ok(()) };
                let status = story.pick(&["DRAINING", "ACTIVE"]);
                let input = json!({"cluster": CLUSTER, "containerInstances": [one.to_string()],
                    "status": status});
                story.ask("UpdateContainerInstancesState", &input).map(drop)
            }
        }
    }

    fn calm(&mut self, story: &mut Story) -> Outcome<()> {
        self.define(story, Fate::Runs)?;
        machine(&mut story.world)?;
        for name in standing(story.world.plane.view()) {
            let input = json!({"daemonArn": format!("{ARN}daemon/{CLUSTER}/{name}")});
            let input = self.wanted(story, &name, &input);
            story.world.must("UpdateDaemon", &input)?;
        }
        // One that comes in the midst of it.
        story.pass(Duration::from_secs(5))?;
        machine(&mut story.world).map(drop)
    }

    /// Exactly one task of each, of its newest revision, on every machine that takes tasks.
    fn settled(&self, story: &Story) -> Outcome<()> {
        let view = story.world.plane.view();
        for daemon in view.all::<Daemon>().filter(|row| row.is_active()) {
            let name = daemon.name();
            let record = (daemon.key.clone(), daemon.deployment.clone());
            let status = view.get::<DaemonDeployment>(&record).map(|record| record.status);
            let done = status == Some(DaemonDeploymentStatus::Successful);
            hold!(done, "{name}: its deployment is {status:?}");
            for host in machines(view) {
                let row = view.get::<ContainerInstance>(&host);
                let takes = row.is_some_and(ContainerInstance::takes_tasks);
                hold!(takes, "{name}: {host} takes no tasks: {:?}", row.map(|row| row.awaits));
                let own: Vec<&Task> = on(view, host, name).collect();
                let newest = |task: &Task| {
                    task.daemon().is_some_and(|of| of.revision == daemon.revision)
                        && task.observed_status == TaskStatus::Running
                };
                let right = own.len() == 1 && newest(own[0]);
                hold!(right, "{name}: {} tasks on {host}, or not of its newest", own.len());
            }
        }
        Ok(())
    }

    fn clear(&mut self, story: &mut Story) -> Outcome<()> {
        for name in standing(story.world.plane.view()) {
            let input = json!({"daemonArn": format!("{ARN}daemon/{CLUSTER}/{name}")});
            story.world.must("DeleteDaemon", &input)?;
        }
        Ok(())
    }

    fn cleared(&self, story: &Story) -> Outcome<()> {
        let left = story.world.plane.view().count::<Daemon>();
        hold!(left == 0, "{left} daemons are remembered for ever");
        Ok(())
    }
}

impl Daemons {
    fn define(&mut self, story: &mut Story, fate: Fate) -> Outcome<()> {
        let container = json!({"name": "web", "image": "agent:1", "cpu": 64, "memory": 64});
        let input = json!({"family": FAMILY, "containerDefinitions": [container]});
        self.newest += 1;
        story.register("RegisterDaemonTaskDefinition", &input, fate)
    }

    /// What a daemon is to be, on top of what a call says.
    fn wanted(&self, story: &mut Story, name: &str, call: &Value) -> Value {
        let mut input = call.clone();
        let definition = format!("{ARN}daemon-task-definition/{FAMILY}:{}", self.newest);
        input["daemonTaskDefinitionArn"] = json!(definition);
        input["capacityProviderArns"] = json!([format!("{ARN}capacity-provider/{PROVIDER}")]);
        input["critical"] = json!(name == CRITICAL);
        input["deploymentConfiguration"] = json!({"drainPercent": story.pick(&[10.0, 25.0, 50.0, 100.0]),
                "bakeTimeInMinutes": story.below(2)});
        input
    }
}

fn standing(view: &State) -> Vec<String> {
    let active = view.all::<Daemon>().filter(|row| row.is_active());
    active.map(|row| row.name().to_owned()).collect()
}

/// A machine of the provider, with room for whatever comes.
fn machine(world: &mut World) -> Outcome<usize> {
    world.add_host(8192, 8192, &[("wharf.capacity-provider", PROVIDER)])
}

fn is_machine(row: &ContainerInstance) -> bool {
    row.status != InstanceStatus::Inactive && row.capacity_provider.as_deref() == Some(PROVIDER)
}

fn machines(view: &State) -> Vec<Id128> {
    view.all::<ContainerInstance>().filter(|row| is_machine(row)).map(|row| row.id).collect()
}

/// Tasks of a daemon on a host that shall run there.
fn on<'s>(view: &'s State, host: Id128, name: &str) -> impl Iterator<Item = &'s Task> {
    let tasks = view.by::<TasksOn>(&host).filter(|task| task.desired_status == Desired::Running);
    tasks.filter(move |task| task.daemon().is_some_and(|of| *of.name == *name))
}

/// One at most on a machine; there first, and gone last.
pub(super) fn audit(step: &Step<'_>) -> Outcome<()> {
    for change in step.changes {
        let Some((before, Some(task))) = change.of::<Task>() else { continue };
        let Some(host) = task.host else { continue };
        match task.daemon() {
            Some(of) => {
                let all = on(step.after, host, &of.name).count();
                hold!(all <= 1, "{} tasks of {} on {host}", all, of.name);
                leaves_last(step, task, host)?;
            }
            None if before.is_none_or(|before| before.host.is_none()) => {
                comes_after(step, task, host)?;
            }
            None => {}
        }
    }
    Ok(())
}

/// A daemon that stands is on a machine that drains for as long as anything else is.
fn leaves_last(step: &Step<'_>, task: &Task, host: Id128) -> Outcome<()> {
    let ended = task.desired_status == Desired::Stopped
        && task.stop_code == Some(StopCode::ServiceSchedulerInitiated);
    let was = step.before.get::<Task>(&task.id);
    let ended = ended && was.is_some_and(|was| was.desired_status == Desired::Running);
    let Some(of) = task.daemon().filter(|_| ended) else { return Ok(()) };
    let row = step.after.get::<ContainerInstance>(&host);
    let drains = row.is_some_and(ContainerInstance::is_leaving);
    let daemon = step.after.get::<Daemon>(&(task.cluster.clone(), of.name.clone()));
    let stands = daemon.is_some_and(|row| row.is_active() && row.revision == of.revision);
    if drains && stands {
        let others = step.after.by::<TasksOn>(&host);
        let others = others.filter(|task| task.daemon().is_none() && !task.is_stopped()).count();
        hold!(others == 0, "{} leaves {host} before {others} other tasks", of.name);
    }
    Ok(())
}

/// Nothing else is on a new machine before the daemon without which there shall be nothing.
fn comes_after(step: &Step<'_>, task: &Task, host: Id128) -> Outcome<()> {
    let Some(row) = step.after.get::<ContainerInstance>(&host) else { return Ok(()) };
    let key = (row.cluster.clone(), CRITICAL.into());
    let daemon = |state: &State| {
        let row = state.get::<Daemon>(&key).filter(|row| row.is_active() && !row.given_up);
        row.map(|row| row.updated_at)
    };
    // It stood when the machine came, and has not changed since.
    let since = daemon(step.before).filter(|at| daemon(step.after) == Some(*at));
    if is_machine(row) && since.is_some_and(|at| at < row.registered_at) {
        let mut own = step.after.by::<TasksOn>(&host).filter(|task| task.daemon().is_some());
        let ran = own.any(|task| task.started_at.is_some());
        hold!(ran, "task {} is on {host} before {CRITICAL} is", task.id);
    }
    Ok(())
}
