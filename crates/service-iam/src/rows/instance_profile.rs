//! An instance profile: the wrapping by which a host gets a role.

use std::sync::Arc;

use core_state::{Declare, Index, Row};
use serde::{Deserialize, Serialize};

use super::entity::{Entity, Head, Key, Tags, fold};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceProfile {
    #[serde(flatten)]
    pub head: Head,
    /// The name of its role, in lower case. AWS: at most one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Arc<str>>,
    #[serde(default)]
    pub tags: Tags,
}

impl Row for InstanceProfile {
    type Key = Key;
    const TABLE: &'static str = "iam-instance-profiles";

    fn key(&self) -> Key {
        (self.head.account, fold(&self.head.name))
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<ProfilesOf>();
    }
}

impl Entity for InstanceProfile {
    const KIND: &'static str = "instance-profile";
    const MISSING: &'static str = "Instance Profile {} cannot be found.";

    fn head(&self) -> &Head {
        &self.head
    }
}

/// The instance profiles of a role, by its key.
pub struct ProfilesOf;

impl Index for ProfilesOf {
    type Row = InstanceProfile;
    type Key = Key;

    fn keys(row: &InstanceProfile, add: &mut dyn FnMut(Key)) {
        if let Some(role) = &row.role {
            add((row.head.account, role.clone()));
        }
    }
}
