//! GetUserPolicy, GetGroupPolicy, GetRolePolicy.

use crate::actions::prelude::*;
use crate::rows::group::Group;
use crate::rows::role::Role;
use crate::rows::user::User;

/// The name of the holder as it is kept, and the document as it is shown.
fn get<R: Holder>(
    view: &View<'_>,
    call: &Call,
    name: &str,
    policy: &str,
) -> Result<(String, String), ApiError> {
    let row = find::<R>(view, call.account(), name)?;
    let document = row.held().inline.get(policy).ok_or_else(|| {
        let text = format!("The {} policy with name {policy} cannot be found.", R::KIND);
        errors::no_such_entity_exception(text)
    })?;
    Ok((row.head().name.to_string(), views::document(document.text())))
}

macro_rules! get_policy {
    ($action:ident, $answer:ident, $iam:literal, $row:ty, $name:ident) => {
        pub struct $action;

        impl ReadAction for $action {
            type Op = api::ops::$action;

            fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
                demand::<$row>(view, call, $iam, text(&input.$name)).into()
            }

            fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
                let policy = text(&input.policy_name);
                let (name, document) = get::<$row>(view, call, text(&input.$name), policy)?;
                Ok(api::$answer {
                    $name: Some(name),
                    policy_name: Some(policy.to_owned()),
                    policy_document: Some(document),
                })
            }
        }
    };
}

get_policy!(GetUserPolicy, GetUserPolicyResponse, "iam:GetUserPolicy", User, user_name);
get_policy!(GetGroupPolicy, GetGroupPolicyResponse, "iam:GetGroupPolicy", Group, group_name);
get_policy!(GetRolePolicy, GetRolePolicyResponse, "iam:GetRolePolicy", Role, role_name);
