//! UntagLogGroup: the older way.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_logs as api;

use crate::rows::group::LogGroup;
use crate::rules::{groups, permissions};

pub struct UntagLogGroup;

impl WriteAction for UntagLogGroup {
    type Op = api::ops::UntagLogGroup;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.log_group_name.as_deref().unwrap_or_default();
        let keys = input.tags.clone().unwrap_or_default();
        let demand = permissions::on_tags(call, view, "logs:UntagLogGroup", name);
        demand.with_all("aws:TagKeys", keys).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let key = groups::find(tx, call, &input.log_group_name.unwrap_or_default())?.key.clone();
        let gone = input.tags.unwrap_or_default();
        tx.edit::<LogGroup>(&key, |group| group.tags.retain(|key, _| !gone.contains(key)));
        Ok(api::UntagLogGroupResponse {})
    }
}
