//! A task set: a version of a service whose deployments somebody outside decides on. He says of
//! each which share of the service's tasks it has.

use std::sync::Arc;

use core_state::Row;
use core_types::Time;
use model_ecs as api;
use serde::{Deserialize, Serialize};

use crate::rows::service::{Deployment, ServiceKey, Told};
use crate::rows::task::Launch;

/// Its service and its id, `ecs-svc/…`.
pub type TaskSetKey = (ServiceKey, Arc<str>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSet {
    pub key: TaskSetKey,
    /// The one that the service shows as its own.
    #[serde(default)]
    pub primary: bool,
    /// Deleted; its tasks are on their way out.
    #[serde(default)]
    pub draining: bool,
    /// What it brings, and how its tasks fail.
    pub deployment: Deployment,
    pub launch: Launch,
    /// Of the service's desired count.
    pub percent: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<Arc<str>>,
    #[serde(default)]
    pub tags: Vec<api::Tag>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<(Arc<str>, u64)>,
    pub created_at: Time,
    pub updated_at: Time,
    #[serde(default)]
    pub waiting: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// Since when it has what it should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_at: Option<Time>,
    /// When it last became steady, or ceased to be.
    pub stability_at: Time,
}

impl TaskSet {
    pub fn arn(&self) -> String {
        arn_of(&self.key.0, &self.key.1)
    }

    /// AWS: the share of the service's count, rounded up.
    pub fn desired(&self, of_service: u32) -> u32 {
        if self.draining {
            return 0;
        }
        // A percent between 0 and 100 of a small number: exact enough, and never beyond it.
        ((f64::from(of_service) * self.percent / 100.0).ceil() as u32).min(of_service)
    }
}

pub fn arn_of((cluster, name): &ServiceKey, id: &str) -> String {
    let (scope, cluster) = cluster;
    scope.arn("ecs", format_args!("task-set/{cluster}/{name}/{id}"))
}

impl Row for TaskSet {
    type Key = TaskSetKey;
    const TABLE: &'static str = "ecs-task-sets";

    fn key(&self) -> TaskSetKey {
        self.key.clone()
    }
}
