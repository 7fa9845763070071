//! UpdateClusterSettings: Container Insights on or off.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::cluster::Cluster;
use crate::rules::clusters;
use crate::views::{self, Include};

pub struct UpdateClusterSettings;

impl WriteAction for UpdateClusterSettings {
    type Op = api::ops::UpdateClusterSettings;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        clusters::demand(view, call, "ecs:UpdateClusterSettings", input.cluster.as_deref()).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let key = clusters::find_cluster(tx, call, input.cluster.as_deref())?.key.clone();
        let settings = input.settings.unwrap_or_default();
        if settings.is_empty() {
            return Err(errors::invalid_parameter_exception("Settings cannot be empty."));
        }
        settings.iter().try_for_each(clusters::check_setting)?;
        tx.edit::<Cluster>(&key, |cluster| cluster.settings = settings);
        let row = tx.get::<Cluster>(&key).expect("it was just found");
        let cluster = Some(views::cluster(tx, row, Include::WRITTEN));
        Ok(api::UpdateClusterSettingsResponse { cluster })
    }
}
