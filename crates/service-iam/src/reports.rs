//! What the server itself tells: which accounts there are, and their root keys.

use std::any::Any;

use core_state::Tx;
use core_step::Report;
use core_types::AccountId;

use crate::rows::access_key::{AccessKey, KeysOf, Owner};
use crate::rows::account::Account;

/// An account with exactly this root key. Told at each start; telling it again changes nothing.
pub struct EnsureRoot {
    pub account: AccountId,
    pub access_key_id: String,
    pub secret: String,
}

impl Report for EnsureRoot {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        let EnsureRoot { account, access_key_id, secret } = *self;
        let now = tx.now();
        if tx.get::<Account>(&account).is_none() {
            tx.put(Account { id: account, created_at: now });
        }
        let old = tx.by::<KeysOf>(&(account, "".into())).map(|key| key.id.clone());
        let old: Vec<_> = old.filter(|id| **id != *access_key_id).collect();
        for id in old {
            // A root key given anew takes the place of the former one.
            tx.delete::<AccessKey>(&id);
        }
        let there = tx.get::<AccessKey>(&access_key_id.as_str().into());
        if there.is_none_or(|key| *key.secret != *secret) {
            tx.put(AccessKey {
                id: access_key_id.into(),
                secret: secret.into(),
                account,
                owner: Owner::Root,
                active: true,
                created_at: now,
            });
        }
        Box::new(())
    }
}
