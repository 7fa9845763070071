//! TagLogGroup: the older way to tag a group.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_logs as api;

use crate::rows::group::LogGroup;
use crate::rules::{groups, permissions, tags};

pub struct TagLogGroup;

impl WriteAction for TagLogGroup {
    type Op = api::ops::TagLogGroup;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.log_group_name.as_deref().unwrap_or_default();
        let demand = permissions::on_tags(call, view, "logs:TagLogGroup", name);
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
        let group = groups::find(tx, call, &input.log_group_name.unwrap_or_default())?;
        let (key, tags) = (group.key.clone(), tags::merged(&group.tags, input.tags)?);
        tx.edit::<LogGroup>(&key, |group| group.tags = tags);
        Ok(api::TagLogGroupResponse {})
    }
}
