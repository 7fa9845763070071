//! PutUserPolicy, PutGroupPolicy, PutRolePolicy.

use crate::actions::prelude::*;
use crate::rows::document::Document;
use crate::rows::group::Group;
use crate::rows::role::Role;
use crate::rows::user::User;

fn put<R: Holder>(
    tx: &mut Tx<'_>,
    call: &Call,
    name: &str,
    policy: &str,
    document: &str,
) -> Result<(), ApiError> {
    let mut row = find_own::<R>(tx, call.account(), name)?.clone();
    let document = Document::parse(document).map_err(policies::malformed)?;
    row.held_mut().inline.insert(policy.into(), document);
    // AWS: the quota is on all embedded policies of the entity together.
    let size: usize = row.held().inline.values().map(|d| d.policy().quota_size()).sum();
    if size > R::INLINE_QUOTA {
        return Err(errors::limit_exceeded_exception(format!(
            "Maximum policy size of {} bytes exceeded for {} {}",
            R::INLINE_QUOTA,
            R::KIND,
            row.head().name
        )));
    }
    tx.put(row);
    Ok(())
}

macro_rules! put_policy {
    ($action:ident, $answer:ident, $iam:literal, $row:ty, $name:ident) => {
        pub struct $action;

        impl WriteAction for $action {
            type Op = api::ops::$action;

            fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
                demand_bounded::<$row>(view, call, $iam, text(&input.$name)).into()
            }

            fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
                let (policy, document) = (text(&input.policy_name), text(&input.policy_document));
                put::<$row>(tx, call, text(&input.$name), policy, document)?;
                Ok(api::$answer {})
            }
        }
    };
}

put_policy!(PutUserPolicy, PutUserPolicyResponse, "iam:PutUserPolicy", User, user_name);
put_policy!(PutGroupPolicy, PutGroupPolicyResponse, "iam:PutGroupPolicy", Group, group_name);
put_policy!(PutRolePolicy, PutRolePolicyResponse, "iam:PutRolePolicy", Role, role_name);
