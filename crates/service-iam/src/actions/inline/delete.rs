//! DeleteUserPolicy, DeleteGroupPolicy, DeleteRolePolicy.

use crate::actions::prelude::*;
use crate::rows::group::Group;
use crate::rows::role::Role;
use crate::rows::user::User;

fn delete<R: Holder>(
    tx: &mut Tx<'_>,
    call: &Call,
    name: &str,
    policy: &str,
) -> Result<(), ApiError> {
    let mut row = find_own::<R>(tx, call.account(), name)?.clone();
    if row.held_mut().inline.remove(policy).is_none() {
        let text = format!("The {} policy with name {policy} cannot be found.", R::KIND);
        return Err(errors::no_such_entity_exception(text));
    }
    tx.put(row);
    Ok(())
}

macro_rules! delete_policy {
    ($action:ident, $answer:ident, $iam:literal, $row:ty, $name:ident) => {
        pub struct $action;

        impl WriteAction for $action {
            type Op = api::ops::$action;

            fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
                demand_bounded::<$row>(view, call, $iam, text(&input.$name)).into()
            }

            fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
                delete::<$row>(tx, call, text(&input.$name), text(&input.policy_name))?;
                Ok(api::$answer {})
            }
        }
    };
}

delete_policy!(DeleteUserPolicy, DeleteUserPolicyResponse, "iam:DeleteUserPolicy", User, user_name);
delete_policy!(
    DeleteGroupPolicy,
    DeleteGroupPolicyResponse,
    "iam:DeleteGroupPolicy",
    Group,
    group_name
);
delete_policy!(DeleteRolePolicy, DeleteRolePolicyResponse, "iam:DeleteRolePolicy", Role, role_name);
