//! Rows as AWS shows them: the only place that knows both.

use aws_protocol::Timestamp;
use core_state::State;
use core_types::{AccountId, Time};
use model_iam as api;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::rows::access_key::AccessKey;
use crate::rows::entity::{Entity, Key};
use crate::rows::group::Group;
use crate::rows::instance_profile::InstanceProfile;
use crate::rows::policy::{Policy, Version};
use crate::rows::role::Role;
use crate::rows::user::User;
use crate::rules::policies::{self, Found};
use crate::rules::tags;

/// AWS: documents in answers are percent-encoded as RFC 3986 has it.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub fn document(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// AWS: IAM tells times in whole seconds.
pub fn time(time: Time) -> Timestamp {
    Timestamp::from_secs(time.seconds())
}

pub fn boundary(arn: Option<&str>) -> Option<api::AttachedPermissionsBoundary> {
    arn.map(|arn| api::AttachedPermissionsBoundary {
        permissions_boundary_arn: Some(arn.to_owned()),
        permissions_boundary_type: Some("Policy".into()),
    })
}

/// A user as lists show it: without boundary and tags.
pub fn listed_user(row: &User) -> api::User {
    api::User {
        arn: Some(row.arn()),
        create_date: Some(time(row.head.created_at)),
        path: Some(row.head.path.to_string()),
        user_id: Some(row.head.id.to_string()),
        user_name: Some(row.head.name.to_string()),
        ..api::User::default()
    }
}

pub fn user(row: &User) -> api::User {
    api::User {
        permissions_boundary: boundary(row.boundary.as_deref()),
        tags: shown_tags(&row.tags),
        ..listed_user(row)
    }
}

/// The root user, as GetUser shows it to itself.
pub fn root_user(account: AccountId, created_at: Time) -> api::User {
    api::User {
        arn: Some(format!("arn:aws:iam::{account}:root")),
        create_date: Some(time(created_at)),
        path: Some("/".to_owned()),
        user_id: Some(account.to_string()),
        ..api::User::default()
    }
}

/// Absent rather than empty where there are none.
pub fn shown_tags(row: &crate::rows::entity::Tags) -> Option<Vec<api::Tag>> {
    Some(tags::shown(row)).filter(|tags| !tags.is_empty())
}

pub fn group(row: &Group) -> api::Group {
    api::Group {
        arn: Some(row.arn()),
        create_date: Some(time(row.head.created_at)),
        group_id: Some(row.head.id.to_string()),
        group_name: Some(row.head.name.to_string()),
        path: Some(row.head.path.to_string()),
    }
}

/// A role as lists show it: without boundary, tags and last use.
pub fn listed_role(row: &Role) -> api::Role {
    api::Role {
        arn: Some(row.arn()),
        assume_role_policy_document: Some(document(row.trust.text())),
        create_date: Some(time(row.head.created_at)),
        description: row.description.as_deref().map(str::to_owned),
        max_session_duration: Some(row.max_session),
        path: Some(row.head.path.to_string()),
        role_id: Some(row.head.id.to_string()),
        role_name: Some(row.head.name.to_string()),
        ..api::Role::default()
    }
}

pub fn role(row: &Role) -> api::Role {
    api::Role {
        permissions_boundary: boundary(row.boundary.as_deref()),
        tags: shown_tags(&row.tags),
        ..listed_role(row)
    }
}

/// A role as GetRole shows it.
pub fn described_role(row: &Role) -> api::Role {
    api::Role { role_last_used: Some(role_last_used(row)), ..role(row) }
}

/// AWS: an empty structure where the role was never used.
pub fn role_last_used(row: &Role) -> api::RoleLastUsed {
    api::RoleLastUsed {
        last_used_date: row.last_used.as_ref().map(|last| time(last.at)),
        region: row.last_used.as_ref().map(|last| last.region.to_string()),
    }
}

/// An instance profile with its role, without tags.
pub fn listed_profile(state: &State, row: &InstanceProfile) -> api::InstanceProfile {
    let key: Option<Key> = row.role.clone().map(|role| (row.head.account, role));
    let role = key.and_then(|key| state.get::<Role>(&key));
    api::InstanceProfile {
        arn: Some(row.arn()),
        create_date: Some(time(row.head.created_at)),
        instance_profile_id: Some(row.head.id.to_string()),
        instance_profile_name: Some(row.head.name.to_string()),
        path: Some(row.head.path.to_string()),
        roles: Some(role.map(listed_role).into_iter().collect()),
        tags: None,
    }
}

