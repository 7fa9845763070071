//! SubmitContainerStateChange: one container's change where its task has none to tell.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use core_task::{ContainerReport, TaskReport};
use model_ecs as api;

use crate::reports;
use crate::rules::changes;

pub struct SubmitContainerStateChange;

impl WriteAction for SubmitContainerStateChange {
    type Op = api::ops::SubmitContainerStateChange;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let (cluster, task) = (input.cluster.as_deref(), input.task.as_deref());
        changes::demands(view, call, "ecs:SubmitContainerStateChange", cluster, task).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let (cluster, task) = (input.cluster.as_deref(), input.task.as_deref());
        let id = changes::find_task(tx, call, cluster, task)?.id;
        let container = changes::container(
            input.container_name.as_deref(),
            input.status.as_deref(),
            input.network_bindings.as_deref(),
            ContainerReport {
                exit_code: input.exit_code,
                reason: input.reason.as_deref().map(changes::cut),
                runtime_id: input.runtime_id.as_deref(),
                ..Default::default()
            },
        )?;
        let report = TaskReport { containers: vec![container], ..Default::default() };
        reports::apply(tx, id, &report);
        Ok(api::SubmitContainerStateChangeResponse { acknowledgment: Some("ACCEPT".to_owned()) })
    }
}
