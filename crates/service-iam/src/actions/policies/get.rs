//! GetPolicy.

use crate::actions::prelude::*;
use crate::rows::policy::Policy;

pub struct GetPolicy;

impl ReadAction for GetPolicy {
    type Op = api::ops::GetPolicy;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<Policy>(view, call, "iam:GetPolicy", text(&input.policy_arn)).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let found = policies::find(view, call.account(), text(&input.policy_arn))?;
        Ok(api::GetPolicyResponse { policy: Some(views::policy(view, call.account(), found)) })
    }
}
