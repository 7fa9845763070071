//! A managed policy that a customer made. AWS's own are built in and are no rows.

use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::Time;
use serde::{Deserialize, Serialize};

use super::document::{Document, Managed};
use super::entity::{Entity, Head, Key, Tags, fold};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    #[serde(flatten)]
    pub head: Head,
    pub updated_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Arc<str>>,
    /// Oldest first.
    pub versions: Vec<Version>,
    /// The number of the version that is in force.
    pub default: u32,
    /// The highest number ever given; numbers are not used again.
    pub last: u32,
    #[serde(default)]
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    pub number: u32,
    pub document: Document<Managed>,
    pub created_at: Time,
}

impl Policy {
    /// The document in force.
    pub fn document(&self) -> &core_policy::Policy {
        let version = self.versions.iter().find(|v| v.number == self.default);
        version.expect("the default version is never deleted").document.policy()
    }
}

impl Row for Policy {
    /// The account and the whole ARN: authorization looks policies up by what is attached.
    type Key = Key;
    const TABLE: &'static str = "iam-policies";

    fn key(&self) -> Key {
        (self.head.account, self.arn().into())
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<PolicyNames>();
    }
}

impl Entity for Policy {
    const KIND: &'static str = "policy";
    const MISSING: &'static str = "Policy {} was not found.";

    fn head(&self) -> &Head {
        &self.head
    }
}

/// AWS: a policy's name is unique in the account, whatever its path.
pub struct PolicyNames;

impl Index for PolicyNames {
    type Row = Policy;
    type Key = Key;

    fn keys(row: &Policy, add: &mut dyn FnMut(Key)) {
        add((row.head.account, fold(&row.head.name)));
    }
}
