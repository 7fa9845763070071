//! DeregisterContainerInstance: refused while tasks run on it, unless forced.

use std::time::Duration;

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use core_types::Id128;
use model_ecs::{self as api, errors};

use crate::rows::container_instance::{ContainerInstance, InstanceStatus};
use crate::rows::task::{StopCode, TasksOn};
use crate::rules::{clusters, instances, life};
use crate::views;

pub struct DeregisterContainerInstance;

/// AWS: it stays describable as INACTIVE for a while.
const DESCRIBED_FOR: Duration = Duration::from_secs(3600);

impl WriteAction for DeregisterContainerInstance {
    type Op = api::ops::DeregisterContainerInstance;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let action = "ecs:DeregisterContainerInstance";
        clusters::demand(view, call, action, input.cluster.as_deref()).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(tx, call, input.cluster.as_deref())?.key.clone();
        let given = input.container_instance.as_deref().unwrap_or_default();
        let id = instances::find(tx, call, &cluster, given)?.id;
        let tasks = tx.by::<TasksOn>(&id);
        let tasks = tasks.filter(|task| !task.is_stopped());
        let tasks: Vec<Id128> = tasks.map(|task| task.id).collect();
        if !tasks.is_empty() && input.force != Some(true) {
            return Err(errors::invalid_parameter_exception(
                "Found running tasks on the instance.",
            ));
        }
        // AWS: what still runs there is orphaned: nobody's task any more.
        let reason = "Container instance deregistration forced by user";
        for task in tasks {
            life::give_up(tx, task, StopCode::UserInitiated, reason, false);
        }
        let forget_at = tx.now() + DESCRIBED_FOR;
        tx.edit::<ContainerInstance>(&id, |row| {
            row.status = InstanceStatus::Inactive;
            row.observed_connected = false;
            row.lost_at = None;
            row.version += 1;
            row.forget_at = Some(forget_at);
        });
        let row = tx.get::<ContainerInstance>(&id).expect("it was just found");
        let shown = views::container_instance(tx, row, true, false);
        Ok(api::DeregisterContainerInstanceResponse { container_instance: Some(shown) })
    }
}
