//! The list of actions, by what they are about.

mod account;
mod attachments;
mod certificates;
mod groups;
mod inline;
mod keys;
mod logins;
mod mfa_devices;
mod policies;
mod prelude;
mod profiles;
mod providers;
mod roles;
mod service_credentials;
mod simulate;
mod tagging;
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
    // Passwords.
    write_action::<logins::CreateLoginProfile>(),
    write_action::<logins::UpdateLoginProfile>(),
    write_action::<logins::DeleteLoginProfile>(),
    write_action::<logins::ChangePassword>(),
    read_action::<logins::GetLoginProfile>(),
    // The account.
    write_action::<account::alias::CreateAccountAlias>(),
    write_action::<account::alias::DeleteAccountAlias>(),
    read_action::<account::alias::ListAccountAliases>(),
    write_action::<account::password_policy::UpdateAccountPasswordPolicy>(),
    write_action::<account::password_policy::DeleteAccountPasswordPolicy>(),
    read_action::<account::password_policy::GetAccountPasswordPolicy>(),
    read_action::<account::summary::GetAccountSummary>(),
    read_action::<account::details::GetAccountAuthorizationDetails>(),
    write_action::<account::credential_report::GenerateCredentialReport>(),
    read_action::<account::credential_report::GetCredentialReport>(),
    write_action::<account::preferences::SetSecurityTokenServicePreferences>(),
    // MFA devices.
    write_action::<mfa_devices::CreateVirtualMFADevice>(),
    write_action::<mfa_devices::EnableMFADevice>(),
    write_action::<mfa_devices::ResyncMFADevice>(),
    write_action::<mfa_devices::DeactivateMFADevice>(),
    write_action::<mfa_devices::DeleteVirtualMFADevice>(),
    read_action::<mfa_devices::GetMFADevice>(),
    read_action::<mfa_devices::ListMFADevices>(),
    read_action::<mfa_devices::ListVirtualMFADevices>(),
    // Certificates.
    write_action::<certificates::server::UploadServerCertificate>(),
    write_action::<certificates::server::UpdateServerCertificate>(),
    write_action::<certificates::server::DeleteServerCertificate>(),
    read_action::<certificates::server::GetServerCertificate>(),
    read_action::<certificates::server::ListServerCertificates>(),
    write_action::<certificates::signing::UploadSigningCertificate>(),
    write_action::<certificates::signing::UpdateSigningCertificate>(),
    write_action::<certificates::signing::DeleteSigningCertificate>(),
    read_action::<certificates::signing::ListSigningCertificates>(),
    write_action::<certificates::ssh::UploadSSHPublicKey>(),
    write_action::<certificates::ssh::UpdateSSHPublicKey>(),
    write_action::<certificates::ssh::DeleteSSHPublicKey>(),
    read_action::<certificates::ssh::GetSSHPublicKey>(),
    read_action::<certificates::ssh::ListSSHPublicKeys>(),
    write_action::<service_credentials::CreateServiceSpecificCredential>(),
    read_action::<service_credentials::ListServiceSpecificCredentials>(),
    // Identity providers.
    write_action::<providers::oidc::CreateOpenIDConnectProvider>(),
    write_action::<providers::oidc::DeleteOpenIDConnectProvider>(),
    write_action::<providers::oidc::AddClientIDToOpenIDConnectProvider>(),
    write_action::<providers::oidc::RemoveClientIDFromOpenIDConnectProvider>(),
    write_action::<providers::oidc::UpdateOpenIDConnectProviderThumbprint>(),
    read_action::<providers::oidc::GetOpenIDConnectProvider>(),
    read_action::<providers::oidc::ListOpenIDConnectProviders>(),
    write_action::<providers::saml::CreateSAMLProvider>(),
    write_action::<providers::saml::UpdateSAMLProvider>(),
    write_action::<providers::saml::DeleteSAMLProvider>(),
    read_action::<providers::saml::GetSAMLProvider>(),
    read_action::<providers::saml::ListSAMLProviders>(),
    // Tags.
    write_action::<tagging::TagUser>(),
    write_action::<tagging::UntagUser>(),
    read_action::<tagging::ListUserTags>(),
    write_action::<tagging::TagRole>(),
    write_action::<tagging::UntagRole>(),
    read_action::<tagging::ListRoleTags>(),
    write_action::<tagging::TagPolicy>(),
    write_action::<tagging::UntagPolicy>(),
    read_action::<tagging::ListPolicyTags>(),
    write_action::<tagging::TagInstanceProfile>(),
    write_action::<tagging::UntagInstanceProfile>(),
    read_action::<tagging::ListInstanceProfileTags>(),
    write_action::<tagging::TagMFADevice>(),
    write_action::<tagging::UntagMFADevice>(),
    read_action::<tagging::ListMFADeviceTags>(),
    write_action::<tagging::TagServerCertificate>(),
    write_action::<tagging::UntagServerCertificate>(),
    read_action::<tagging::ListServerCertificateTags>(),
    write_action::<tagging::TagOpenIDConnectProvider>(),
    write_action::<tagging::UntagOpenIDConnectProvider>(),
    read_action::<tagging::ListOpenIDConnectProviderTags>(),
    write_action::<tagging::TagSAMLProvider>(),
    write_action::<tagging::UntagSAMLProvider>(),
    read_action::<tagging::ListSAMLProviderTags>(),
    // The policy simulator.
    read_action::<simulate::context_keys::GetContextKeysForCustomPolicy>(),
    read_action::<simulate::context_keys::GetContextKeysForPrincipalPolicy>(),
    read_action::<simulate::custom::SimulateCustomPolicy>(),
    read_action::<simulate::principal::SimulatePrincipalPolicy>(),
];
