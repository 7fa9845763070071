//! DeleteGroup, with its refusals.

use crate::actions::prelude::*;
use crate::rows::group::Group;
use crate::rows::user::MembersOf;

pub struct DeleteGroup;

impl WriteAction for DeleteGroup {
    type Op = api::ops::DeleteGroup;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand::<Group>(view, call, "iam:DeleteGroup", text(&input.group_name)).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let row = find::<Group>(tx, call.account(), text(&input.group_name))?;
        let key = key_of(call.account(), &row.head.name);
        if tx.by::<MembersOf>(&key).next().is_some() {
            return Err(entities::conflict("remove users from group"));
        }
        if let Some(left) = entities::policies_left(row) {
            return Err(entities::conflict(left));
        }
        tx.delete::<Group>(&key);
        Ok(api::DeleteGroupResponse {})
    }
}
