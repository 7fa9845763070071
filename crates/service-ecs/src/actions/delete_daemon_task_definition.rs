//! DeleteDaemonTaskDefinition: DELETE_IN_PROGRESS, DELETED for a while, then gone.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use crate::rows::daemon_task_definition::DaemonTaskDefinition;
use crate::rules::daemon_task_definitions as daemons;
use crate::rules::task_definition::refuse;

pub struct DeleteDaemonTaskDefinition;

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
            row.delete(now);
        });
        Ok(api::DeleteDaemonTaskDefinitionResponse { daemon_task_definition_arn: Some(arn) })
    }
}
