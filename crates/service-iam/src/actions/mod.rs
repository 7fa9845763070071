//! The list of actions, by what they are about.

mod attachments;
mod groups;
mod inline;
mod keys;
mod policies;
mod prelude;
mod profiles;
mod roles;
mod users;

use core_step::{Action, read_action, write_action};

pub const ACTIONS: &[Action] = &[
    // Users.
    write_action::<users::create::CreateUser>(),
    write_action::<users::delete::DeleteUser>(),
    read_action::<users::get::GetUser>(),
    read_action::<users::list::ListUsers>(),
    write_action::<users::update::UpdateUser>(),
    write_action::<users::boundary::PutUserPermissionsBoundary>(),
    write_action::<users::boundary::DeleteUserPermissionsBoundary>(),
    // Groups.
    write_action::<groups::create::CreateGroup>(),
    write_action::<groups::delete::DeleteGroup>(),
    read_action::<groups::get::GetGroup>(),
    read_action::<groups::list::ListGroups>(),
    read_action::<groups::list::ListGroupsForUser>(),
    write_action::<groups::members::AddUserToGroup>(),
    write_action::<groups::members::RemoveUserFromGroup>(),
    write_action::<groups::update::UpdateGroup>(),
    // Roles.
    write_action::<roles::create::CreateRole>(),
    write_action::<roles::delete::DeleteRole>(),
    read_action::<roles::get::GetRole>(),
    read_action::<roles::list::ListRoles>(),
    write_action::<roles::update::UpdateRole>(),
    write_action::<roles::update::UpdateRoleDescription>(),
    write_action::<roles::update::UpdateAssumeRolePolicy>(),
    write_action::<roles::boundary::PutRolePermissionsBoundary>(),
    write_action::<roles::boundary::DeleteRolePermissionsBoundary>(),
    write_action::<roles::linked::CreateServiceLinkedRole>(),
    write_action::<roles::linked::DeleteServiceLinkedRole>(),
    read_action::<roles::linked::GetServiceLinkedRoleDeletionStatus>(),
    // Managed policies.
    write_action::<policies::create::CreatePolicy>(),
    write_action::<policies::delete::DeletePolicy>(),
    read_action::<policies::get::GetPolicy>(),
    read_action::<policies::list::ListPolicies>(),
    read_action::<policies::entities_for::ListEntitiesForPolicy>(),
    write_action::<policies::versions::CreatePolicyVersion>(),
    write_action::<policies::versions::DeletePolicyVersion>(),
    read_action::<policies::versions::GetPolicyVersion>(),
    read_action::<policies::versions::ListPolicyVersions>(),
    write_action::<policies::versions::SetDefaultPolicyVersion>(),
    write_action::<attachments::attach::AttachUserPolicy>(),
    write_action::<attachments::attach::AttachGroupPolicy>(),
    write_action::<attachments::attach::AttachRolePolicy>(),
    write_action::<attachments::detach::DetachUserPolicy>(),
    write_action::<attachments::detach::DetachGroupPolicy>(),
    write_action::<attachments::detach::DetachRolePolicy>(),
    read_action::<attachments::list::ListAttachedUserPolicies>(),
    read_action::<attachments::list::ListAttachedGroupPolicies>(),
    read_action::<attachments::list::ListAttachedRolePolicies>(),
    // Embedded policies.
    write_action::<inline::put::PutUserPolicy>(),
    write_action::<inline::put::PutGroupPolicy>(),
    write_action::<inline::put::PutRolePolicy>(),
    read_action::<inline::get::GetUserPolicy>(),
    read_action::<inline::get::GetGroupPolicy>(),
    read_action::<inline::get::GetRolePolicy>(),
    read_action::<inline::list::ListUserPolicies>(),
    read_action::<inline::list::ListGroupPolicies>(),
    read_action::<inline::list::ListRolePolicies>(),
    write_action::<inline::delete::DeleteUserPolicy>(),
    write_action::<inline::delete::DeleteGroupPolicy>(),
    write_action::<inline::delete::DeleteRolePolicy>(),
    // Instance profiles.
    write_action::<profiles::create::CreateInstanceProfile>(),
    write_action::<profiles::delete::DeleteInstanceProfile>(),
    read_action::<profiles::get::GetInstanceProfile>(),
    read_action::<profiles::list::ListInstanceProfiles>(),
    read_action::<profiles::list::ListInstanceProfilesForRole>(),
    write_action::<profiles::role::AddRoleToInstanceProfile>(),
    write_action::<profiles::role::RemoveRoleFromInstanceProfile>(),
    // Access keys.
    write_action::<keys::create::CreateAccessKey>(),
    write_action::<keys::delete::DeleteAccessKey>(),
    read_action::<keys::last_used::GetAccessKeyLastUsed>(),
    read_action::<keys::list::ListAccessKeys>(),
    write_action::<keys::update::UpdateAccessKey>(),
];
