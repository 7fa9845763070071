//! RegisterDaemonTaskDefinition: a new revision of a family, each time.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use crate::rows::daemon_task_definition::{DaemonFamily, DaemonTaskDefinition, arn_of};
use crate::rules::daemon_task_definitions::normalised_daemon;
use crate::rules::task_definition::role_arn;
use crate::rules::{tags, task_definitions};
use crate::views;

pub struct RegisterDaemonTaskDefinition;

impl WriteAction for RegisterDaemonTaskDefinition {
    type Op = api::ops::RegisterDaemonTaskDefinition;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let family = input.family.as_deref().unwrap_or_default();
        let given = input.tags.as_deref();
        let arn = call.scope().arn("ecs", format_args!("daemon-task-definition/{family}:*"));
        let demand = Demand::on("ecs:RegisterDaemonTaskDefinition", arn.clone())
            .request_tags(tags::pairs(given.unwrap_or_default()));
        let demand =
            task_definitions::with_sizes(demand, input.cpu.as_deref(), input.memory.as_deref());
        let containers = input.container_definitions.as_deref().unwrap_or_default();
        let privileged = containers.iter().any(|container| container.privileged == Some(true));
        let mut demands = vec![demand.with("ecs:privileged", privileged.to_string())];
        for role in [&input.task_role_arn, &input.execution_role_arn] {
            if let Ok(Some(role)) = role_arn(role.clone(), call.account()) {
                demands.push(task_definitions::pass_role(role));
            }
        }
        let action = "RegisterDaemonTaskDefinition";
        demands.extend(tags::demand_on_create(view, call, action, arn, given));
        demands.into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        mut input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let given_tags = input.tags.take().unwrap_or_default();
        let mut definition = normalised_daemon(input, call.account())?;
        tags::check_tags(&given_tags)?;
        let scope = call.scope();
        let name = definition.family.as_deref().expect("a normalised definition has a family");
        let key = (scope, name.into());
        let last = tx.get::<DaemonFamily>(&key).map_or(0, |family| family.last_revision);
        let revision = last + 1;
        let arn = arn_of(scope, name, revision);
        definition.revision = i32::try_from(revision).ok();
        definition.daemon_task_definition_arn = Some(arn.clone());
        definition.registered_at = views::timestamp(tx.now());
        definition.registered_by = Some(call.caller.arn.to_string());
        tx.put(DaemonFamily { key: key.clone(), last_revision: revision });
        tx.put(DaemonTaskDefinition {
            key: (scope, key.1, revision),
            definition,
            tags: given_tags,
            forget_at: None,
        });
        Ok(api::RegisterDaemonTaskDefinitionResponse { daemon_task_definition_arn: Some(arn) })
    }
}
