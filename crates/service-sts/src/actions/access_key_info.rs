//! GetAccessKeyInfo: the account of an access key, read from the id itself.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_sts as api;
use service_iam::ops;

pub struct GetAccessKeyInfo;

impl ReadAction for GetAccessKeyInfo {
    type Op = api::ops::GetAccessKeyInfo;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("sts:GetAccessKeyInfo").into()
    }

    fn run(
        _: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let id = input.access_key_id.as_deref().unwrap_or_default();
        match ops::account_of_key(view, id) {
            Some(account) => {
                Ok(api::GetAccessKeyInfoResponse { account: Some(account.to_string()) })
            }
            None => Err(ApiError::validation(format!("Access key {id} is not valid."))),
        }
    }
}
