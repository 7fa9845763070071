//! An account of this installation, with what it has one of.

use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{AccountId, Time};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub id: AccountId,
    pub created_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_policy: Option<PasswordPolicy>,
    /// When the credential report was last made, and what it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_report: Option<(Time, Arc<str>)>,
    /// Which of AWS's two kinds of session tokens the account asks for.
    #[serde(default = "first_version")]
    pub token_version: i32,
}

fn first_version() -> i32 {
    1
}

impl Account {
    pub fn new(id: AccountId, created_at: Time) -> Self {
        Account {
            id,
            created_at,
            alias: None,
            password_policy: None,
            credential_report: None,
            token_version: first_version(),
        }
    }
}

/// What passwords of users must be like. The default is what holds where none is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordPolicy {
    pub minimum_length: i32,
    pub symbols: bool,
    pub numbers: bool,
    pub uppercase: bool,
    pub lowercase: bool,
    pub users_may_change: bool,
    pub max_age: Option<i32>,
    pub reuse_prevention: Option<i32>,
    pub hard_expiry: Option<bool>,
}

impl Row for Account {
    type Key = AccountId;
    const TABLE: &'static str = "iam-accounts";

    fn key(&self) -> AccountId {
        self.id
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<Aliases>();
    }
}

/// Aliases are unique over all accounts.
pub struct Aliases;

impl Index for Aliases {
    type Row = Account;
    type Key = Arc<str>;

    fn keys(row: &Account, add: &mut dyn FnMut(Arc<str>)) {
        if let Some(alias) = &row.alias {
            add(alias.clone());
        }
    }
}
