//! DescribeDaemon: what it is to be, and on how many hosts it is.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rules::daemons;
use crate::views;

pub struct DescribeDaemon;

impl ReadAction for DescribeDaemon {
    type Op = api::ops::DescribeDaemon;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        daemons::demand(view, call, "ecs:DescribeDaemon", input.daemon_arn.as_deref()).into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let row = daemons::find(view, call, input.daemon_arn.as_deref())?;
        Ok(api::DescribeDaemonResponse { daemon: Some(views::daemon(view, row)) })
    }
}
