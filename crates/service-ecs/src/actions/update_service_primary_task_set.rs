//! UpdateServicePrimaryTaskSet: which of its task sets a service shows as its own.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::task_set::{TaskSet, TaskSetKey};
use crate::rules::task_sets;
use crate::views;

pub struct UpdateServicePrimaryTaskSet;

impl WriteAction for UpdateServicePrimaryTaskSet {
    type Op = api::ops::UpdateServicePrimaryTaskSet;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let of = (input.cluster.as_deref(), input.service.as_deref());
        // AWS: the permission is asked on the service.
        let action = "ecs:UpdateServicePrimaryTaskSet";
        crate::rules::services::demand(view, call, action, of.0, of.1).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let (cluster, service) = (input.cluster.as_deref(), input.service.as_deref());
        let service = task_sets::find_service(tx, call, cluster, service)?.key.clone();
        let set = task_sets::find(tx, &service, input.primary_task_set.as_deref())?;
        if set.draining {
            return Err(errors::invalid_parameter_exception("The task set is DRAINING."));
        }
        let (chosen, now) = (set.key.clone(), tx.now());
        let all: Vec<TaskSetKey> = task_sets::all(tx, &service).map(|s| s.key.clone()).collect();
        for key in all {
            tx.edit::<TaskSet>(&key, |set| {
                let primary = key == chosen;
                if set.primary != primary {
                    (set.primary, set.updated_at) = (primary, now);
                }
            });
        }
        let set = tx.get::<TaskSet>(&chosen).expect("it was just found");
        let shown = views::task_set(tx, set, true);
        Ok(api::UpdateServicePrimaryTaskSetResponse { task_set: Some(shown) })
    }
}
