//! GetRole.

use crate::actions::prelude::*;
use crate::rows::role::Role;

pub struct GetRole;

impl ReadAction for GetRole {
    type Op = api::ops::GetRole;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_bounded::<Role>(view, call, "iam:GetRole", text(&input.role_name)).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let row = find::<Role>(view, call.account(), text(&input.role_name))?;
        Ok(api::GetRoleResponse { role: Some(views::described_role(row)) })
    }
}
