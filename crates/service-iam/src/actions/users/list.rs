//! ListUsers.

use crate::actions::prelude::*;
use crate::rows::user::User;

pub struct ListUsers;

impl ReadAction for ListUsers {
    type Op = api::ops::ListUsers;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let path = input.path_prefix.as_deref().unwrap_or("/");
        Demand::on("iam:ListUsers", names::arn(call.account(), User::KIND, path, "")).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let marker = input.marker.as_deref();
        let asked = Asked { list: "ListUsers", marker, max_items: input.max_items };
        let page = asked.rows::<User>(view, call.account(), input.path_prefix.as_deref())?;
        let Page { items, marker, is_truncated } = page.map(views::listed_user);
        Ok(api::ListUsersResponse { users: Some(items), marker, is_truncated })
    }
}
