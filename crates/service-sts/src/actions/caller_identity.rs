//! GetCallerIdentity.

use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_sts as api;

pub struct GetCallerIdentity;

impl ReadAction for GetCallerIdentity {
    type Op = api::ops::GetCallerIdentity;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demands::Nothing { because: "AWS answers this even to those who are denied it" }
    }

    fn run(
        call: &Call,
        _: &View<'_>,
        _: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, aws_protocol::ApiError> {
        Ok(api::GetCallerIdentityResponse {
            account: Some(call.account().to_string()),
            arn: Some(call.caller.arn.to_string()),
            user_id: Some(call.caller.user_id.to_string()),
        })
    }
}
