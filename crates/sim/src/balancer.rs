//! A load balancer as services know one: it looks at tasks that run, and says which of them answer.

use std::any::Any;

use core_state::Tx;
use core_step::Report;
use core_types::Id128;
use service_ecs::ops;
use service_ecs::rows::service::Service;
use service_ecs::rows::task::{Health, Task};

use crate::Outcome;
use crate::agent::Agent;
use crate::plane::Plane;

/// What it says of one target.
struct Looked(Id128, Health);

impl Report for Looked {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        ops::observe_traffic(tx, self.0, Some(self.1));
        Box::new(())
    }
}

/// One look at all targets. What the rows do not have yet is said again: a journal may have lost it.
pub fn look(plane: &mut Plane, agents: &[Agent], services: &[&str]) -> Outcome<()> {
    let mut said = Vec::new();
    let view = plane.view();
    for service in view.all::<Service>().filter(|row| services.contains(&row.name())) {
        for id in ops::serving_tasks(view, &service.key) {
            let health = match agents.iter().any(|agent| answers(agent, id)) {
                true => Health::Healthy,
                false => Health::Unhealthy,
            };
            let extras = view.get::<Task>(&id).and_then(|row| row.extras.as_ref());
            if extras.and_then(|extras| extras.observed_traffic) != Some(health) {
                said.push(Looked(id, health));
            }
        }
    }
    said.into_iter().try_for_each(|looked| plane.report(looked))
}

fn answers(agent: &Agent, task: Id128) -> bool {
    agent.is_reachable() && agent.running().any(|(id, _)| *id == task)
}
