//! DeleteDaemonTaskDefinition: DELETE_IN_PROGRESS for a while, then gone.

use std::time::Duration;

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use crate::rows::daemon_task_definition::DaemonTaskDefinition;
use crate::rules::daemon_task_definitions as daemons;
use crate::rules::task_definition::refuse;
use crate::views;

pub struct DeleteDaemonTaskDefinition;

const DESCRIBED_FOR: Duration = Duration::from_secs(60);

impl WriteAction for DeleteDaemonTaskDefinition {
    type Op = api::ops::DeleteDaemonTaskDefinition;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let given = input.daemon_task_definition.as_deref().unwrap_or_default();
        daemons::demand(view, call, "ecs:DeleteDaemonTaskDefinition", given).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let given = input.daemon_task_definition.as_deref().unwrap_or_default();
        let row = daemons::find(tx, call, given)?;
        if !row.active() {
            return Err(refuse("The specified daemon task definition is being deleted."));
        }
        let (key, arn, now) = (row.key.clone(), row.arn(), tx.now());
        tx.edit::<DaemonTaskDefinition>(&key, |row| {
            row.definition.delete_requested_at = views::timestamp(now);
            row.forget_at = Some(now + DESCRIBED_FOR);
        });
        Ok(api::DeleteDaemonTaskDefinitionResponse { daemon_task_definition_arn: Some(arn) })
    }
}
