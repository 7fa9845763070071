//! A virtual MFA device: a shared secret from which six digits follow every half minute.

use std::fmt;
use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{AccountId, Time};
use serde::{Deserialize, Serialize};

use super::entity::{Key, Tags};

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct MfaDevice {
    pub account: AccountId,
    /// Its ARN.
    pub serial: Arc<str>,
    /// The shared secret in base 32, as authenticator programs take it.
    pub seed: Arc<str>,
    /// Whose it is, in lower case; an empty name is the root user; `None` until it is enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled_at: Option<Time>,
    #[serde(default)]
    pub tags: Tags,
}

/// A secret does not get into logs by way of `{:?}`.
impl fmt::Debug for MfaDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MfaDevice({} of {:?})", self.serial, self.user)
    }
}

impl Row for MfaDevice {
    type Key = Key;
    const TABLE: &'static str = "iam-mfa-devices";

    fn key(&self) -> Key {
        (self.account, self.serial.clone())
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<DevicesOf>();
    }
}

/// The devices of a user, by its key.
pub struct DevicesOf;

impl Index for DevicesOf {
    type Row = MfaDevice;
    type Key = Key;

    fn keys(row: &MfaDevice, add: &mut dyn FnMut(Key)) {
        if let Some(user) = &row.user {
            add((row.account, user.clone()));
        }
    }
}
