//! RegisterTaskDefinition: a new revision of a family, each time.

use aws_protocol::{ApiError, Timestamp};
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use crate::rows::task_definition::{Family, Status, TaskDefinition, arn_of};
use crate::rules::task_definition::{normalised, refuse, role_arn};
use crate::rules::{tags, task_definitions};
use crate::views;

pub struct RegisterTaskDefinition;

impl WriteAction for RegisterTaskDefinition {
    type Op = api::ops::RegisterTaskDefinition;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let family = input.family.as_deref().unwrap_or_default();
        let given = input.tags.as_deref();
        // AWS: the revision is not known yet, so the permission is asked on all of the family.
        let arn = call.scope().arn("ecs", format_args!("task-definition/{family}:*"));
        let demand = Demand::on("ecs:RegisterTaskDefinition", arn.clone())
            .request_tags(tags::pairs(given.unwrap_or_default()));
        let mut demands = vec![with_conditions(demand, input)];
        for role in [&input.task_role_arn, &input.execution_role_arn] {
            // A name that is no role is refused by `run`.
            if let Ok(Some(role)) = role_arn(role.clone(), call.account()) {
                demands.push(task_definitions::pass_role(role));
            }
        }
        demands.extend(tags::demand_on_create(view, call, "RegisterTaskDefinition", arn, given));
        demands.into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        mut input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        // AWS: unlike elsewhere, a list of tags that has none is refused.
        if input.tags.as_ref().is_some_and(Vec::is_empty) {
            return Err(refuse("Tags can not be empty."));
        }
        let given_tags = input.tags.take().unwrap_or_default();
        let mut definition = normalised(input, call.account())?;
        tags::check_tags(&given_tags)?;

        let scope = call.scope();
        let name = definition.family.as_deref().expect("a normalised definition has a family");
        let key = (scope, name.into());
        let mut family = tx.get::<Family>(&key).cloned().unwrap_or(Family {
            key: key.clone(),
            last_revision: 0,
            active: 0,
            inactive: 0,
        });
        family.last_revision += 1;
        family.active += 1;
        let revision = family.last_revision;
        definition.revision = i32::try_from(revision).ok();
        definition.task_definition_arn = Some(arn_of(scope, name, revision));
        definition.registered_at = Some(Timestamp::from_millis(tx.now().millis()));
        definition.registered_by = Some(call.caller.arn.to_string());
        let row = TaskDefinition {
            key: (scope, key.1, revision),
            status: Status::Active,
            definition,
            tags: given_tags,
            forget_at: None,
        };
        let answer = api::RegisterTaskDefinitionResponse {
            task_definition: Some(views::task_definition(&row)),
            // AWS: tags are in the answer only where some were given.
            tags: Some(row.tags.clone()).filter(|tags| !tags.is_empty()),
        };
        tx.put(family);
        tx.put(row);
        Ok(answer)
    }
}

/// What policies may say of a registration: sizes, launch types, privilege.
fn with_conditions(demand: Demand, input: &api::RegisterTaskDefinitionRequest) -> Demand {
    let (cpu, memory) = (input.cpu.as_deref(), input.memory.as_deref());
    let mut demand = task_definitions::with_sizes(demand, cpu, memory);
    if let Some(fit) = input.requires_compatibilities.as_ref().filter(|fit| !fit.is_empty()) {
        let fit = fit.iter().map(|one| one.to_string()).collect();
        demand = demand.with_all("ecs:compute-compatibility", fit);
    }
    let containers = input.container_definitions.as_deref().unwrap_or_default();
    let privileged = containers.iter().any(|container| container.privileged == Some(true));
    demand.with("ecs:privileged", privileged.to_string())
}
