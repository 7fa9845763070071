//! ListEntitiesForPolicy: which users, groups and roles a policy is attached to or bounds.

use crate::actions::prelude::*;
use crate::rows::entity::{ByAttached, ByBoundary};
use crate::rows::group::Group;
use crate::rows::policy::Policy;
use crate::rows::role::Role;
use crate::rows::user::User;
use crate::rules::lists::under;

pub struct ListEntitiesForPolicy;

/// One entity of any kind, with its place in the list.
enum Held<'s> {
    Group(&'s Group),
    Role(&'s Role),
    User(&'s User),
}

impl ReadAction for ListEntitiesForPolicy {
    type Op = api::ops::ListEntitiesForPolicy;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<Policy>(view, call, "iam:ListEntitiesForPolicy", text(&input.policy_arn))
            .into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (account, arn) = (call.account(), text(&input.policy_arn));
        policies::find(view, account, arn)?;
        let key: Key = (account, arn.into());
        let kind = input.entity_filter.as_ref().map(|kind| kind.as_str());
        let wanted = |name: &str| kind.is_none_or(|kind| kind == name);
        let usage = input.policy_usage_filter.as_ref().map(|usage| usage.as_str());
        let attached = usage != Some("PermissionsBoundary");
        let bounded = usage != Some("PermissionsPolicy");
        let mut all = Vec::new();
        if wanted("Group") && attached {
            all.extend(view.by::<ByAttached<Group>>(&key).map(Held::Group));
        }
        if wanted("Role") {
            all.extend(holders::<Role>(view, &key, attached, bounded).map(Held::Role));
        }
        if wanted("User") {
            all.extend(holders::<User>(view, &key, attached, bounded).map(Held::User));
        }
        all.retain(|one| under(&one.head().path, input.path_prefix.as_deref()));
        all.sort_by_key(Held::cursor);
        all.dedup_by_key(|one| one.cursor());
        let asked = Asked {
            list: "ListEntitiesForPolicy",
            marker: input.marker.as_deref(),
            max_items: input.max_items,
        };
        let Page { items, marker, is_truncated } = asked.page(all, Held::cursor)?;
        let mut answer = api::ListEntitiesForPolicyResponse {
            policy_groups: Some(Vec::new()),
            policy_roles: Some(Vec::new()),
            policy_users: Some(Vec::new()),
            marker,
            is_truncated,
        };
        for one in &items {
            one.add_to(&mut answer);
        }
        Ok(answer)
    }
}

fn holders<'s, R: Holder>(
    view: &View<'s>,
    key: &Key,
    attached: bool,
    bounded: bool,
) -> impl Iterator<Item = &'s R> {
    let state = view.state();
    let attached = attached.then(|| state.by::<ByAttached<R>>(key));
    let bounded = bounded.then(|| state.by::<ByBoundary<R>>(key));
    attached.into_iter().flatten().chain(bounded.into_iter().flatten())
}

impl Held<'_> {
    fn head(&self) -> &crate::rows::entity::Head {
        match self {
            Held::Group(row) => &row.head,
            Held::Role(row) => &row.head,
            Held::User(row) => &row.head,
        }
    }

    fn cursor(&self) -> String {
        let kind = match self {
            Held::Group(_) => "group",
            Held::Role(_) => "role",
            Held::User(_) => "user",
        };
        format!("{kind}/{}", fold(&self.head().name))
    }

    fn add_to(&self, answer: &mut api::ListEntitiesForPolicyResponse) {
        let (name, id) = (Some(self.head().name.to_string()), Some(self.head().id.to_string()));
        match self {
            Held::Group(_) => answer
                .policy_groups
                .get_or_insert_default()
                .push(api::PolicyGroup { group_name: name, group_id: id }),
            Held::Role(_) => answer
                .policy_roles
                .get_or_insert_default()
                .push(api::PolicyRole { role_name: name, role_id: id }),
            Held::User(_) => answer
                .policy_users
                .get_or_insert_default()
                .push(api::PolicyUser { user_name: name, user_id: id }),
        }
    }
}
