//! What must hold in every state.

use core_state::State;
use core_step::Invariant;
use core_types::AccountId;

use crate::rows::access_key::{AccessKey, Owner};
use crate::rows::certificate::SigningCertificate;
use crate::rows::entity::{Entity, Holder};
use crate::rows::group::Group;
use crate::rows::instance_profile::InstanceProfile;
use crate::rows::mfa_device::MfaDevice;
use crate::rows::policy::Policy;
use crate::rows::role::Role;
use crate::rows::ssh_key::SshKey;
use crate::rows::user::User;
use crate::rules::policies;

pub const INVARIANTS: &[Invariant] = &[
    Invariant { name: "iam: groups of users exist", check: memberships },
    Invariant { name: "iam: attached policies and boundaries exist", check: attachments },
    Invariant { name: "iam: a policy has a default version", check: default_versions },
    Invariant { name: "iam: roles in instance profiles exist", check: profiles },
    Invariant { name: "iam: keys and devices have owners", check: owners },
];

fn memberships(state: &State, wrong: &mut dyn FnMut(String)) {
    for user in state.all::<User>() {
        for group in &user.groups {
            if state.get::<Group>(&(user.head.account, group.clone())).is_none() {
                wrong(format!("{} is in group {group}, which is not there", user.arn()));
            }
        }
    }
}

fn attachments(state: &State, wrong: &mut dyn FnMut(String)) {
    fn check<R: Holder>(state: &State, wrong: &mut dyn FnMut(String)) {
        for row in state.all::<R>() {
            for arn in row.held().attached.iter().chain(row.boundary()) {
                if policies::lookup(state, row.head().account, arn).is_none() {
                    wrong(format!("{} has policy {arn}, which is not there", row.arn()));
                }
            }
        }
    }
    check::<User>(state, wrong);
    check::<Group>(state, wrong);
    check::<Role>(state, wrong);
}

fn default_versions(state: &State, wrong: &mut dyn FnMut(String)) {
    for policy in state.all::<Policy>() {
        let numbers: Vec<u32> = policy.versions.iter().map(|v| v.number).collect();
        if !numbers.contains(&policy.default) {
            wrong(format!("{}: default v{} of {numbers:?}", policy.arn(), policy.default));
        }
        if !numbers.is_sorted_by(|a, b| a < b) || numbers.last().is_some_and(|n| *n > policy.last) {
            wrong(format!("{}: versions {numbers:?} up to {}", policy.arn(), policy.last));
        }
    }
}

fn profiles(state: &State, wrong: &mut dyn FnMut(String)) {
    for profile in state.all::<InstanceProfile>() {
        let Some(role) = &profile.role else { continue };
        if state.get::<Role>(&(profile.head.account, role.clone())).is_none() {
            wrong(format!("{} holds role {role}, which is not there", profile.arn()));
        }
    }
}

fn owners(state: &State, wrong: &mut dyn FnMut(String)) {
    let exists = |account: AccountId, name: &std::sync::Arc<str>| {
        name.is_empty() || state.get::<User>(&(account, name.clone())).is_some()
    };
    for key in state.all::<AccessKey>() {
        if let Owner::User(name) = &key.owner
            && !exists(key.account, name)
        {
            wrong(format!("access key {} is {name}'s, who is not there", key.id));
        }
    }
    for device in state.all::<MfaDevice>() {
        if device.user.as_ref().is_some_and(|name| !exists(device.account, name)) {
            wrong(format!("MFA device {} is of a user who is not there", device.serial));
        }
    }
    for certificate in state.all::<SigningCertificate>() {
        if !exists(certificate.account, &certificate.user) {
            wrong(format!("signing certificate {} has no owner", certificate.id));
        }
    }
    for key in state.all::<SshKey>() {
        if !exists(key.account, &key.user) {
            wrong(format!("SSH key {} has no owner", key.id));
        }
    }
}
