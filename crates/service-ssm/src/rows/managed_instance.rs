//! A machine that has used an activation. It outlives the activation.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{Scope, Time};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManagedInstance {
    /// `mi-` and 17 hex digits.
    pub id: Arc<str>,
    pub scope: Scope,
    pub activation: Arc<str>,
    /// SHA-256 of the machine's secret, which the machine has made by itself and keeps.
    pub fingerprint: String,
    pub role: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub registered_at: Time,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

pub fn arn_of(scope: Scope, id: &str) -> String {
    scope.arn("ssm", format_args!("managed-instance/{id}"))
}

impl Row for ManagedInstance {
    type Key = Arc<str>;
    const TABLE: &'static str = "ssm-managed-instances";

    fn key(&self) -> Arc<str> {
        self.id.clone()
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<InstanceOfFingerprint>();
    }
}

/// A machine that asks twice is one machine.
pub struct InstanceOfFingerprint;

impl Index for InstanceOfFingerprint {
    type Row = ManagedInstance;
    type Key = (Arc<str>, Arc<str>);

    fn keys(row: &ManagedInstance, add: &mut dyn FnMut(Self::Key)) {
        add((row.activation.clone(), row.fingerprint.as_str().into()));
    }
}
