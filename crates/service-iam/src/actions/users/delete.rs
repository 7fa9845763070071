//! DeleteUser, with its refusals: AWS wants everything of a user gone first.

use crate::actions::prelude::*;
use crate::rows::access_key::KeysOf;
use crate::rows::certificate::CertificatesOf;
use crate::rows::mfa_device::DevicesOf;
use crate::rows::ssh_key::SshKeysOf;
use crate::rows::user::User;

pub struct DeleteUser;

impl WriteAction for DeleteUser {
    type Op = api::ops::DeleteUser;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<User>(view, call, "iam:DeleteUser", text(&input.user_name)).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let row = find::<User>(tx, call.account(), text(&input.user_name))?;
        let key = key_of(call.account(), &row.head.name);
        let left = if row.login.is_some() {
            Some("delete login profile")
        } else if tx.by::<KeysOf>(&key).next().is_some() {
            Some("delete access keys")
        } else if tx.by::<DevicesOf>(&key).next().is_some() {
            Some("delete MFA device")
        } else if tx.by::<CertificatesOf>(&key).next().is_some() {
            Some("delete signing certificates")
        } else if tx.by::<SshKeysOf>(&key).next().is_some() {
            Some("delete SSH public keys")
        } else if !row.groups.is_empty() {
            Some("remove users from group")
        } else {
            entities::policies_left(row)
        };
        if let Some(left) = left {
            return Err(entities::conflict(left));
        }
        tx.delete::<User>(&key);
        Ok(api::DeleteUserResponse {})
    }
}
