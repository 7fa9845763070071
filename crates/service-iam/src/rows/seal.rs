//! The key that session tokens are sealed with. There is one; losing it ends all sessions.

use std::fmt;

use core_state::{Row, Tx};
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Seal {
    pub key: [u8; 32],
}

/// A secret does not get into logs by way of `{:?}`.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

impl Row for Seal {
    type Key = ();
    const TABLE: &'static str = "iam-seal";

    fn key(&self) {}
}

/// The key, made on first use.
pub fn ensure(tx: &mut Tx<'_>) -> [u8; 32] {
    if let Some(seal) = tx.get::<Seal>(&()) {
        return seal.key;
    }
    let key = tx.dice.bytes();
    tx.put(Seal { key });
    key
}
