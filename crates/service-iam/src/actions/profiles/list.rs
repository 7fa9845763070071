//! ListInstanceProfiles and ListInstanceProfilesForRole.

use crate::actions::prelude::*;
use crate::rows::instance_profile::{InstanceProfile, ProfilesOf};
use crate::rows::role::Role;

pub struct ListInstanceProfiles;

impl ReadAction for ListInstanceProfiles {
    type Op = api::ops::ListInstanceProfiles;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let path = input.path_prefix.as_deref().unwrap_or("/");
        let arn = names::arn(call.account(), InstanceProfile::KIND, path, "");
        Demand::on("iam:ListInstanceProfiles", arn).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let marker = input.marker.as_deref();
        let asked = Asked { list: "ListInstanceProfiles", marker, max_items: input.max_items };
        let prefix = input.path_prefix.as_deref();
        let page = asked.rows::<InstanceProfile>(view, call.account(), prefix)?;
        let page = page.map(|row| views::listed_profile(view, row));
        let Page { items, marker, is_truncated } = page;
        let instance_profiles = Some(items);
        Ok(api::ListInstanceProfilesResponse { instance_profiles, marker, is_truncated })
    }
}

pub struct ListInstanceProfilesForRole;

impl ReadAction for ListInstanceProfilesForRole {
    type Op = api::ops::ListInstanceProfilesForRole;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = text(&input.role_name);
        demand_tagged::<Role>(view, call, "iam:ListInstanceProfilesForRole", name).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let role = find::<Role>(view, call.account(), text(&input.role_name))?;
        let asked = Asked {
            list: "ListInstanceProfilesForRole",
            marker: input.marker.as_deref(),
            max_items: input.max_items,
        };
        let rows = view.by::<ProfilesOf>(&key_of(call.account(), &role.head.name));
        let page = asked.page(rows, |row| fold(&row.head.name).to_string())?;
        let page = page.map(|row| views::listed_profile(view, row));
        let Page { items, marker, is_truncated } = page;
        let instance_profiles = Some(items);
        Ok(api::ListInstanceProfilesForRoleResponse { instance_profiles, marker, is_truncated })
    }
}
