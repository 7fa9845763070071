//! ListTagsForResource.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_logs as api;

use crate::rules::{permissions, tags};

pub struct ListTagsForResource;

impl ReadAction for ListTagsForResource {
    type Op = api::ops::ListTagsForResource;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.resource_arn.as_deref().unwrap_or_default();
        permissions::on_tags(call, view, "logs:ListTagsForResource", name).into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let group = tags::find(view, call, &input.resource_arn.unwrap_or_default())?;
        Ok(api::ListTagsForResourceResponse { tags: Some(group.tags.clone()) })
    }
}
