//! CreateCluster. Naming a cluster that is there already returns it unchanged.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use crate::rows::cluster::{Cluster, ClusterStatus};
use crate::rules::{clusters, tags};
use crate::views::{self, Include};

pub struct CreateCluster;

impl WriteAction for CreateCluster {
    type Op = api::ops::CreateCluster;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let given = input.tags.as_deref().unwrap_or_default();
        // AWS: the cluster does not exist yet, so the permission is asked on its future ARN.
        let arn = clusters::demanded_arn(call, input.cluster_name.as_deref());
        Demand::on("ecs:CreateCluster", arn).request_tags(tags::pairs(given)).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let name = clusters::name_of(input.cluster_name.as_deref());
        clusters::check_name(name)?;
        let key = (call.scope(), name.into());
        let there = tx.get::<Cluster>(&key).filter(|c| c.status == ClusterStatus::Active);
        if there.is_none() {
            let given = input.tags.unwrap_or_default();
            tags::check_tags(&given)?;
            let settings = input.settings.unwrap_or_default();
            let row = Cluster {
                key: key.clone(),
                status: ClusterStatus::Active,
                created_at: tx.now(),
                settings: clusters::settings_with_defaults(settings, "disabled")?,
                configuration: input.configuration,
                capacity_providers: input.capacity_providers.unwrap_or_default(),
                default_strategy: input.default_capacity_provider_strategy.unwrap_or_default(),
                service_connect: None,
                tags: given,
                forget_at: None,
            };
            tx.put(row);
        }
        let row = tx.get::<Cluster>(&key).expect("it was there or was put");
        Ok(api::CreateClusterResponse { cluster: Some(views::cluster(tx, row, Include::ALL)) })
    }
}
