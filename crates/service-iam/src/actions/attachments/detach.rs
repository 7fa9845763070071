//! DetachUserPolicy, DetachGroupPolicy, DetachRolePolicy.

use crate::actions::prelude::*;
use crate::rows::group::Group;
use crate::rows::role::Role;
use crate::rows::user::User;

fn detach<R: Holder>(tx: &mut Tx<'_>, call: &Call, name: &str, arn: &str) -> Result<(), ApiError> {
    let mut row = find_own::<R>(tx, call.account(), name)?.clone();
    if !row.held_mut().attached.remove(arn) {
        let text = format!("Policy {arn} was not found.");
        return Err(errors::no_such_entity_exception(text));
    }
    tx.put(row);
    Ok(())
}

macro_rules! detach_policy {
    ($action:ident, $answer:ident, $iam:literal, $row:ty, $name:ident) => {
        pub struct $action;

        impl WriteAction for $action {
            type Op = api::ops::$action;

            fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
                demand_bounded::<$row>(view, call, $iam, text(&input.$name))
                    .with("iam:PolicyARN", text(&input.policy_arn))
                    .into()
            }

            fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
                detach::<$row>(tx, call, text(&input.$name), text(&input.policy_arn))?;
                Ok(api::$answer {})
            }
        }
    };
}

detach_policy!(DetachUserPolicy, DetachUserPolicyResponse, "iam:DetachUserPolicy", User, user_name);
detach_policy!(
    DetachGroupPolicy,
    DetachGroupPolicyResponse,
    "iam:DetachGroupPolicy",
    Group,
    group_name
);
detach_policy!(DetachRolePolicy, DetachRolePolicyResponse, "iam:DetachRolePolicy", Role, role_name);
