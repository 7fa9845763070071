//! Daemon task definitions, by family and revision, and the families that count them.

use std::sync::Arc;
use std::time::Duration;

use aws_protocol::Timestamp;
use core_state::{Declare, Index, Row};
use core_types::{Scope, Time};
use model_ecs as api;
use serde::{Deserialize, Serialize};

use crate::rows::task_definition::{Down, FamilyKey, TaskDefinitionKey};

/// A family: it outlives its revisions, because their numbers are never given twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DaemonFamily {
    pub key: FamilyKey,
    pub last_revision: u32,
}

impl Row for DaemonFamily {
    type Key = FamilyKey;
    const TABLE: &'static str = "ecs-daemon-task-definition-families";

    fn key(&self) -> FamilyKey {
        self.key.clone()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DaemonTaskDefinition {
    pub key: TaskDefinitionKey,
    /// As AWS shows it, but for its status.
    pub definition: api::DaemonTaskDefinition,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<api::Tag>,
    /// Set once it is deleted: when it is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_at: Option<Time>,
}

/// AWS: nothing holds a deleted one, as deployments have copies, and it is described as DELETED for a
/// while: SDKs wait for that, for two minutes at most.
const DELETED_IN: Duration = Duration::from_secs(3);
const DESCRIBED_FOR: Duration = Duration::from_secs(600);

impl DaemonTaskDefinition {
    pub fn delete(&mut self, now: Time) {
        self.definition.delete_requested_at = Some(Timestamp::from_millis(now.millis()));
        self.forget_at = Some(now + DELETED_IN + DESCRIBED_FOR);
    }

    pub fn status(&self, now: Time) -> api::DaemonTaskDefinitionStatus {
        match self.forget_at {
            None => api::DaemonTaskDefinitionStatus::ACTIVE,
            Some(at) if now + DESCRIBED_FOR < at => {
                api::DaemonTaskDefinitionStatus::DELETE_IN_PROGRESS
            }
            Some(_) => api::DaemonTaskDefinitionStatus::DELETED,
        }
    }

    pub fn active(&self) -> bool {
        self.forget_at.is_none()
    }

    pub fn arn(&self) -> String {
        let (scope, family, revision) = &self.key;
        arn_of(*scope, family, *revision)
    }
}

pub fn arn_of(scope: Scope, family: &str, revision: u32) -> String {
    scope.arn("ecs", format_args!("daemon-task-definition/{family}:{revision}"))
}

impl Row for DaemonTaskDefinition {
    type Key = TaskDefinitionKey;
    const TABLE: &'static str = "ecs-daemon-task-definitions";

    fn key(&self) -> TaskDefinitionKey {
        self.key.clone()
    }

    fn wake_at(&self) -> Option<Time> {
        self.forget_at
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<DaemonsBy>();
        declare.index::<NewestDaemons>();
    }
}

/// Each stands under whether it is ACTIVE, and under `None`, for all.
pub struct DaemonsBy;

impl Index for DaemonsBy {
    type Row = DaemonTaskDefinition;
    type Key = (Scope, Option<bool>);

    fn keys(row: &DaemonTaskDefinition, add: &mut dyn FnMut(Self::Key)) {
        add((row.key.0, Some(row.active())));
        add((row.key.0, None));
    }
}

/// The same from its end.
pub struct NewestDaemons;

impl Index for NewestDaemons {
    type Row = DaemonTaskDefinition;
    type Key = (Scope, Option<bool>, Down);

    fn keys(row: &DaemonTaskDefinition, add: &mut dyn FnMut(Self::Key)) {
        let place: (Arc<str>, u32) = (row.key.1.clone(), row.key.2);
        add((row.key.0, Some(row.active()), Down::At(place.0.clone(), place.1)));
        add((row.key.0, None, Down::At(place.0, place.1)));
    }
}
