//! UpdateDaemon: a deployment of what is asked for, over the one that is under way.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::daemon::Daemon;
use crate::rows::daemon_history::{DaemonRevision, deployment_arn};
use crate::rules::daemon_settings::{self as settings, Given};
use crate::rules::{daemons, deployments};
use crate::views;

pub struct UpdateDaemon;

fn given(input: &Input<api::ops::UpdateDaemon>) -> Given<'_> {
    Given {
        definition: input.daemon_task_definition_arn.as_deref(),
        providers: input.capacity_provider_arns.as_deref(),
        critical: input.critical,
        managed_tags: input.enable_ecs_managed_tags,
        exec_enabled: input.enable_execute_command,
        propagate: input.propagate_tags.as_ref(),
    }
}

impl WriteAction for UpdateDaemon {
    type Op = api::ops::UpdateDaemon;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = input.daemon_arn.as_deref();
        let demand = daemons::demand(view, call, "ecs:UpdateDaemon", arn);
        given(input).demands(demand, view, call).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        mut input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let mut row: Daemon = daemons::find(tx, call, input.daemon_arn.as_deref())?.clone();
        if !row.is_active() {
            return Err(errors::daemon_not_active_exception("Daemon was not ACTIVE."));
        }
        let now = tx.now();
        let given_providers = input.capacity_provider_arns.as_deref();
        let providers = settings::providers(tx, &row.key.0, given_providers)?;
        let new = given(&input).revision(tx, call, &row.key, now)?;
        let configuration = settings::configuration(input.deployment_configuration.take())?;
        // Hosts that have what is asked for need nothing new.
        let same = daemons::revision_of(tx, &row).is_some_and(|old| old.is_like(&new));
        if !same {
            let number = deployments::number(tx.dice);
            tx.put(DaemonRevision { key: (row.key.clone(), number), ..new });
            row.revision = number;
        }
        row.providers = providers;
        row.updated_at = now;
        let target = row.revision;
        daemons::begin(tx, &mut row, Some(target), configuration);
        let shown = api::UpdateDaemonResponse {
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
