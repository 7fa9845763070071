//! DeleteRole, with its refusals.

use crate::actions::prelude::*;
use crate::rows::instance_profile::ProfilesOf;
use crate::rows::role::Role;

pub struct DeleteRole;

impl WriteAction for DeleteRole {
    type Op = api::ops::DeleteRole;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_bounded::<Role>(view, call, "iam:DeleteRole", text(&input.role_name)).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let row = find_own::<Role>(tx, call.account(), text(&input.role_name))?;
        let key = key_of(call.account(), &row.head.name);
        if tx.by::<ProfilesOf>(&key).next().is_some() {
            return Err(entities::conflict("remove roles from instance profile"));
        }
        if let Some(left) = entities::policies_left(row) {
            return Err(entities::conflict(left));
        }
        tx.delete::<Role>(&key);
        Ok(api::DeleteRoleResponse {})
    }
}
