//! DeleteTaskSet: it drains until its tasks are gone.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::task_set::TaskSet;
use crate::rules::task_sets;
use crate::views;

pub struct DeleteTaskSet;

impl WriteAction for DeleteTaskSet {
    type Op = api::ops::DeleteTaskSet;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let of = (input.cluster.as_deref(), input.service.as_deref());
        let set = input.task_set.as_deref();
        task_sets::demand(view, call, "ecs:DeleteTaskSet", of, set).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let (cluster, service) = (input.cluster.as_deref(), input.service.as_deref());
        let row = task_sets::find_service(tx, call, cluster, service)?;
        let (service, wanted) = (row.key.clone(), row.desired_count);
        let set = task_sets::find(tx, &service, input.task_set.as_deref())?;
        // AWS: one that has tasks must be scaled to nothing first, or deleted by force.
        if set.desired(wanted) > 0 && input.force != Some(true) {
            return Err(errors::invalid_parameter_exception(
                "The task set cannot be deleted while it is scaled above 0.",
            ));
        }
        let (key, now) = (set.key.clone(), tx.now());
        tx.edit::<TaskSet>(&key, |set| {
            if !set.draining {
                (set.draining, set.primary, set.updated_at) = (true, false, now);
            }
        });
        let set = tx.get::<TaskSet>(&key).expect("it was just found");
        Ok(api::DeleteTaskSetResponse { task_set: Some(views::task_set(tx, set, true)) })
    }
}
