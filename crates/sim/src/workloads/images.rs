//! People who push images: what a name means changes under everybody's deployments, and each of
//! them goes on with what it began with.

use std::collections::BTreeMap;

use core_state::State;
use core_task::Desired;
use core_types::Id128;
use service_ecs::rows::service::{Controller, Service};
use service_ecs::rows::service_history::ServiceRevision;
use service_ecs::rows::task::Task;

use super::{Step, Workload};
use crate::chaos::Story;
use crate::{Outcome, hold};

pub(super) struct Images;

impl Workload for Images {
    fn begin(&mut self, story: &mut Story) -> Outcome<()> {
        story.world.registry.busy = true;
        Ok(())
    }

    /// They rest now and then.
    fn act(&mut self, story: &mut Story) -> Outcome<()> {
        story.world.registry.busy = story.chance(80);
        Ok(())
    }

    /// They go on with it: what is pushed in the midst of a deployment is not in it.
    fn calm(&mut self, story: &mut Story) -> Outcome<()> {
        story.world.registry.busy = true;
        Ok(())
    }

    /// What runs is what the revision says, on the hosts themselves.
    fn settled(&self, story: &Story) -> Outcome<()> {
        let view = story.world.plane.view();
        let mut found: BTreeMap<(String, u64), (Id128, String)> = BTreeMap::new();
        for agent in story.world.agents.iter().filter(|agent| !agent.gone) {
            for (id, local) in agent.running() {
                let Some(task) = view.get::<Task>(id) else { continue };
                let Some(revision) = revision_of(view, task) else { continue };
                let runs = local.digest.clone().unwrap_or_default();
                let known = revision.digest("web").map(str::to_owned);
                let name = revision.key.0.1.to_string();
                hold!(
                    known.is_some(),
                    "{name}: nobody has learned which image {} is of",
                    revision.family
                );
                let key = (name, revision.key.1);
                let (first, same) = found.entry(key.clone()).or_insert((*id, runs.clone()));
                let settled = revision.starts_freely || *same == runs && known == Some(runs);
                hold!(settled, "{}: {first} and {id} do not run the same image", key.0);
            }
        }
        Ok(())
    }
}

/// The revision that a task of a service that ECS rolls is of.
fn revision_of<'s>(view: &'s State, task: &Task) -> Option<&'s ServiceRevision> {
    let key = (task.cluster.clone(), task.service.clone()?);
    let service = view.get::<Service>(&key).filter(|row| row.controller == Controller::Ecs)?;
    let by = task.started_by.as_ref()?;
    let deployment = service.deployments.iter().find(|one| one.id == *by)?;
    view.get::<ServiceRevision>(&(key, deployment.revision))
}

/// Once a revision knows which image it is of, no task of it that stays is of another.
pub(super) fn audit(step: &Step<'_>) -> Outcome<()> {
    for change in step.changes {
        let Some((_, Some(task))) = change.of::<Task>() else { continue };
        if task.desired_status != Desired::Running {
            continue;
        }
        let revision = revision_of(step.after, task).filter(|revision| !revision.starts_freely);
        for container in &task.containers {
            let known = revision.and_then(|revision| revision.digest(&container.name));
            let (Some(known), Some(runs)) = (known, &container.image_digest) else { continue };
            hold!(*known == **runs, "task {} runs {runs}, and its revision is of {known}", task.id);
        }
    }
    Ok(())
}
