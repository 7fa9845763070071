//! UntagResource: keys that are not there are no error.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use super::tag_resource::demand;
use crate::rules::tagged;

pub struct UntagResource;

impl WriteAction for UntagResource {
    type Op = api::ops::UntagResource;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = input.resource_arn.as_deref().unwrap_or_default();
        let keys = input.tag_keys.clone().unwrap_or_default();
        let demand = demand(call, view, "ecs:UntagResource", arn);
        if keys.is_empty() { demand.into() } else { demand.with_all("aws:TagKeys", keys).into() }
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let keys = input.tag_keys.unwrap_or_default();
        let of = tagged::find(tx, call, input.resource_arn.as_deref().unwrap_or_default())?;
        let mut left = tagged::tags(tx, &of).to_vec();
        left.retain(|tag| !tag.key.as_ref().is_some_and(|key| keys.contains(key)));
        tagged::set(tx, &of, left);
        Ok(api::UntagResourceResponse {})
    }
}
