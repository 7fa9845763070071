//! DescribeDaemonTaskDefinition: by family (the latest), by revision, by ARN.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rules::daemon_task_definitions as daemons;
use crate::views;

pub struct DescribeDaemonTaskDefinition;

impl ReadAction for DescribeDaemonTaskDefinition {
    type Op = api::ops::DescribeDaemonTaskDefinition;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let given = input.daemon_task_definition.as_deref().unwrap_or_default();
        daemons::demand(view, call, "ecs:DescribeDaemonTaskDefinition", given).into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let given = input.daemon_task_definition.as_deref().unwrap_or_default();
        let row = daemons::find(view, call, given)?;
        let shown = Some(views::daemon_task_definition(row, view.now()));
        Ok(api::DescribeDaemonTaskDefinitionResponse { daemon_task_definition: shown })
    }
}
