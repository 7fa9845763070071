//! An IAM user.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::Time;
use serde::{Deserialize, Serialize};

use super::entity::{ByAttached, ByBoundary, Entity, Head, Held, Holder, Key, Tags, fold};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    #[serde(flatten)]
    pub head: Head,
    #[serde(default)]
    pub held: Held,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<Arc<str>>,
    /// Names of its groups, in lower case.
    #[serde(default)]
    pub groups: BTreeSet<Arc<str>>,
    #[serde(default)]
    pub tags: Tags,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
}

/// A password of the user, as a salted hash.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Login {
    pub created_at: Time,
    pub changed_at: Time,
    pub reset_required: bool,
    pub hash: PasswordHash,
    /// Former ones, newest first, as many as the largest reuse prevention can ask for.
    #[serde(default)]
    pub former: Vec<PasswordHash>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct PasswordHash {
    pub salt: Vec<u8>,
    pub hash: Vec<u8>,
}

/// Hashes do not get into logs by way of `{:?}`.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login(since {})", self.changed_at)
    }
}

impl Row for User {
    type Key = Key;
    const TABLE: &'static str = "iam-users";

    fn key(&self) -> Key {
        (self.head.account, fold(&self.head.name))
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<ByAttached<User>>();
        declare.index::<ByBoundary<User>>();
        declare.index::<MembersOf>();
    }
}

impl Entity for User {
    const KIND: &'static str = "user";
    const MISSING: &'static str = "The user with name {} cannot be found.";

    fn head(&self) -> &Head {
        &self.head
    }
}

impl Holder for User {
    const PLURAL: &'static str = "PoliciesPerUser";
    const INLINE_QUOTA: usize = 2048;

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
}

/// The members of a group, by its key.
pub struct MembersOf;

impl Index for MembersOf {
    type Row = User;
    type Key = Key;

    fn keys(row: &User, add: &mut dyn FnMut(Key)) {
        for group in &row.groups {
            add((row.head.account, group.clone()));
        }
    }
}
