//! What the server itself tells: which accounts there are, their root keys, and which keys are used.

use std::any::Any;
use std::sync::Arc;

use core_state::Tx;
use core_step::Report;
use core_types::AccountId;

use crate::rows::access_key::{AccessKey, KeysOf, Owner};
use crate::rows::account::Account;
use crate::rows::entity::key_of;
pub use crate::rows::last_use::LastUse;
use crate::rows::role::Role;
use crate::rows::seal;

/// An account with exactly this root key. Told at each start; telling it again changes nothing.
/// With another account's number it makes that account.
pub struct EnsureRoot {
    pub account: AccountId,
    pub access_key_id: String,
    pub secret: String,
}

impl Report for EnsureRoot {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        let EnsureRoot { account, access_key_id, secret } = *self;
        let now = tx.now();
        seal::ensure(tx);
        if tx.get::<Account>(&account).is_none() {
            tx.put(Account::new(account, now));
        }
        let root = (account, Owner::Root.name());
        let old = tx.by::<KeysOf>(&root).filter(|key| key.given_at_start);
        let old: Vec<_> =
            old.map(|key| key.id.clone()).filter(|id| **id != *access_key_id).collect();
        for id in old {
            // A root key given anew takes the place of the former one; keys that the root user
            // made by itself stay.
            tx.delete::<AccessKey>(&id);
        }
        let there = tx.get::<AccessKey>(&access_key_id.as_str().into());
        if there.is_none_or(|key| *key.secret != *secret || key.account != account) {
            tx.put(AccessKey {
                id: access_key_id.into(),
                secret: secret.into(),
                account,
                owner: Owner::Root,
                active: true,
                created_at: now,
                given_at_start: true,
                last_used: None,
            });
        }
        Box::new(())
    }
}

/// What a request was signed with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Used {
    Key(Arc<str>),
    /// A session of this role.
    Role(AccountId, Arc<str>),
}

/// Keys and roles were used. Those that are gone by now are passed over.
pub struct CredentialsUsed {
    pub uses: Vec<(Used, LastUse)>,
}

impl Report for CredentialsUsed {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        for (used, last) in self.uses {
            match used {
                Used::Key(id) => tx.edit::<AccessKey>(&id, |row| last.join(&mut row.last_used)),
                Used::Role(account, name) => {
                    let key = key_of(account, &name);
                    tx.edit::<Role>(&key, |row| last.join(&mut row.last_used))
                }
            };
        }
        Box::new(())
    }
}
