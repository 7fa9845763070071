//! PutClusterCapacityProviders: which capacity a cluster has, and what is used by default.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use crate::rows::cluster::Cluster;
use crate::rules::{clusters, strategy};
use crate::views::{self, Include};

pub struct PutClusterCapacityProviders;

impl WriteAction for PutClusterCapacityProviders {
    type Op = api::ops::PutClusterCapacityProviders;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let action = "ecs:PutClusterCapacityProviders";
        let demand = clusters::demand(view, call, action, input.cluster.as_deref());
        let providers = input.capacity_providers.as_deref().unwrap_or_default();
        let arns = providers.iter().map(|name| views::provider_arn(call.scope(), name));
        match providers {
            [] => demand.into(),
            _ => demand.with_all("ecs:capacity-provider", arns.collect()).into(),
        }
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(tx, call, input.cluster.as_deref())?;
        let key = cluster.key.clone();
        let given = input.capacity_providers.unwrap_or_default();
        let providers = strategy::check_providers(tx, key.0, &key.1, &given)?;
        strategy::check_unused(tx, cluster, &providers)?;
        let items = input.default_capacity_provider_strategy.unwrap_or_default();
        let items = strategy::check_strategy(&providers, items)?;
        tx.edit::<Cluster>(&key, |cluster| {
            cluster.capacity_providers = providers;
            cluster.default_strategy = items;
        });
        let row = tx.get::<Cluster>(&key).expect("it was just found");
        let cluster = Some(views::cluster(tx, row, Include::WRITTEN));
        Ok(api::PutClusterCapacityProvidersResponse { cluster })
    }
}
