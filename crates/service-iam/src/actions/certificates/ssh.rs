//! SSH public keys of users: upload, get, list, update, delete.

use crate::actions::prelude::*;
use crate::rows::ssh_key::{SshKey, SshKeysOf};
use crate::rows::user::User;
use crate::rules::{keys, ssh_keys};

/// AWS: SSH public keys a user may have.
const QUOTA: usize = 5;

fn shown(row: &SshKey, user: &User) -> api::SSHPublicKey {
    api::SSHPublicKey {
        fingerprint: Some(row.fingerprint.to_string()),
        ssh_public_key_body: Some(row.body.to_string()),
        ssh_public_key_id: Some(row.id.to_string()),
        status: views::status(row.active),
        upload_date: Some(views::time(row.uploaded_at)),
        user_name: Some(user.head.name.to_string()),
    }
}

fn find_key<'s>(
    state: &'s core_state::State,
    user: &User,
    id: &str,
) -> Result<&'s SshKey, ApiError> {
    let row = state.get::<SshKey>(&(user.head.account, id.into()));
    row.filter(|row| row.user == fold(&user.head.name)).ok_or_else(|| {
        let text = format!("The Public Key with id {id} cannot be found.");
        errors::no_such_entity_exception(text)
    })
}

pub struct UploadSSHPublicKey;

impl WriteAction for UploadSSHPublicKey {
    type Op = api::ops::UploadSSHPublicKey;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<User>(view, call, "iam:UploadSSHPublicKey", text(&input.user_name)).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let user = find::<User>(tx, call.account(), text(&input.user_name))?.clone();
        let body = text(&input.ssh_public_key_body).trim();
        let fingerprint = ssh_keys::fingerprint(body)?;
        let owner = key_of(call.account(), &user.head.name);
        if tx.by::<SshKeysOf>(&owner).any(|there| *there.fingerprint == *fingerprint) {
            return Err(errors::duplicate_ssh_public_key_exception(
                "The SSH public key is already associated with the specified IAM user.",
            ));
        }
        if tx.by::<SshKeysOf>(&owner).count() >= QUOTA {
            return Err(entities::exceeded("SSHPublicKeysPerUser", QUOTA));
        }
        let row = SshKey {
            account: call.account(),
            id: names::unique_id(tx.dice, "APKA").into(),
            user: owner.1,
            body: body.into(),
            fingerprint: fingerprint.into(),
            active: true,
            uploaded_at: tx.now(),
        };
        let ssh_public_key = Some(shown(&row, &user));
        tx.put(row);
        Ok(api::UploadSSHPublicKeyResponse { ssh_public_key })
    }
}

pub struct GetSSHPublicKey;

impl ReadAction for GetSSHPublicKey {
    type Op = api::ops::GetSSHPublicKey;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<User>(view, call, "iam:GetSSHPublicKey", text(&input.user_name)).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let user = find::<User>(view, call.account(), text(&input.user_name))?;
        let row = find_key(view, user, text(&input.ssh_public_key_id))?;
        if input.encoding.as_ref().is_some_and(|encoding| *encoding == api::EncodingType::PEM) {
            return Err(errors::unrecognized_public_key_encoding_exception(
                "The public key is kept in the SSH encoding.",
            ));
        }
        Ok(api::GetSSHPublicKeyResponse { ssh_public_key: Some(shown(row, user)) })
    }
}

pub struct ListSSHPublicKeys;

impl ReadAction for ListSSHPublicKeys {
    type Op = api::ops::ListSSHPublicKeys;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:ListSSHPublicKeys", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let name = input.user_name.as_deref();
        let (owner, user_name) = keys::owner(view, call, name)?;
        let marker = input.marker.as_deref();
        let asked = Asked { list: "ListSSHPublicKeys", marker, max_items: input.max_items };
        let rows = view.by::<SshKeysOf>(&(call.account(), owner.name()));
        let page = asked.page(rows, |row| row.id.to_string())?;
        let page = page.map(|row| api::SSHPublicKeyMetadata {
            ssh_public_key_id: Some(row.id.to_string()),
            status: views::status(row.active),
            upload_date: Some(views::time(row.uploaded_at)),
            user_name: user_name.clone(),
        });
        let Page { items, marker, is_truncated } = page;
        Ok(api::ListSSHPublicKeysResponse { ssh_public_keys: Some(items), marker, is_truncated })
    }
}

pub struct UpdateSSHPublicKey;

impl WriteAction for UpdateSSHPublicKey {
    type Op = api::ops::UpdateSSHPublicKey;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<User>(view, call, "iam:UpdateSSHPublicKey", text(&input.user_name)).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let user = find::<User>(tx, call.account(), text(&input.user_name))?;
        let mut row = find_key(tx, user, text(&input.ssh_public_key_id))?.clone();
        row.active = input.status.as_ref().is_some_and(|s| *s == api::StatusType::ACTIVE);
        tx.put(row);
        Ok(api::UpdateSSHPublicKeyResponse {})
    }
}

pub struct DeleteSSHPublicKey;

impl WriteAction for DeleteSSHPublicKey {
    type Op = api::ops::DeleteSSHPublicKey;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<User>(view, call, "iam:DeleteSSHPublicKey", text(&input.user_name)).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let user = find::<User>(tx, call.account(), text(&input.user_name))?;
        let row = find_key(tx, user, text(&input.ssh_public_key_id))?;
        let key = (row.account, row.id.clone());
        tx.delete::<SshKey>(&key);
        Ok(api::DeleteSSHPublicKeyResponse {})
    }
}
