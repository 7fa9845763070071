//! A log group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use core_state::{Declare, Index, Row};
use core_types::{Id128, Scope, Time};
use serde::{Deserialize, Serialize};

pub type GroupKey = (Scope, Arc<str>);

const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogGroup {
    /// Where it lives, and its name.
    pub key: GroupKey,
    /// Its lines are kept under this: a group of the same name made later has another one.
    pub id: Id128,
    pub created_at: Time,
    pub class: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    #[serde(default)]
    pub deletion_protected: bool,
}

impl LogGroup {
    pub fn scope(&self) -> Scope {
        self.key.0
    }

    pub fn name(&self) -> &str {
        &self.key.1
    }

    pub fn arn(&self) -> String {
        arn_of(self.key.0, &self.key.1)
    }

    /// Lines from before this time have expired.
    pub fn expired(&self, now: Time) -> Option<Time> {
        self.retention_days.map(|days| now - DAY * days)
    }
}

/// The ARN without AWS's `:*`.
pub fn arn_of(scope: Scope, name: &str) -> String {
    scope.arn("logs", format_args!("log-group:{name}"))
}

impl Row for LogGroup {
    type Key = GroupKey;
    const TABLE: &'static str = "logs-groups";

    fn key(&self) -> GroupKey {
        self.key.clone()
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<GroupById>();
    }
}

pub struct GroupById;

impl Index for GroupById {
    type Row = LogGroup;
    type Key = Id128;

    fn keys(row: &LogGroup, add: &mut dyn FnMut(Id128)) {
        add(row.id);
    }
}
