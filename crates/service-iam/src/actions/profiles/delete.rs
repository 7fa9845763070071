//! DeleteInstanceProfile.

use crate::actions::prelude::*;
use crate::rows::instance_profile::InstanceProfile;

pub struct DeleteInstanceProfile;

impl WriteAction for DeleteInstanceProfile {
    type Op = api::ops::DeleteInstanceProfile;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = text(&input.instance_profile_name);
        demand_tagged::<InstanceProfile>(view, call, "iam:DeleteInstanceProfile", name).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (account, name) = (call.account(), text(&input.instance_profile_name));
        let row = find::<InstanceProfile>(tx, account, name)?;
        if row.role.is_some() {
            return Err(entities::conflict("remove roles from instance profile"));
        }
        tx.delete::<InstanceProfile>(&key_of(account, name));
        Ok(api::DeleteInstanceProfileResponse {})
    }
}
