//! ListRoles.

use crate::actions::prelude::*;
use crate::rows::role::Role;

pub struct ListRoles;

impl ReadAction for ListRoles {
    type Op = api::ops::ListRoles;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let path = input.path_prefix.as_deref().unwrap_or("/");
        Demand::on("iam:ListRoles", names::arn(call.account(), Role::KIND, path, "")).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let marker = input.marker.as_deref();
        let asked = Asked { list: "ListRoles", marker, max_items: input.max_items };
        let page = asked.rows::<Role>(view, call.account(), input.path_prefix.as_deref())?;
        let Page { items, marker, is_truncated } = page.map(views::listed_role);
        Ok(api::ListRolesResponse { roles: Some(items), marker, is_truncated })
    }
}
