//! PutUserPermissionsBoundary and DeleteUserPermissionsBoundary.

use crate::actions::prelude::*;
use crate::rows::user::User;

pub struct PutUserPermissionsBoundary;

impl WriteAction for PutUserPermissionsBoundary {
    type Op = api::ops::PutUserPermissionsBoundary;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand::<User>(view, call, "iam:PutUserPermissionsBoundary", text(&input.user_name))
            .with("iam:PermissionsBoundary", text(&input.permissions_boundary))
            .into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (account, arn) = (call.account(), text(&input.permissions_boundary));
        let mut row = find::<User>(tx, account, text(&input.user_name))?.clone();
        policies::check_boundary(tx, account, arn)?;
        row.boundary = Some(arn.into());
        tx.put(row);
        Ok(api::PutUserPermissionsBoundaryResponse {})
    }
}

pub struct DeleteUserPermissionsBoundary;

impl WriteAction for DeleteUserPermissionsBoundary {
    type Op = api::ops::DeleteUserPermissionsBoundary;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = text(&input.user_name);
        demand_bounded::<User>(view, call, "iam:DeleteUserPermissionsBoundary", name).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let mut row = find::<User>(tx, call.account(), text(&input.user_name))?.clone();
        row.boundary = None;
        tx.put(row);
        Ok(api::DeleteUserPermissionsBoundaryResponse {})
    }
}
