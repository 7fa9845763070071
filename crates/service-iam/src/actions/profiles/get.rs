//! GetInstanceProfile.

use crate::actions::prelude::*;
use crate::rows::instance_profile::InstanceProfile;

pub struct GetInstanceProfile;

impl ReadAction for GetInstanceProfile {
    type Op = api::ops::GetInstanceProfile;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = text(&input.instance_profile_name);
        demand_tagged::<InstanceProfile>(view, call, "iam:GetInstanceProfile", name).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let name = text(&input.instance_profile_name);
        let row = find::<InstanceProfile>(view, call.account(), name)?;
        Ok(api::GetInstanceProfileResponse { instance_profile: Some(views::profile(view, row)) })
    }
}
