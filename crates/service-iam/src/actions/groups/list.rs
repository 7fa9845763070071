//! ListGroups, and ListGroupsForUser.

use crate::actions::prelude::*;
use crate::rows::group::Group;
use crate::rows::user::User;

pub struct ListGroups;

impl ReadAction for ListGroups {
    type Op = api::ops::ListGroups;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let path = input.path_prefix.as_deref().unwrap_or("/");
        Demand::on("iam:ListGroups", names::arn(call.account(), Group::KIND, path, "")).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let marker = input.marker.as_deref();
        let asked = Asked { list: "ListGroups", marker, max_items: input.max_items };
        let page = asked.rows::<Group>(view, call.account(), input.path_prefix.as_deref())?;
        let Page { items, marker, is_truncated } = page.map(views::group);
        Ok(api::ListGroupsResponse { groups: Some(items), marker, is_truncated })
    }
}

pub struct ListGroupsForUser;

impl ReadAction for ListGroupsForUser {
    type Op = api::ops::ListGroupsForUser;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<User>(view, call, "iam:ListGroupsForUser", text(&input.user_name)).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let account = call.account();
        let user = find::<User>(view, account, text(&input.user_name))?;
        let marker = input.marker.as_deref();
        let asked = Asked { list: "ListGroupsForUser", marker, max_items: input.max_items };
        let groups = user.groups.iter();
        let groups = groups.filter_map(|name| view.get::<Group>(&(account, name.clone())));
        let page = asked.page(groups, |group| fold(&group.head.name).to_string())?;
        let Page { items, marker, is_truncated } = page.map(views::group);
        Ok(api::ListGroupsForUserResponse { groups: Some(items), marker, is_truncated })
    }
}
