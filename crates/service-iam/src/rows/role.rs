//! A role, and what is left of a service-linked one that was deleted.

use std::sync::Arc;

use core_state::{Declare, Row};
use core_types::{AccountId, Time};
use serde::{Deserialize, Serialize};

use super::document::{Document, Trust};
use super::entity::{ByAttached, ByBoundary, Entity, Head, Held, Holder, Key, Tags, fold};
use super::last_use::LastUse;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    #[serde(flatten)]
    pub head: Head,
    #[serde(default)]
    pub held: Held,
    pub trust: Document<Trust>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Arc<str>>,
    /// The longest session, in seconds.
    pub max_session: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<Arc<str>>,
    #[serde(default)]
    pub tags: Tags,
    /// The service that a service-linked role is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_to: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<LastUse>,
}

impl Row for Role {
    type Key = Key;
    const TABLE: &'static str = "iam-roles";

    fn key(&self) -> Key {
        (self.head.account, fold(&self.head.name))
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<ByAttached<Role>>();
        declare.index::<ByBoundary<Role>>();
    }
}

impl Entity for Role {
    const KIND: &'static str = "role";
    const MISSING: &'static str = "The role with name {} cannot be found.";

    fn head(&self) -> &Head {
        &self.head
    }
}

impl Holder for Role {
    const PLURAL: &'static str = "PoliciesPerRole";
    const INLINE_QUOTA: usize = 10240;

    fn held(&self) -> &Held {
        &self.held
    }

    fn held_mut(&mut self) -> &mut Held {
        &mut self.held
    }

    fn own_tags(&self) -> Option<&Tags> {
        Some(&self.tags)
    }

    fn boundary(&self) -> Option<&Arc<str>> {
        self.boundary.as_ref()
    }

    fn protected_by(&self) -> Option<&str> {
        self.linked_to.as_deref()
    }
}

/// A service-linked role's deletion, kept so that its status can be asked for. Nothing here uses
/// such a role so that it could not go, so every deletion has succeeded once it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkedRoleDeletion {
    pub account: AccountId,
    pub task: Arc<str>,
    pub at: Time,
}

impl Row for LinkedRoleDeletion {
    type Key = Key;
    const TABLE: &'static str = "iam-linked-role-deletions";

    fn key(&self) -> Key {
        (self.account, self.task.clone())
    }
}
