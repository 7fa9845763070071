//! ListTagsForResource.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use super::tag_resource::demand;
use crate::rules::tagged;

pub struct ListTagsForResource;

impl ReadAction for ListTagsForResource {
    type Op = api::ops::ListTagsForResource;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = input.resource_arn.as_deref().unwrap_or_default();
        demand(call, view, "ecs:ListTagsForResource", arn).into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let of = tagged::find(view, call, input.resource_arn.as_deref().unwrap_or_default())?;
        Ok(api::ListTagsForResourceResponse { tags: Some(tagged::tags(view, &of).to_vec()) })
    }
}
