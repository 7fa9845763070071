//! UpdateCluster: what is given replaces what was there.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use crate::rows::cluster::Cluster;
use crate::rules::clusters;
use crate::views::{self, Include};

pub struct UpdateCluster;

impl WriteAction for UpdateCluster {
    type Op = api::ops::UpdateCluster;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let demand = clusters::demand(view, call, "ecs:UpdateCluster", input.cluster.as_deref());
        clusters::with_storage_key(demand, input.configuration.as_ref()).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let key = clusters::find_cluster(tx, call, input.cluster.as_deref())?.key.clone();
        let settings = input.settings.unwrap_or_default();
        settings.iter().try_for_each(clusters::check_setting)?;
        let configuration = clusters::check_configuration(input.configuration)?;
        let connects = input.service_connect_defaults.is_some();
        let namespace = clusters::check_namespace(input.service_connect_defaults)?;
        tx.edit::<Cluster>(&key, |cluster| {
            if !settings.is_empty() {
                cluster.settings = settings;
            }
            if configuration.is_some() {
                cluster.configuration = configuration;
            }
            if connects {
                cluster.service_connect = namespace;
            }
        });
        let row = tx.get::<Cluster>(&key).expect("it was just found");
        Ok(api::UpdateClusterResponse { cluster: Some(views::cluster(tx, row, Include::WRITTEN)) })
    }
}
