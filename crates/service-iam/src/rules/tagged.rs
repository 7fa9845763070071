//! What carries tags, however it is named in a request: by name, by ARN or by serial number.

use aws_protocol::ApiError;
use core_state::{Row, State};
use core_step::{Call, Demand};
use core_types::AccountId;

use super::{entities, mfa, policies, providers};
use crate::rows::certificate::ServerCertificate;
use crate::rows::entity::{Key, Tags, key_of};
use crate::rows::instance_profile::InstanceProfile;
use crate::rows::mfa_device::MfaDevice;
use crate::rows::policy::Policy;
use crate::rows::provider::{OidcProvider, SamlProvider};
use crate::rows::role::Role;
use crate::rows::user::User;

pub trait Tagged: Row<Key = Key> {
    fn tags(&self) -> &Tags;

    fn tags_mut(&mut self) -> &mut Tags;

    /// The key of what a request names.
    fn key_named(account: AccountId, given: &str) -> Key;

    /// What a request names, to change its tags, or AWS's error.
    fn find_named<'s>(
        state: &'s State,
        account: AccountId,
        given: &str,
    ) -> Result<&'s Self, ApiError>;

    /// The ARN that a permission is asked on.
    fn arn_named(state: &State, call: &Call, given: &str) -> String;
}

macro_rules! tagged {
    ($($row:ty, $key:expr, $find:expr, $arn:expr;)*) => {$(
        impl Tagged for $row {
            fn tags(&self) -> &Tags {
                &self.tags
            }

            fn tags_mut(&mut self) -> &mut Tags {
                &mut self.tags
            }

            fn key_named(account: AccountId, given: &str) -> Key {
                $key(account, given)
            }

            fn find_named<'s>(
                state: &'s State,
                account: AccountId,
                given: &str,
            ) -> Result<&'s Self, ApiError> {
                $find(state, account, given)
            }

            fn arn_named(state: &State, call: &Call, given: &str) -> String {
                $arn(state, call, given)
            }
        }
    )*};
}

fn arn_key(account: AccountId, given: &str) -> Key {
    (account, given.into())
}

/// Where requests name a thing by its ARN, that is the ARN.
fn as_given(_: &State, _: &Call, given: &str) -> String {
    given.to_owned()
}

tagged! {
    User, key_of, entities::find, entities::demanded_arn::<User>;
    Role, key_of, entities::find, entities::demanded_arn::<Role>;
    InstanceProfile, key_of, entities::find, entities::demanded_arn::<InstanceProfile>;
    ServerCertificate, key_of, entities::find, entities::demanded_arn::<ServerCertificate>;
    Policy, arn_key, policies::find_own, as_given;
    MfaDevice, arn_key, mfa::find, as_given;
    OidcProvider, arn_key, providers::find_oidc, as_given;
    SamlProvider, arn_key, providers::find_saml, as_given;
}

/// The permission on what a request names, with its tags as they stand.
pub fn demand_tagged<R: Tagged>(
    state: &State,
    call: &Call,
    action: &'static str,
    given: &str,
) -> Demand {
    let demand = Demand::on(action, R::arn_named(state, call, given));
    match state.get::<R>(&R::key_named(call.account(), given)) {
        Some(row) => entities::with_resource_tags(demand, row.tags()),
        None => demand,
    }
}
