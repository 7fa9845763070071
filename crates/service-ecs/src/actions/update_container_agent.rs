//! UpdateContainerAgent: Wharf's hosts are updated with Wharf itself, so there is never an update.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs::{self as api, errors};

use crate::rules::{clusters, instances};

pub struct UpdateContainerAgent;

impl ReadAction for UpdateContainerAgent {
    type Op = api::ops::UpdateContainerAgent;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let given = input.container_instance.as_deref().unwrap_or_default();
        let cluster = input.cluster.as_deref();
        instances::demand(view, call, "ecs:UpdateContainerAgent", cluster, given).into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(view, call, input.cluster.as_deref())?.key.clone();
        let given = input.container_instance.as_deref().unwrap_or_default();
        instances::find(view, call, &cluster, given)?;
        Err(errors::no_update_available_exception("There is no update available for the agent."))
    }
}
