//! AddUserToGroup and RemoveUserFromGroup. Both may be repeated without harm.

use crate::actions::prelude::*;
use crate::rows::group::Group;
use crate::rows::user::User;

pub struct AddUserToGroup;

/// AWS: groups a user may be in.
pub const QUOTA: usize = 10;

impl WriteAction for AddUserToGroup {
    type Op = api::ops::AddUserToGroup;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand::<Group>(view, call, "iam:AddUserToGroup", text(&input.group_name)).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let account = call.account();
        let group = fold(&find::<Group>(tx, account, text(&input.group_name))?.head.name);
        let mut user = find::<User>(tx, account, text(&input.user_name))?.clone();
        if user.groups.insert(group) && user.groups.len() > QUOTA {
            return Err(entities::exceeded("GroupsPerUser", QUOTA));
        }
        tx.put(user);
        Ok(api::AddUserToGroupResponse {})
    }
}

pub struct RemoveUserFromGroup;

impl WriteAction for RemoveUserFromGroup {
    type Op = api::ops::RemoveUserFromGroup;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand::<Group>(view, call, "iam:RemoveUserFromGroup", text(&input.group_name)).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let account = call.account();
        let group = fold(&find::<Group>(tx, account, text(&input.group_name))?.head.name);
        let mut user = find::<User>(tx, account, text(&input.user_name))?.clone();
        user.groups.remove(&group);
        tx.put(user);
        Ok(api::RemoveUserFromGroupResponse {})
    }
}
