//! UntagResource.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_logs as api;

use crate::rows::group::LogGroup;
use crate::rules::{permissions, tags};

pub struct UntagResource;

impl WriteAction for UntagResource {
    type Op = api::ops::UntagResource;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.resource_arn.as_deref().unwrap_or_default();
        let keys = input.tag_keys.clone().unwrap_or_default();
        let demand = permissions::on_tags(call, view, "logs:UntagResource", name);
        demand.with_all("aws:TagKeys", keys).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let key = tags::find(tx, call, &input.resource_arn.unwrap_or_default())?.key.clone();
        let gone = input.tag_keys.unwrap_or_default();
        tx.edit::<LogGroup>(&key, |group| group.tags.retain(|key, _| !gone.contains(key)));
        Ok(api::UntagResourceResponse {})
    }
}
