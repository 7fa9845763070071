//! An account setting that someone has made.

use std::sync::Arc;

use core_state::Row;
use core_types::Scope;
use serde::{Deserialize, Serialize};

/// Where, whose (an ARN; the account's default is the root's), and which setting.
pub type AccountSettingKey = (Scope, Arc<str>, Arc<str>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountSetting {
    pub key: AccountSettingKey,
    pub value: Arc<str>,
}

impl Row for AccountSetting {
    type Key = AccountSettingKey;
    const TABLE: &'static str = "ecs-account-settings";

    fn key(&self) -> AccountSettingKey {
        self.key.clone()
    }
}
