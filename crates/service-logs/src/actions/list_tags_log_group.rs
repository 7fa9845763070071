//! ListTagsLogGroup: the older way.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_logs as api;

use crate::rules::{groups, permissions};

pub struct ListTagsLogGroup;

impl ReadAction for ListTagsLogGroup {
    type Op = api::ops::ListTagsLogGroup;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.log_group_name.as_deref().unwrap_or_default();
        permissions::on_tags(call, view, "logs:ListTagsLogGroup", name).into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let group = groups::find(view, call, &input.log_group_name.unwrap_or_default())?;
        Ok(api::ListTagsLogGroupResponse { tags: Some(group.tags.clone()) })
    }
}
