//! UpdateUser: another name or path. What belongs to the user follows it to its new name.

use crate::actions::prelude::*;
use crate::rows::access_key::{AccessKey, KeysOf, Owner};
use crate::rows::certificate::{CertificatesOf, SigningCertificate};
use crate::rows::mfa_device::{DevicesOf, MfaDevice};
use crate::rows::ssh_key::{SshKey, SshKeysOf};
use crate::rows::user::User;

pub struct UpdateUser;

impl WriteAction for UpdateUser {
    type Op = api::ops::UpdateUser;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        // AWS: the permission is needed on the user both as it is and as it will be.
        let old = demand_tagged::<User>(view, call, "iam:UpdateUser", text(&input.user_name));
        let row = view.get::<User>(&key_of(call.account(), text(&input.user_name)));
        let path = input.new_path.as_deref().or(row.map(|row| &*row.head.path)).unwrap_or("/");
        let name = input.new_user_name.as_deref().unwrap_or(text(&input.user_name));
        let new = names::arn(call.account(), User::KIND, path, name);
        match new == old.resource {
            true => old.into(),
            false => vec![old, Demand::on("iam:UpdateUser", new)].into(),
        }
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (account, name) = (call.account(), text(&input.user_name));
        let mut row = find::<User>(tx, account, name)?.clone();
        let old = row_key(&row);
        if let Some(path) = &input.new_path {
            row.head.path = path.as_str().into();
        }
        if let Some(name) = &input.new_user_name {
            let new = key_of(account, name);
            if new != old && tx.get::<User>(&new).is_some() {
                let text = format!("User with name {name} already exists.");
                return Err(errors::entity_already_exists_exception(text));
            }
            row.head.name = name.as_str().into();
        }
        let new = row_key(&row);
        tx.put(row);
        if new != old {
            tx.delete::<User>(&old);
            follow(tx, &old, &new);
        }
        Ok(api::UpdateUserResponse {})
    }
}

fn row_key(row: &User) -> Key {
    key_of(row.head.account, &row.head.name)
}

fn follow(tx: &mut Tx<'_>, old: &Key, new: &Key) {
    let keys: Vec<_> = tx.by::<KeysOf>(old).map(|key| key.id.clone()).collect();
    for id in keys {
        tx.edit::<AccessKey>(&id, |key| key.owner = Owner::User(new.1.clone()));
    }
    let devices: Vec<_> = tx.by::<DevicesOf>(old).map(|d| d.serial.clone()).collect();
    for serial in devices {
        let key = (old.0, serial);
        tx.edit::<MfaDevice>(&key, |device| device.user = Some(new.1.clone()));
    }
    let certificates: Vec<_> = tx.by::<CertificatesOf>(old).map(|c| c.id.clone()).collect();
    for id in certificates {
        let key = (old.0, id);
        tx.edit::<SigningCertificate>(&key, |certificate| certificate.user = new.1.clone());
    }
    let ssh_keys: Vec<_> = tx.by::<SshKeysOf>(old).map(|key| key.id.clone()).collect();
    for id in ssh_keys {
        tx.edit::<SshKey>(&(old.0, id), |key| key.user = new.1.clone());
    }
}
