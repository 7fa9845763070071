//! The list of actions: one file each.
//!
//! What makes credentials is a write although it changes no row: only writes have randomness.

mod access_key_info;
mod assume_role;
mod caller_identity;
mod federation_token;
mod session_token;
mod web_identity;

use core_step::{Action, read_action, write_action};

pub const ACTIONS: &[Action] = &[
    write_action::<assume_role::AssumeRole>(),
    read_action::<web_identity::AssumeRoleWithSAML>(),
    read_action::<web_identity::AssumeRoleWithWebIdentity>(),
    read_action::<access_key_info::GetAccessKeyInfo>(),
    read_action::<caller_identity::GetCallerIdentity>(),
    write_action::<federation_token::GetFederationToken>(),
    write_action::<session_token::GetSessionToken>(),
];
