//! UpdateTaskSet: another share of the service's tasks.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::task_set::TaskSet;
use crate::rules::task_sets;
use crate::views;

pub struct UpdateTaskSet;

impl WriteAction for UpdateTaskSet {
    type Op = api::ops::UpdateTaskSet;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let of = (input.cluster.as_deref(), input.service.as_deref());
        let set = input.task_set.as_deref();
        task_sets::demand(view, call, "ecs:UpdateTaskSet", of, set).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let (cluster, service) = (input.cluster.as_deref(), input.service.as_deref());
        let service = task_sets::find_service(tx, call, cluster, service)?.key.clone();
        let set = task_sets::find(tx, &service, input.task_set.as_deref())?;
        if set.draining {
            return Err(errors::invalid_parameter_exception("The task set is DRAINING."));
        }
        let (key, now) = (set.key.clone(), tx.now());
        if input.scale.is_none() {
            return Err(errors::invalid_parameter_exception("Scale can not be blank."));
        }
        let percent = task_sets::check_scale(input.scale.as_ref())?;
        tx.edit::<TaskSet>(&key, |set| {
            if set.percent != percent {
                (set.percent, set.updated_at) = (percent, now);
            }
        });
        let set = tx.get::<TaskSet>(&key).expect("it was just found");
        Ok(api::UpdateTaskSetResponse { task_set: Some(views::task_set(tx, set, true)) })
    }
}
