//! What the installation's operator may ask: which accounts there are, their root keys, one more.

use std::any::Any;
use std::sync::Arc;

use core_state::{State, Tx};
use core_step::Report;
use core_types::{AccountId, Time};

use crate::reports::EnsureRoot;
use crate::rows::access_key::{AccessKey, KeysOf, Owner};
use crate::rows::account::{Account, Aliases};
use crate::rows::seal::Seal;

/// An account as its operator sees it.
pub struct AccountView {
    pub id: AccountId,
    pub alias: Option<Arc<str>>,
    pub created_at: Time,
}

/// Every account of this installation.
pub fn accounts(state: &State) -> impl Iterator<Item = AccountView> {
    state.all::<Account>().map(|account| AccountView {
        id: account.id,
        alias: account.alias.clone(),
        created_at: account.created_at,
    })
}

/// The root key that the server itself gave out: id and secret.
pub fn given_root_key(state: &State, account: AccountId) -> Option<(Arc<str>, Arc<str>)> {
    let mut keys = state.by::<KeysOf>(&(account, Owner::Root.name()));
    let key: &AccessKey = keys.find(|key| key.given_at_start)?;
    Some((key.id.clone(), key.secret.clone()))
}

/// A secret that every server of this state knows, and nobody else.
pub fn server_secret(state: &State) -> Option<&[u8]> {
    state.get::<Seal>(&()).map(|seal| &seal.key[..])
}

/// A further account, which must not exist yet.
pub struct OpenAccount {
    pub root: EnsureRoot,
    pub alias: Option<Arc<str>>,
}

/// Why an account was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOpened {
    AccountExists,
    AliasTaken,
}

impl Report for OpenAccount {
    /// Gives a `Result<(), NotOpened>`.
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        let OpenAccount { root, alias } = *self;
        let id = root.account;
        let taken = |alias: &Arc<str>| tx.by::<Aliases>(alias).next().is_some();
        let refused = match &alias {
            _ if tx.get::<Account>(&id).is_some() => Some(NotOpened::AccountExists),
            Some(alias) if taken(alias) => Some(NotOpened::AliasTaken),
            _ => None,
        };
        if let Some(refused) = refused {
            return Box::new(Err::<(), _>(refused));
        }
        Box::new(root).apply(tx);
        tx.edit::<Account>(&id, |account| account.alias = alias);
        Box::new(Ok::<_, NotOpened>(()))
    }
}
