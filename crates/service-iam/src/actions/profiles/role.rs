//! AddRoleToInstanceProfile and RemoveRoleFromInstanceProfile.

use crate::actions::prelude::*;
use crate::rows::instance_profile::InstanceProfile;
use crate::rows::role::Role;

pub struct AddRoleToInstanceProfile;

impl WriteAction for AddRoleToInstanceProfile {
    type Op = api::ops::AddRoleToInstanceProfile;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let profile = text(&input.instance_profile_name);
        // AWS: handing a role to hosts also asks for leave to pass that role to EC2.
        vec![
            demand_tagged::<InstanceProfile>(view, call, "iam:AddRoleToInstanceProfile", profile),
            demand_tagged::<Role>(view, call, "iam:PassRole", text(&input.role_name))
                .with("iam:PassedToService", "ec2.amazonaws.com"),
        ]
        .into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let account = call.account();
        let profile = text(&input.instance_profile_name);
        let mut row = find::<InstanceProfile>(tx, account, profile)?.clone();
        let role = find_own::<Role>(tx, account, text(&input.role_name))?;
        if row.role.is_some() {
            return Err(entities::exceeded("InstanceSessionsPerInstanceProfile", 1));
        }
        row.role = Some(fold(&role.head.name));
        tx.put(row);
        Ok(api::AddRoleToInstanceProfileResponse {})
    }
}

pub struct RemoveRoleFromInstanceProfile;

impl WriteAction for RemoveRoleFromInstanceProfile {
    type Op = api::ops::RemoveRoleFromInstanceProfile;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        const ACTION: &str = "iam:RemoveRoleFromInstanceProfile";
        let profile = text(&input.instance_profile_name);
        demand_tagged::<InstanceProfile>(view, call, ACTION, profile).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let account = call.account();
        let (profile, role) = (text(&input.instance_profile_name), text(&input.role_name));
        let mut row = find::<InstanceProfile>(tx, account, profile)?.clone();
        if row.role != Some(fold(role)) {
            return Err(entities::missing::<Role>(role));
        }
        row.role = None;
        tx.put(row);
        Ok(api::RemoveRoleFromInstanceProfileResponse {})
    }
}
