//! ListUserPolicies, ListGroupPolicies, ListRolePolicies: names only.

use crate::actions::prelude::*;
use crate::rows::group::Group;
use crate::rows::role::Role;
use crate::rows::user::User;

fn list<R: Holder>(
    view: &View<'_>,
    call: &Call,
    name: &str,
    asked: Asked<'_>,
) -> Result<Page<String>, ApiError> {
    let row = find::<R>(view, call.account(), name)?;
    let names = row.held().inline.keys().map(|name| name.to_string());
    asked.page(names, String::clone)
}

macro_rules! list_policies {
    ($action:ident, $answer:ident, $iam:literal, $row:ty, $name:ident) => {
        pub struct $action;

        impl ReadAction for $action {
            type Op = api::ops::$action;

            fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
                demand::<$row>(view, call, $iam, text(&input.$name)).into()
            }

            fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
                let marker = input.marker.as_deref();
                let asked = Asked { list: $iam, marker, max_items: input.max_items };
                let Page { items, marker, is_truncated } =
                    list::<$row>(view, call, text(&input.$name), asked)?;
                Ok(api::$answer { policy_names: Some(items), marker, is_truncated })
            }
        }
    };
}

list_policies!(ListUserPolicies, ListUserPoliciesResponse, "iam:ListUserPolicies", User, user_name);
list_policies!(
    ListGroupPolicies,
    ListGroupPoliciesResponse,
    "iam:ListGroupPolicies",
    Group,
    group_name
);
list_policies!(ListRolePolicies, ListRolePoliciesResponse, "iam:ListRolePolicies", Role, role_name);
