//! Task definitions by family and revision, and the families that count them.

use std::cmp::Ordering;
use std::sync::Arc;

use core_state::{Declare, Index, Row, RowKey};
use core_types::{Scope, Time};
use model_ecs as api;
use serde::{Deserialize, Serialize};

pub type FamilyKey = (Scope, Arc<str>);
pub type TaskDefinitionKey = (Scope, Arc<str>, u32);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    #[default]
    Active,
    Inactive,
    DeleteInProgress,
}

impl RowKey for Status {
    fn least() -> Self {
        Status::Active
    }
}

impl Status {
    pub fn wire(self) -> api::TaskDefinitionStatus {
        match self {
            Status::Active => api::TaskDefinitionStatus::ACTIVE,
            Status::Inactive => api::TaskDefinitionStatus::INACTIVE,
            Status::DeleteInProgress => api::TaskDefinitionStatus::DELETE_IN_PROGRESS,
        }
    }
}

/// A family: it outlives its revisions, because their numbers are never given twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Family {
    pub key: FamilyKey,
    pub last_revision: u32,
    /// How many revisions are ACTIVE.
    pub active: u32,
    /// How many revisions are INACTIVE.
    pub inactive: u32,
}

impl Row for Family {
    type Key = FamilyKey;
    const TABLE: &'static str = "ecs-task-definition-families";

    fn key(&self) -> FamilyKey {
        self.key.clone()
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<FamiliesBy>();
    }
}

/// Families by whether they are ACTIVE (have an ACTIVE revision) or INACTIVE (have only others);
/// each stands under its status and under `None`, for all of them.
pub struct FamiliesBy;

impl Index for FamiliesBy {
    type Row = Family;
    type Key = (Scope, Option<Status>);

    fn keys(row: &Family, add: &mut dyn FnMut(Self::Key)) {
        let status = match (row.active, row.inactive) {
            (1.., _) => Status::Active,
            (0, 1..) => Status::Inactive,
            (0, 0) => return,
        };
        add((row.key.0, Some(status)));
        add((row.key.0, None));
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDefinition {
    pub key: TaskDefinitionKey,
    pub status: Status,
    /// As AWS shows it, but for its status and the times that go with it.
    pub definition: api::TaskDefinition,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<api::Tag>,
    /// When a deleted one is forgotten, should nothing run from it by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_at: Option<Time>,
}

impl TaskDefinition {
    pub fn arn(&self) -> String {
        let (scope, family, revision) = &self.key;
        arn_of(*scope, family, *revision)
    }
}

pub fn arn_of(scope: Scope, family: &str, revision: u32) -> String {
    scope.arn("ecs", format_args!("task-definition/{family}:{revision}"))
}

impl Row for TaskDefinition {
    type Key = TaskDefinitionKey;
    const TABLE: &'static str = "ecs-task-definitions";

    fn key(&self) -> TaskDefinitionKey {
        self.key.clone()
    }

    fn wake_at(&self) -> Option<Time> {
        self.forget_at
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<TaskDefinitionsBy>();
        declare.index::<NewestFirst>();
    }
}

/// Revisions of one status, families by name, each from its oldest on.
pub struct TaskDefinitionsBy;

impl Index for TaskDefinitionsBy {
    type Row = TaskDefinition;
    type Key = (Scope, Status);

    fn keys(row: &TaskDefinition, add: &mut dyn FnMut(Self::Key)) {
        add((row.key.0, row.status));
    }
}

/// The same from its end: so a family's latest ACTIVE revision is one look-up.
pub struct NewestFirst;

impl Index for NewestFirst {
    type Row = TaskDefinition;
    type Key = (Scope, Status, Down);

    fn keys(row: &TaskDefinition, add: &mut dyn FnMut(Self::Key)) {
        add((row.key.0, row.status, Down::At(row.key.1.clone(), row.key.2)));
    }
}

/// A place in the descending order of families and revisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Down {
    /// Above everything.
    Top,
    At(Arc<str>, u32),
}

impl Ord for Down {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Down::Top, Down::Top) => Ordering::Equal,
            (Down::Top, Down::At(..)) => Ordering::Less,
            (Down::At(..), Down::Top) => Ordering::Greater,
            (Down::At(a, n), Down::At(b, m)) => (b, m).cmp(&(a, n)),
        }
    }
}

impl PartialOrd for Down {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl RowKey for Down {
    fn least() -> Self {
        Down::Top
    }
}
