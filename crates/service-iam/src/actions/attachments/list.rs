//! ListAttachedUserPolicies, ListAttachedGroupPolicies, ListAttachedRolePolicies.

use crate::actions::prelude::*;
use crate::rows::group::Group;
use crate::rows::role::Role;
use crate::rows::user::User;
use crate::rules::lists::under;

fn attached<R: Holder>(
    view: &View<'_>,
    call: &Call,
    name: &str,
    asked: Asked<'_>,
    path_prefix: Option<&str>,
) -> Result<Page<api::AttachedPolicy>, ApiError> {
    let account = call.account();
    let row = find::<R>(view, account, name)?;
    let mut all: Vec<(String, api::AttachedPolicy)> = Vec::new();
    for arn in &row.held().attached {
        let Some(found) = policies::lookup(view, account, arn) else { continue };
        if under(found.path(), path_prefix) {
            // A name may be there twice: the customer's and AWS's.
            let cursor =
                format!("{}/{}", fold(found.name()), matches!(found, policies::Found::Aws(_)));
            all.push((cursor, views::attached_policy(arn, found.name())));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(asked.page(all, |(cursor, _)| cursor.clone())?.map(|(_, policy)| policy))
}

macro_rules! list_attached {
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
                let prefix = input.path_prefix.as_deref();
                let page = attached::<$row>(view, call, text(&input.$name), asked, prefix)?;
                let Page { items, marker, is_truncated } = page;
                Ok(api::$answer { attached_policies: Some(items), marker, is_truncated })
            }
        }
    };
}

list_attached!(
    ListAttachedUserPolicies,
    ListAttachedUserPoliciesResponse,
    "iam:ListAttachedUserPolicies",
    User,
    user_name
);
list_attached!(
    ListAttachedGroupPolicies,
    ListAttachedGroupPoliciesResponse,
    "iam:ListAttachedGroupPolicies",
    Group,
    group_name
);
list_attached!(
    ListAttachedRolePolicies,
    ListAttachedRolePoliciesResponse,
    "iam:ListAttachedRolePolicies",
    Role,
    role_name
);
