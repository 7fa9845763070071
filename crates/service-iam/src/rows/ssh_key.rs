//! An SSH public key of a user.

use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{AccountId, Time};
use serde::{Deserialize, Serialize};

use super::entity::Key;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SshKey {
    pub account: AccountId,
    pub id: Arc<str>,
    /// The user's name in lower case.
    pub user: Arc<str>,
    pub body: Arc<str>,
    pub fingerprint: Arc<str>,
    pub active: bool,
    pub uploaded_at: Time,
}

impl Row for SshKey {
    type Key = Key;
    const TABLE: &'static str = "iam-ssh-keys";

    fn key(&self) -> Key {
        (self.account, self.id.clone())
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<SshKeysOf>();
    }
}

/// The SSH keys of a user, by the user's key.
pub struct SshKeysOf;

impl Index for SshKeysOf {
    type Row = SshKey;
    type Key = Key;

    fn keys(row: &SshKey, add: &mut dyn FnMut(Key)) {
        add((row.account, row.user.clone()));
    }
}
