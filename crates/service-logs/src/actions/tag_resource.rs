//! TagResource.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_logs as api;

use crate::rows::group::LogGroup;
use crate::rules::{permissions, tags};

pub struct TagResource;

impl WriteAction for TagResource {
    type Op = api::ops::TagResource;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.resource_arn.as_deref().unwrap_or_default();
        let demand = permissions::on_tags(call, view, "logs:TagResource", name);
        match &input.tags {
            Some(given) => demand.request_tags(tags::pairs(given)).into(),
            None => demand.into(),
        }
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let group = tags::find(tx, call, &input.resource_arn.unwrap_or_default())?;
        let (key, tags) = (group.key.clone(), tags::merged(&group.tags, input.tags)?);
        tx.edit::<LogGroup>(&key, |group| group.tags = tags);
        Ok(api::TagResourceResponse {})
    }
}
