//! The list of tables.

use core_state::SchemaBuilder;

use crate::rows::access_key::AccessKey;
use crate::rows::account::Account;
use crate::rows::certificate::{ServerCertificate, SigningCertificate};
use crate::rows::group::Group;
use crate::rows::instance_profile::InstanceProfile;
use crate::rows::mfa_device::MfaDevice;
use crate::rows::policy::Policy;
use crate::rows::provider::{OidcProvider, SamlProvider};
use crate::rows::role::{LinkedRoleDeletion, Role};
use crate::rows::seal::Seal;
use crate::rows::ssh_key::SshKey;
use crate::rows::user::User;

pub fn declare(schema: &mut SchemaBuilder) {
    schema.table::<Account>();
    schema.table::<AccessKey>();
    schema.table::<Group>();
    schema.table::<InstanceProfile>();
    schema.table::<LinkedRoleDeletion>();
    schema.table::<MfaDevice>();
    schema.table::<OidcProvider>();
    schema.table::<Policy>();
    schema.table::<Role>();
    schema.table::<SamlProvider>();
    schema.table::<Seal>();
    schema.table::<ServerCertificate>();
    schema.table::<SigningCertificate>();
    schema.table::<SshKey>();
    schema.table::<User>();
}
