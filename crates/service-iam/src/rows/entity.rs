//! What users, groups, roles, policies and instance profiles have in common: a name that is unique
//! in the account whatever its case, a path, a unique id, and an ARN made of the former.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::Arc;

use core_state::{Index, Row};
use core_types::{AccountId, Time};
use serde::{Deserialize, Serialize};

use super::document::{Document, Inline};

/// The account, and the name in lower case.
///
/// AWS: names keep their case but are unique without regard to it.
pub type Key = (AccountId, Arc<str>);

pub fn key_of(account: AccountId, name: &str) -> Key {
    (account, fold(name))
}

pub fn fold(name: &str) -> Arc<str> {
    match name.bytes().any(|b| b.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub account: AccountId,
    pub name: Arc<str>,
    pub path: Arc<str>,
    pub id: Arc<str>,
    pub created_at: Time,
}

/// Tags by key, in the order of the keys.
pub type Tags = BTreeMap<Arc<str>, Arc<str>>;

pub trait Entity: Row {
    /// As in the ARN: `user`, `role`, …
    const KIND: &'static str;
    /// The error text where there is none of this name, with `{}` for the name.
    const MISSING: &'static str;

    fn head(&self) -> &Head;

    fn arn(&self) -> String {
        let Head { account, path, name, .. } = self.head();
        format!("arn:aws:iam::{account}:{}{path}{name}", Self::KIND)
    }
}

/// Policies that an entity holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Embedded ones, by name.
    #[serde(default)]
    pub inline: BTreeMap<Arc<str>, Document<Inline>>,
    /// ARNs of attached ones.
    #[serde(default)]
    pub attached: BTreeSet<Arc<str>>,
}

/// Users, groups and roles: whatever policies can be put on.
pub trait Holder: Entity<Key = Key> {
    /// AWS's name of the kind inside texts of quotas: `PoliciesPerUser`.
    const PLURAL: &'static str;
    /// AWS: the characters, without white space, of all embedded policies together.
    const INLINE_QUOTA: usize;

    fn held(&self) -> &Held;

    fn held_mut(&mut self) -> &mut Held;

    /// Groups have none.
    fn own_tags(&self) -> Option<&Tags> {
        None
    }

    /// ARN of the permissions boundary; groups have none.
    fn boundary(&self) -> Option<&Arc<str>> {
        None
    }

    /// What keeps AWS's hands on it, if something does.
    fn protected_by(&self) -> Option<&str> {
        None
    }
}

/// Holders by the managed policies attached to them.
pub struct ByAttached<R>(PhantomData<R>);

impl<R: Holder> Index for ByAttached<R> {
    type Row = R;
    type Key = Key;

    fn keys(row: &R, add: &mut dyn FnMut(Key)) {
        for arn in &row.held().attached {
            add((row.head().account, arn.clone()));
        }
    }
}

/// Holders by their permissions boundary.
pub struct ByBoundary<R>(PhantomData<R>);

impl<R: Holder> Index for ByBoundary<R> {
    type Row = R;
    type Key = Key;

    fn keys(row: &R, add: &mut dyn FnMut(Key)) {
        if let Some(arn) = row.boundary() {
            add((row.head().account, arn.clone()));
        }
    }
}