pub fn profile(state: &State, row: &InstanceProfile) -> api::InstanceProfile {
    api::InstanceProfile { tags: Some(tags::shown(&row.tags)), ..listed_profile(state, row) }
}

fn number(count: usize) -> Option<i32> {
    i32::try_from(count).ok()
}

/// A managed policy as lists show it: without description and tags.
pub fn listed_policy(state: &State, account: AccountId, found: Found<'_>) -> api::Policy {
    match found {
        Found::Customer(row) => {
            let arn = row.arn();
            let (attached, bounded) = policies::uses(state, account, &arn);
            api::Policy {
                arn: Some(arn),
                attachment_count: number(attached),
                create_date: Some(time(row.head.created_at)),
                default_version_id: Some(format!("v{}", row.default)),
                is_attachable: Some(true),
                path: Some(row.head.path.to_string()),
                permissions_boundary_usage_count: number(bounded),
                policy_id: Some(row.head.id.to_string()),
                policy_name: Some(row.head.name.to_string()),
                update_date: Some(time(row.updated_at)),
                ..api::Policy::default()
            }
        }
        Found::Aws(builtin) => {
            let (attached, bounded) = policies::uses(state, account, &builtin.arn);
            let about = builtin.about;
            api::Policy {
                arn: Some(builtin.arn.clone()),
                attachment_count: number(attached),
                create_date: Timestamp::parse_iso8601(about.created),
                default_version_id: Some(format!("v{}", about.version)),
                is_attachable: Some(true),
                path: Some(about.path.to_owned()),
                permissions_boundary_usage_count: number(bounded),
                policy_id: Some(about.id()),
                policy_name: Some(about.name.to_owned()),
                update_date: Timestamp::parse_iso8601(about.updated),
                ..api::Policy::default()
            }
        }
    }
}

pub fn policy(state: &State, account: AccountId, found: Found<'_>) -> api::Policy {
    let (description, shown) = match found {
        Found::Customer(row) => (row.description.as_deref(), tags::shown(&row.tags)),
        Found::Aws(builtin) => (Some(builtin.about.description), Vec::new()),
    };
    api::Policy {
        description: description.map(str::to_owned),
        tags: Some(shown),
        ..listed_policy(state, account, found)
    }
}

/// A version without its document, as lists show it.
pub fn listed_version(row: &Policy, version: &Version) -> api::PolicyVersion {
    api::PolicyVersion {
        create_date: Some(time(version.created_at)),
        document: None,
        is_default_version: Some(version.number == row.default),
        version_id: Some(format!("v{}", version.number)),
    }
}

pub fn version(row: &Policy, version: &Version) -> api::PolicyVersion {
    api::PolicyVersion {
        document: Some(document(version.document.text())),
        ..listed_version(row, version)
    }
}

/// The one version that is kept of a policy of AWS's, without its document.
pub fn builtin_version(builtin: &crate::rules::builtin::Builtin) -> api::PolicyVersion {
    api::PolicyVersion {
        create_date: Timestamp::parse_iso8601(builtin.about.updated),
        document: None,
        is_default_version: Some(true),
        version_id: Some(format!("v{}", builtin.about.version)),
    }
}

pub fn status(active: bool) -> Option<api::StatusType> {
    Some(if active { api::StatusType::ACTIVE } else { api::StatusType::INACTIVE })
}

pub fn key_metadata(row: &AccessKey, user_name: Option<&str>) -> api::AccessKeyMetadata {
    api::AccessKeyMetadata {
        access_key_id: Some(row.id.to_string()),
        create_date: Some(time(row.created_at)),
        status: status(row.active),
        user_name: user_name.map(str::to_owned),
    }
}

pub fn attached_policy(arn: &str, name: &str) -> api::AttachedPolicy {
    api::AttachedPolicy { policy_arn: Some(arn.to_owned()), policy_name: Some(name.to_owned()) }
}
