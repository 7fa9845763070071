//! CreateAccessKey: the only answer that ever shows the secret.

use crate::actions::prelude::*;
use crate::rows::access_key::{AccessKey, KeysOf};
use crate::rules::keys;

pub struct CreateAccessKey;

/// AWS: keys a user, or the root user, may have.
pub const QUOTA: usize = 2;

impl WriteAction for CreateAccessKey {
    type Op = api::ops::CreateAccessKey;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:CreateAccessKey", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let name = input.user_name.as_deref();
        let (owner, user_name) = keys::owner(tx, call, name)?;
        if tx.by::<KeysOf>(&(call.account(), owner.name())).count() >= QUOTA {
            return Err(entities::exceeded("AccessKeysPerUser", QUOTA));
        }
        let id = loop {
            let id = names::access_key_id(tx.dice, "AKIA", call.account());
            if tx.get::<AccessKey>(&id.as_str().into()).is_none() {
                break id;
            }
        };
        let row = AccessKey {
            id: id.as_str().into(),
            // AWS: forty characters. Ours have no `+` or `/`, which suits shells and files.
            secret: tx.dice.base62(40).into(),
            account: call.account(),
            owner,
            active: true,
            created_at: tx.now(),
            given_at_start: false,
            last_used: None,
        };
        let access_key = api::AccessKey {
            access_key_id: Some(id),
            create_date: Some(views::time(row.created_at)),
            secret_access_key: Some(row.secret.to_string()),
            status: views::status(true),
            user_name,
        };
        tx.put(row);
        Ok(api::CreateAccessKeyResponse { access_key: Some(access_key) })
    }
}
