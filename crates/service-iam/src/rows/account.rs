//! An account of this installation.

use core_state::Row;
use core_types::{AccountId, Time};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub id: AccountId,
    pub created_at: Time,
}

impl Row for Account {
    type Key = AccountId;
    const TABLE: &'static str = "iam-accounts";

    fn key(&self) -> AccountId {
        self.id
    }
}
