//! A group of users. Its members stand in the users' rows.

use core_state::{Declare, Row};
use serde::{Deserialize, Serialize};

use super::entity::{ByAttached, Entity, Head, Held, Holder, Key, fold};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    #[serde(flatten)]
    pub head: Head,
    #[serde(default)]
    pub held: Held,
}

impl Row for Group {
    type Key = Key;
    const TABLE: &'static str = "iam-groups";

    fn key(&self) -> Key {
        (self.head.account, fold(&self.head.name))
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<ByAttached<Group>>();
    }
}

impl Entity for Group {
    const KIND: &'static str = "group";
    const MISSING: &'static str = "The group with name {} cannot be found.";

    fn head(&self) -> &Head {
        &self.head
    }
}

impl Holder for Group {
    const PLURAL: &'static str = "PoliciesPerGroup";
    const INLINE_QUOTA: usize = 5120;

    fn held(&self) -> &Held {
        &self.held
    }

    fn held_mut(&mut self) -> &mut Held {
        &mut self.held
    }
}
