//! StopTask: wanted stopped from now on; the answer does not wait for the host.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::task::{StopCode, Task};
use crate::rules::{clusters, life, tasks};
use crate::views;

pub struct StopTask;

const LONGEST_REASON: usize = 1024;

impl WriteAction for StopTask {
    type Op = api::ops::StopTask;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let task = input.task.as_deref().unwrap_or_default();
        tasks::demand(view, call, "ecs:StopTask", input.cluster.as_deref(), task).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(tx, call, input.cluster.as_deref())?.key.clone();
        let id = tasks::find(tx, call, &cluster, input.task.as_deref())?.id;
        let reason = input.reason.filter(|reason| !reason.is_empty());
        if reason.as_ref().is_some_and(|reason| reason.chars().count() > LONGEST_REASON) {
            return Err(errors::invalid_parameter_exception(
                "reason cannot be longer than 1024 characters.",
            ));
        }
        let reason = reason.as_deref().unwrap_or("Task stopped by user");
        let now = tx.now();
        tx.edit::<Task>(&id, |task| {
            if !task.is_stopped() {
                life::want_stopped(task, StopCode::UserInitiated, Some(reason), now);
            }
        });
        let row = tx.get::<Task>(&id).expect("it was just found");
        Ok(api::StopTaskResponse { task: Some(views::task(tx, row, true)) })
    }
}
