//! PutLogGroupDeletionProtection.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_logs as api;

use crate::rows::group::LogGroup;
use crate::rules::{groups, permissions};

pub struct PutLogGroupDeletionProtection;

impl WriteAction for PutLogGroupDeletionProtection {
    type Op = api::ops::PutLogGroupDeletionProtection;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.log_group_identifier.as_deref().unwrap_or_default();
        permissions::on_group(call, view, "logs:PutLogGroupDeletionProtection", name).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let identifier = input.log_group_identifier.unwrap_or_default();
        let key = groups::identified(tx, call, &identifier)?.key.clone();
        let protected = input.deletion_protection_enabled.unwrap_or_default();
        tx.edit::<LogGroup>(&key, |group| group.deletion_protected = protected);
        Ok(api::PutLogGroupDeletionProtectionResponse {})
    }
}
