//! DeleteCluster, with its refusals.

use std::time::Duration;

use aws_protocol::ApiError;
use core_state::{State, Tx};
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use core_task::TaskStatus;
use model_ecs::{self as api, errors};

use crate::rows::capacity_provider::ProvidersOf;
use crate::rows::cluster::{Cluster, ClusterKey, ClusterStatus};
use crate::rows::container_instance::ClusterInstances;
use crate::rows::service::ServicesIn;
use crate::rows::task::TasksIn;
use crate::rules::clusters;
use crate::views::{self, Include};

pub struct DeleteCluster;

/// AWS: a deleted cluster "may remain discoverable for a period of time".
const DESCRIBED_FOR: Duration = Duration::from_secs(3600);

impl WriteAction for DeleteCluster {
    type Op = api::ops::DeleteCluster;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        clusters::demand(view, call, "ecs:DeleteCluster", input.cluster.as_deref()).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let given = input.cluster.as_deref();
        let key = clusters::find_any_cluster(tx, call, given)?.key.clone();
        let forget_at = tx.now() + DESCRIBED_FOR;
        // AWS: deleting an INACTIVE cluster again shows it once more.
        if tx.get::<Cluster>(&key).is_some_and(|c| c.status == ClusterStatus::Active) {
            check_empty(tx, &key)?;
            tx.edit::<Cluster>(&key, |cluster| {
                cluster.status = ClusterStatus::Inactive;
                cluster.forget_at = Some(forget_at);
            });
        }
        let row = tx.get::<Cluster>(&key).expect("it was just found");
        Ok(api::DeleteClusterResponse { cluster: Some(views::cluster(tx, row, Include::WRITTEN)) })
    }
}

/// AWS: each kind of content has its own refusal.
fn check_empty(state: &State, key: &ClusterKey) -> Result<(), ApiError> {
    if state.by::<ServicesIn>(key).next().is_some() {
        return Err(errors::cluster_contains_services_exception(
            "The Cluster cannot be deleted while Services are active.",
        ));
    }
    if state.sum::<ClusterInstances>(key) > 0 {
        return Err(errors::cluster_contains_container_instances_exception(
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        ));
    }
    let runs = |wanted: bool| {
        let mut tasks = state.by::<TasksIn>(&(key.clone(), wanted));
        tasks.any(|task| task.observed_status != TaskStatus::Stopped)
    };
    if runs(true) || runs(false) {
        return Err(errors::cluster_contains_tasks_exception(
            "The Cluster cannot be deleted while Tasks are active.",
        ));
    }
    let mut providers = state.by::<ProvidersOf>(&(key.0, Some(key.1.clone())));
    if providers.any(|provider| provider.active) {
        return Err(errors::cluster_contains_capacity_provider_exception(
            "The Cluster cannot be deleted while Capacity Providers are active.",
        ));
    }
    Ok(())
}
