//! DeleteCluster, with its refusals.

use std::time::Duration;

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use crate::rows::cluster::{Cluster, ClusterStatus};
use crate::rules::{clusters, tags};
use crate::views::{self, Include};

pub struct DeleteCluster;

/// AWS: a deleted cluster "may remain discoverable for a period of time".
const DESCRIBED_FOR: Duration = Duration::from_secs(3600);

impl WriteAction for DeleteCluster {
    type Op = api::ops::DeleteCluster;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let key = clusters::key_of(call, input.cluster.as_deref());
        let there = view.get::<Cluster>(&key).map(|c| c.tags.as_slice()).unwrap_or_default();
        Demand::on("ecs:DeleteCluster", clusters::demanded_arn(call, input.cluster.as_deref()))
            .resource_tags(tags::pairs(there))
            .into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let key = clusters::find_cluster(tx, call, input.cluster.as_deref())?.key.clone();
        let forget_at = tx.now() + DESCRIBED_FOR;
        tx.edit::<Cluster>(&key, |cluster| {
            cluster.status = ClusterStatus::Inactive;
            cluster.forget_at = Some(forget_at);
        });
        let row = tx.get::<Cluster>(&key).expect("it was just found");
        Ok(api::DeleteClusterResponse { cluster: Some(views::cluster(tx, row, Include::ALL)) })
    }
}
