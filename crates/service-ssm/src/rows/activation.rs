//! An activation: leave for some machines to become managed instances, for a while.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{Scope, Time};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activation {
    /// A UUID: whoever uses it names no account.
    pub id: Arc<str>,
    pub scope: Scope,
    /// SHA-256 of the code. The code itself is told once, and kept nowhere.
    pub code_digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_name: Option<String>,
    /// The role's name, with its path where it has one.
    pub role: Arc<str>,
    pub limit: u32,
    pub registrations: u32,
    pub created_at: Time,
    pub expires_at: Time,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Row for Activation {
    type Key = Arc<str>;
    const TABLE: &'static str = "ssm-activations";

    fn key(&self) -> Arc<str> {
        self.id.clone()
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<ActivationsOf>();
    }
}

/// By account and region.
pub struct ActivationsOf;

impl Index for ActivationsOf {
    type Row = Activation;
    type Key = Scope;

    fn keys(row: &Activation, add: &mut dyn FnMut(Scope)) {
        add(row.scope);
    }
}
