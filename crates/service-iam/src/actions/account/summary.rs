//! GetAccountSummary: what there is, and how much of it there may be.

use crate::actions::prelude::*;
use crate::actions::{attachments, certificates, groups, keys, policies, profiles, roles, users};
use crate::rows::access_key::KeysOf;
use crate::rows::account::Account;
use crate::rows::certificate::ServerCertificate;
use crate::rows::group::Group;
use crate::rows::instance_profile::InstanceProfile;
use crate::rows::mfa_device::{DevicesOf, MfaDevice};
use crate::rows::policy::Policy;
use crate::rows::provider::{OidcProvider, SamlProvider};
use crate::rows::role::Role;
use crate::rows::user::User;
use crate::rules::lists::of_account;

pub struct GetAccountSummary;

impl ReadAction for GetAccountSummary {
    type Op = api::ops::GetAccountSummary;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:GetAccountSummary").into()
    }

    fn run(call: &Call, view: &View<'_>, _: Input<Self::Op>) -> Reply<Self::Op> {
        let account = call.account();
        let root: Key = (account, "".into());
        let devices = || view.scan::<MfaDevice>(root.clone()).take_while(|d| d.account == account);
        let oidc = view.scan::<OidcProvider>(root.clone()).take_while(|p| p.account == account);
        let saml = view.scan::<SamlProvider>(root.clone()).take_while(|p| p.account == account);
        let versions = of_account::<Policy>(view, account, "").map(|row| row.versions.len()).sum();
        let token_version = view.get::<Account>(&account).map_or(1, |row| row.token_version);
        let counts: &[(&str, usize)] = &[
            ("Users", of_account::<User>(view, account, "").count()),
            ("UsersQuota", users::create::QUOTA),
            ("Groups", of_account::<Group>(view, account, "").count()),
            ("GroupsQuota", groups::create::QUOTA),
            ("GroupsPerUserQuota", groups::members::QUOTA),
            ("Roles", of_account::<Role>(view, account, "").count()),
            ("RolesQuota", roles::create::QUOTA),
            ("Policies", of_account::<Policy>(view, account, "").count()),
            ("PoliciesQuota", policies::create::QUOTA),
            ("PolicyVersionsInUse", versions),
            ("PolicyVersionsInUseQuota", 10_000),
            ("VersionsPerPolicyQuota", policies::versions::QUOTA),
            ("PolicySizeQuota", crate::rules::policies::POLICY_SIZE),
            ("AssumeRolePolicySizeQuota", crate::rules::policies::TRUST_SIZE),
            ("UserPolicySizeQuota", User::INLINE_QUOTA),
            ("GroupPolicySizeQuota", Group::INLINE_QUOTA),
            ("RolePolicySizeQuota", Role::INLINE_QUOTA),
            ("AttachedPoliciesPerUserQuota", attachments::attach::QUOTA),
            ("AttachedPoliciesPerGroupQuota", attachments::attach::QUOTA),
            ("AttachedPoliciesPerRoleQuota", attachments::attach::QUOTA),
            ("InstanceProfiles", of_account::<InstanceProfile>(view, account, "").count()),
            ("InstanceProfilesQuota", profiles::create::QUOTA),
            ("AccessKeysPerUserQuota", keys::create::QUOTA),
            ("AccountAccessKeysPresent", view.by::<KeysOf>(&root).count().min(1)),
            ("MFADevices", devices().count()),
            ("MFADevicesInUse", devices().filter(|device| device.user.is_some()).count()),
            ("AccountMFAEnabled", view.by::<DevicesOf>(&root).count().min(1)),
            // The root user has neither a password nor a signing certificate here.
            ("AccountPasswordPresent", 0),
            ("AccountSigningCertificatesPresent", 0),
            ("SigningCertificatesPerUserQuota", certificates::signing::QUOTA),
            ("ServerCertificates", of_account::<ServerCertificate>(view, account, "").count()),
            ("ServerCertificatesQuota", certificates::server::QUOTA),
            ("Providers", oidc.count() + saml.count()),
            ("GlobalEndpointTokenVersion", usize::try_from(token_version).unwrap_or(1)),
        ];
        let shown = |(name, count): &(&str, usize)| {
            ((*name).to_owned(), i32::try_from(*count).unwrap_or(i32::MAX))
        };
        let summary_map = Some(counts.iter().map(shown).collect());
        Ok(api::GetAccountSummaryResponse { summary_map })
    }
}
