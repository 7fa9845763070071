//! DeleteLogGroup. Its streams and lines go with it, a moment later.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_logs::{self as api, errors};

use crate::rows::group::LogGroup;
use crate::rules::{groups, permissions};

pub struct DeleteLogGroup;

impl WriteAction for DeleteLogGroup {
    type Op = api::ops::DeleteLogGroup;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.log_group_name.as_deref().unwrap_or_default();
        permissions::on_group(call, view, "logs:DeleteLogGroup", name).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let name = input.log_group_name.unwrap_or_default();
        let group = groups::find(tx, call, &name)?;
        if group.deletion_protected {
            return Err(errors::validation_exception(
                "The log group has deletion protection enabled and cannot be deleted. Disable \
                 deletion protection first.",
            ));
        }
        let key = group.key.clone();
        tx.delete::<LogGroup>(&key);
        Ok(api::DeleteLogGroupResponse {})
    }
}
