//! PutRolePermissionsBoundary and DeleteRolePermissionsBoundary.

use crate::actions::prelude::*;
use crate::rows::role::Role;

pub struct PutRolePermissionsBoundary;

impl WriteAction for PutRolePermissionsBoundary {
    type Op = api::ops::PutRolePermissionsBoundary;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand::<Role>(view, call, "iam:PutRolePermissionsBoundary", text(&input.role_name))
            .with("iam:PermissionsBoundary", text(&input.permissions_boundary))
            .into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (account, arn) = (call.account(), text(&input.permissions_boundary));
        let mut row = find_own::<Role>(tx, account, text(&input.role_name))?.clone();
        policies::check_boundary(tx, account, arn)?;
        row.boundary = Some(arn.into());
        tx.put(row);
        Ok(api::PutRolePermissionsBoundaryResponse {})
    }
}

pub struct DeleteRolePermissionsBoundary;

impl WriteAction for DeleteRolePermissionsBoundary {
    type Op = api::ops::DeleteRolePermissionsBoundary;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = text(&input.role_name);
        demand_bounded::<Role>(view, call, "iam:DeleteRolePermissionsBoundary", name).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let mut row = find_own::<Role>(tx, call.account(), text(&input.role_name))?.clone();
        row.boundary = None;
        tx.put(row);
        Ok(api::DeleteRolePermissionsBoundaryResponse {})
    }
}
