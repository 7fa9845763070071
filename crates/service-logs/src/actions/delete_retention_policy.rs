//! DeleteRetentionPolicy: lines never expire.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_logs as api;

use crate::rows::group::LogGroup;
use crate::rules::{groups, permissions};

pub struct DeleteRetentionPolicy;

impl WriteAction for DeleteRetentionPolicy {
    type Op = api::ops::DeleteRetentionPolicy;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.log_group_name.as_deref().unwrap_or_default();
        permissions::on_group(call, view, "logs:DeleteRetentionPolicy", name).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let group = groups::find(tx, call, &input.log_group_name.unwrap_or_default())?;
        groups::check_retention_may_change(group)?;
        let key = group.key.clone();
        tx.edit::<LogGroup>(&key, |group| group.retention_days = None);
        Ok(api::DeleteRetentionPolicyResponse {})
    }
}
