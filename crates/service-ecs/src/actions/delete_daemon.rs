//! DeleteDaemon: it is there until its last task has gone.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::daemon::{Daemon, DaemonStatus};
use crate::rows::daemon_history::deployment_arn;
use crate::rules::{daemon_settings, daemons};
use crate::views;

pub struct DeleteDaemon;

impl WriteAction for DeleteDaemon {
    type Op = api::ops::DeleteDaemon;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        daemons::demand(view, call, "ecs:DeleteDaemon", input.daemon_arn.as_deref()).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let mut row: Daemon = daemons::find(tx, call, input.daemon_arn.as_deref())?.clone();
        if !row.is_active() {
            // AWS: clients that delete twice know it by these words.
            return Err(errors::invalid_parameter_exception(
                "The daemon cannot be deleted because its deployment deletion is ongoing.",
            ));
        }
        let now = tx.now();
        row.status = DaemonStatus::DeleteInProgress;
        row.updated_at = now;
        // AWS: taking it away is a deployment too.
        daemons::begin(tx, &mut row, None, daemon_settings::configuration(None)?);
        let shown = api::DeleteDaemonResponse {
            daemon_arn: Some(row.arn()),
            deployment_arn: Some(deployment_arn(&row.key, &row.deployment)),
            status: views::daemon_status(&row),
            created_at: views::timestamp(row.created_at),
            updated_at: views::timestamp(now),
        };
        tx.put(row);
        Ok(shown)
    }
}
