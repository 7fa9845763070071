//! A long-term access key: of the root user, or of an IAM user.

use std::fmt;
use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{AccountId, Time};
use serde::{Deserialize, Serialize};

use super::entity::Key;
use super::last_use::LastUse;

/// Whose key it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    Root,
    /// The user's name in lower case.
    User(Arc<str>),
}

impl Owner {
    /// The owner as index keys have it: the root user has no name, and no IAM user an empty one.
    pub fn name(&self) -> Arc<str> {
        match self {
            Owner::Root => "".into(),
            Owner::User(name) => name.clone(),
        }
    }
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessKey {
    pub id: Arc<str>,
    /// Kept readable: verifying a signature needs the secret itself.
    pub secret: Arc<str>,
    pub account: AccountId,
    pub owner: Owner,
    pub active: bool,
    pub created_at: Time,
    /// The root key that the server was started with; another one at its next start replaces it.
    #[serde(default)]
    pub given_at_start: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<LastUse>,
}

/// A secret does not get into logs by way of `{:?}`.
impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AccessKey { id, account, owner, active, .. } = self;
        write!(f, "AccessKey({id} of {account} {owner:?}, active: {active})")
    }
}

impl Row for AccessKey {
    type Key = Arc<str>;
    const TABLE: &'static str = "iam-access-keys";

    fn key(&self) -> Arc<str> {
        self.id.clone()
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<KeysOf>();
    }
}

/// The keys of one owner.
pub struct KeysOf;

impl Index for KeysOf {
    type Row = AccessKey;
    type Key = Key;

    fn keys(row: &AccessKey, add: &mut dyn FnMut(Self::Key)) {
        add((row.account, row.owner.name()));
    }
}
