//! DeleteCapacityProvider: refused while a cluster has it.

use std::time::Duration;

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::capacity_provider::CapacityProvider;
use crate::rows::cluster::ClustersWith;
use crate::rows::daemon::DaemonsOn;
use crate::rules::capacity_providers as providers;
use crate::views;

pub struct DeleteCapacityProvider;

/// AWS: a deleted provider is described as INACTIVE for a while.
const DESCRIBED_FOR: Duration = Duration::from_secs(3600);

impl WriteAction for DeleteCapacityProvider {
    type Op = api::ops::DeleteCapacityProvider;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.capacity_provider.as_deref().unwrap_or_default();
        providers::demand(view, call, "ecs:DeleteCapacityProvider", name).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let name = input.capacity_provider.as_deref().unwrap_or_default();
        let mut row: CapacityProvider = providers::find(tx, call.scope(), name)?.clone();
        let cluster = row.cluster.clone().map(|name| (call.scope(), name));
        let with_daemons = cluster.is_some_and(|cluster| {
            tx.by::<DaemonsOn>(&(cluster, row.key.1.clone())).next().is_some()
        });
        // AWS: its daemons are deleted first.
        if with_daemons || tx.by::<ClustersWith>(&row.key).next().is_some() {
            return Err(errors::client_exception(
                "The specified capacity provider is in use and cannot be removed.",
            ));
        }
        row.active = false;
        row.update_status = Some(api::CapacityProviderUpdateStatus::DELETE_COMPLETE);
        row.forget_at = Some(tx.now() + DESCRIBED_FOR);
        let shown = views::capacity_provider(&row, true);
        tx.put(row);
        Ok(api::DeleteCapacityProviderResponse { capacity_provider: Some(shown) })
    }
}
