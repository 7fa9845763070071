//! GetGroup: the group and a page of its members.

use crate::actions::prelude::*;
use crate::rows::group::Group;
use crate::rows::user::MembersOf;

pub struct GetGroup;

impl ReadAction for GetGroup {
    type Op = api::ops::GetGroup;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand::<Group>(view, call, "iam:GetGroup", text(&input.group_name)).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let row = find::<Group>(view, call.account(), text(&input.group_name))?;
        let marker = input.marker.as_deref();
        let asked = Asked { list: "GetGroup", marker, max_items: input.max_items };
        let members = view.by::<MembersOf>(&key_of(call.account(), &row.head.name));
        let page = asked.page(members, |user| fold(&user.head.name).to_string())?;
        let Page { items, marker, is_truncated } = page.map(views::listed_user);
        let group = Some(views::group(row));
        Ok(api::GetGroupResponse { group, users: Some(items), marker, is_truncated })
    }
}
