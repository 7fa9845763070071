//! AssociateKmsKey. The key is kept and told; what is encrypted is the disk's matter.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_logs as api;

use crate::rows::group::LogGroup;
use crate::rules::{groups, permissions};

pub struct AssociateKmsKey;

impl WriteAction for AssociateKmsKey {
    type Op = api::ops::AssociateKmsKey;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name =
            groups::given(input.log_group_name.as_deref(), input.resource_identifier.as_deref());
        permissions::on_group(call, view, "logs:AssociateKmsKey", name).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let (name, identifier) =
            (input.log_group_name.as_deref(), input.resource_identifier.as_deref());
        // AWS: the identifier may also be that of query results, which are not offered.
        let key = groups::one_of(tx, call, name, identifier)?.key.clone();
        tx.edit::<LogGroup>(&key, |group| group.kms_key_id = input.kms_key_id);
        Ok(api::AssociateKmsKeyResponse {})
    }
}
