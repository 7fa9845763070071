//! AttachUserPolicy, AttachGroupPolicy, AttachRolePolicy. Attaching twice is attaching once.

use crate::actions::prelude::*;
use crate::rows::group::Group;
use crate::rows::role::Role;
use crate::rows::user::User;

/// AWS: managed policies on one user, group or role.
pub const QUOTA: usize = 10;

fn attach<R: Holder>(tx: &mut Tx<'_>, call: &Call, name: &str, arn: &str) -> Result<(), ApiError> {
    let account = call.account();
    let mut row = find_own::<R>(tx, account, name)?.clone();
    let found = policies::find_attachable(tx, account, arn)?;
    if found.path().starts_with("/aws-service-role/") {
        // AWS: policies of service-linked roles are for those alone.
        return Err(errors::policy_not_attachable_exception(
            "Cannot attach a Service Role Policy to a Customer Role.",
        ));
    }
    let held = row.held_mut();
    if held.attached.insert(arn.into()) && held.attached.len() > QUOTA {
        return Err(entities::exceeded(R::PLURAL, QUOTA));
    }
    tx.put(row);
    Ok(())
}

macro_rules! attach_policy {
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
                attach::<$row>(tx, call, text(&input.$name), text(&input.policy_arn))?;
                Ok(api::$answer {})
            }
        }
    };
}

attach_policy!(AttachUserPolicy, AttachUserPolicyResponse, "iam:AttachUserPolicy", User, user_name);
attach_policy!(
    AttachGroupPolicy,
    AttachGroupPolicyResponse,
    "iam:AttachGroupPolicy",
    Group,
    group_name
);
attach_policy!(AttachRolePolicy, AttachRolePolicyResponse, "iam:AttachRolePolicy", Role, role_name);
