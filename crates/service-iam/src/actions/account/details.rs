//! GetAccountAuthorizationDetails: users, groups, roles and policies with all that they may do.

use crate::actions::prelude::*;
use crate::rows::entity::Held;
use crate::rows::group::Group;
use crate::rows::instance_profile::ProfilesOf;
use crate::rows::policy::Policy;
use crate::rows::role::Role;
use crate::rows::user::User;
use crate::rules::builtin::{self, Builtin};
use crate::rules::lists::of_account;
use crate::rules::policies::Found;

pub struct GetAccountAuthorizationDetails;

/// One entry, with its kind in the order of the list.
enum Entry<'s> {
    User(&'s User),
    Group(&'s Group),
    Role(&'s Role),
    Local(&'s Policy),
    Aws(&'static Builtin),
}

impl Entry<'_> {
    fn cursor(&self) -> String {
        match self {
            Entry::User(row) => format!("1{}", fold(&row.head.name)),
            Entry::Group(row) => format!("2{}", fold(&row.head.name)),
            Entry::Role(row) => format!("3{}", fold(&row.head.name)),
            Entry::Local(row) => format!("4{}", fold(&row.head.name)),
            Entry::Aws(builtin) => format!("5{}", fold(builtin.about.name)),
        }
    }
}

impl ReadAction for GetAccountAuthorizationDetails {
    type Op = api::ops::GetAccountAuthorizationDetails;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:GetAccountAuthorizationDetails").into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (state, account) = (view.state(), call.account());
        let filter = input.filter.as_deref().unwrap_or_default();
        let wanted = |kind: &str| filter.is_empty() || filter.iter().any(|f| f.as_str() == kind);
        let mut all: Vec<Entry<'_>> = Vec::new();
        if wanted("User") {
            all.extend(of_account::<User>(state, account, "").map(Entry::User));
        }
        if wanted("Group") {
            all.extend(of_account::<Group>(state, account, "").map(Entry::Group));
        }
        if wanted("Role") {
            all.extend(of_account::<Role>(state, account, "").map(Entry::Role));
        }
        if wanted("LocalManagedPolicy") {
            all.extend(of_account::<Policy>(state, account, "").map(Entry::Local));
        }
        if wanted("AWSManagedPolicy") {
            // AWS: of its own policies those that are in use.
            let used = |builtin: &&Builtin| policies::uses(state, account, &builtin.arn) != (0, 0);
            all.extend(builtin::all().filter(used).map(Entry::Aws));
        }
        all.sort_by_cached_key(Entry::cursor);
        let marker = input.marker.as_deref();
        let list = "GetAccountAuthorizationDetails";
        let asked = Asked { list, marker, max_items: input.max_items };
        let Page { items, marker, is_truncated } = asked.page(all, Entry::cursor)?;
        let mut answer = api::GetAccountAuthorizationDetailsResponse {
            user_detail_list: Some(Vec::new()),
            group_detail_list: Some(Vec::new()),
            role_detail_list: Some(Vec::new()),
            policies: Some(Vec::new()),
            marker,
            is_truncated,
        };
        for entry in items {
            match entry {
                Entry::User(row) => {
                    answer.user_detail_list.get_or_insert_default().push(user(view, row));
                }
                Entry::Group(row) => {
                    answer.group_detail_list.get_or_insert_default().push(group(view, row));
                }
                Entry::Role(row) => {
                    answer.role_detail_list.get_or_insert_default().push(role(view, row));
                }
                Entry::Local(row) => {
                    let versions = row.versions.iter().rev().map(|v| views::version(row, v));
                    let shown = policy(view, call, Found::Customer(row), versions.collect());
                    answer.policies.get_or_insert_default().push(shown);
                }
                Entry::Aws(builtin) => {
                    let version = api::PolicyVersion {
                        document: Some(views::document(builtin.policy.text())),
                        ..views::builtin_version(builtin)
                    };
                    let shown = policy(view, call, Found::Aws(builtin), vec![version]);
                    answer.policies.get_or_insert_default().push(shown);
                }
            }
        }
        Ok(answer)
    }
}

fn embedded(held: &Held) -> Option<Vec<api::PolicyDetail>> {
    let detail = |(name, document): (&std::sync::Arc<str>, &crate::rows::document::Document<_>)| {
        api::PolicyDetail {
            policy_name: Some(name.to_string()),
            policy_document: Some(views::document(document.text())),
        }
    };
    Some(held.inline.iter().map(detail).collect())
}

fn attached<R: Holder>(view: &View<'_>, row: &R) -> Option<Vec<api::AttachedPolicy>> {
    let account = row.head().account;
    let found = row.held().attached.iter().filter_map(|arn| {
        let found = policies::lookup(view, account, arn)?;
        Some(views::attached_policy(arn, found.name()))
    });
    Some(found.collect())
}

fn user(view: &View<'_>, row: &User) -> api::UserDetail {
    let groups = row.groups.iter();
    let groups = groups.filter_map(|name| view.get::<Group>(&(row.head.account, name.clone())));
    api::UserDetail {
        arn: Some(row.arn()),
        attached_managed_policies: attached(view, row),
        create_date: Some(views::time(row.head.created_at)),
        group_list: Some(groups.map(|group| group.head.name.to_string()).collect()),
        path: Some(row.head.path.to_string()),
        permissions_boundary: views::boundary(row.boundary.as_deref()),
        tags: Some(tags::shown(&row.tags)),
        user_id: Some(row.head.id.to_string()),
        user_name: Some(row.head.name.to_string()),
        user_policy_list: Some(embedded(&row.held).unwrap_or_default()).filter(|p| !p.is_empty()),
    }
}

fn group(view: &View<'_>, row: &Group) -> api::GroupDetail {
    api::GroupDetail {
        arn: Some(row.arn()),
        attached_managed_policies: attached(view, row),
        create_date: Some(views::time(row.head.created_at)),
        group_id: Some(row.head.id.to_string()),
        group_name: Some(row.head.name.to_string()),
        group_policy_list: embedded(&row.held),
        path: Some(row.head.path.to_string()),
    }
}

fn role(view: &View<'_>, row: &Role) -> api::RoleDetail {
    let profiles = view.by::<ProfilesOf>(&key_of(row.head.account, &row.head.name));
    api::RoleDetail {
        arn: Some(row.arn()),
        assume_role_policy_document: Some(views::document(row.trust.text())),
        attached_managed_policies: attached(view, row),
        create_date: Some(views::time(row.head.created_at)),
        instance_profile_list: Some(profiles.map(|p| views::listed_profile(view, p)).collect()),
        path: Some(row.head.path.to_string()),
        permissions_boundary: views::boundary(row.boundary.as_deref()),
        role_id: Some(row.head.id.to_string()),
        role_last_used: Some(views::role_last_used(row)),
        role_name: Some(row.head.name.to_string()),
        role_policy_list: embedded(&row.held),
        tags: Some(tags::shown(&row.tags)),
    }
}

fn policy(
    view: &View<'_>,
    call: &Call,
    found: Found<'_>,
    versions: Vec<api::PolicyVersion>,
) -> api::ManagedPolicyDetail {
    let shown = views::policy(view, call.account(), found);
    api::ManagedPolicyDetail {
        arn: shown.arn,
        attachment_count: shown.attachment_count,
        create_date: shown.create_date,
        default_version_id: shown.default_version_id,
        description: shown.description,
        is_attachable: shown.is_attachable,
        path: shown.path,
        permissions_boundary_usage_count: shown.permissions_boundary_usage_count,
        policy_id: shown.policy_id,
        policy_name: shown.policy_name,
        policy_version_list: Some(versions),
        update_date: shown.update_date,
    }
}
