//! What lies beside a service: what it has told, its revisions, and its deployments one by one.

use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{Id128, Time};
use model_ecs as api;
use serde::{Deserialize, Serialize};

use crate::rows::alarm::{AlarmKey, watched};
use crate::rows::progress::Progress;
use crate::rows::service::ServiceKey;
use crate::rows::task::Launch;

/// One line of what a service has told. The number rises by one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceEvent {
    pub key: (ServiceKey, u64),
    pub id: Id128,
    pub at: Time,
    pub text: String,
}

impl Row for ServiceEvent {
    type Key = (ServiceKey, u64);
    const TABLE: &'static str = "ecs-service-events";

    fn key(&self) -> Self::Key {
        self.key.clone()
    }
}

/// What a deployment brings; it never changes, but for what is learned of its images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceRevision {
    /// The service, and the number in the revision's ARN.
    pub key: (ServiceKey, u64),
    pub created_at: Time,
    pub family: Arc<str>,
    pub revision: u32,
    pub launch: Launch,
    #[serde(default)]
    pub providers: Vec<api::CapacityProviderStrategyItem>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<api::NetworkConfiguration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<api::ServiceConnectConfiguration>,
    /// What the images' names meant when the first host looked, by container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_digests: Vec<(Arc<str>, Arc<str>)>,
    /// No more digests are waited for, nor taken.
    #[serde(default, skip_serializing_if = "is_false")]
    pub images_settled: bool,
    /// The first task's host does not tell digests before it pulls: nobody waits for them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub starts_freely: bool,
}

impl ServiceRevision {
    /// What it brings as another revision would, at its beginning.
    pub fn anew(&self, key: (ServiceKey, u64), created_at: Time) -> ServiceRevision {
        ServiceRevision {
            key,
            created_at,
            observed_digests: Vec::new(),
            images_settled: false,
            starts_freely: false,
            ..self.clone()
        }
    }

    /// Whether it brings what the other does.
    pub fn is_like(&self, other: &ServiceRevision) -> bool {
        let as_other = |one: &ServiceRevision| one.anew(other.key.clone(), other.created_at);
        as_other(self) == as_other(other)
    }

    pub fn digest(&self, container: &str) -> Option<&str> {
        let found = self.observed_digests.iter().find(|(name, _)| **name == *container);
        found.map(|(_, digest)| &**digest)
    }

    pub fn arn(&self) -> String {
        revision_arn(&self.key.0, self.key.1)
    }
}

pub fn revision_arn((cluster, name): &ServiceKey, revision: u64) -> String {
    let (scope, cluster) = cluster;
    scope.arn("ecs", format_args!("service-revision/{cluster}/{name}/{revision}"))
}

impl Row for ServiceRevision {
    type Key = (ServiceKey, u64);
    const TABLE: &'static str = "ecs-service-revisions";

    fn key(&self) -> Self::Key {
        self.key.clone()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RecordStatus {
    InProgress,
    Successful,
    Stopped,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl RecordStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            RecordStatus::InProgress => "IN_PROGRESS",
            RecordStatus::Successful => "SUCCESSFUL",
            RecordStatus::Stopped => "STOPPED",
            RecordStatus::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            RecordStatus::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            RecordStatus::RollbackFailed => "ROLLBACK_FAILED",
        }
    }

    pub fn is_over(self) -> bool {
        !matches!(self, RecordStatus::InProgress | RecordStatus::RollbackInProgress)
    }
}

/// The way back to an older revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollback {
    pub reason: String,
    pub started_at: Time,
    pub revision: u64,
}

/// How many tasks a revision had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub revision: u64,
    pub requested: u32,
    pub running: u32,
    pub pending: u32,
}

/// A deployment in the history: AWS calls it a service deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeploymentRecord {
    /// The service, and the last part of the record's ARN.
    pub key: (ServiceKey, Arc<str>),
    /// Rises with each deployment of the service.
    pub number: u64,
    pub created_at: Time,
    pub updated_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Time>,
    pub status: RecordStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Revisions that it took the place of.
    #[serde(default)]
    pub sources: Vec<u64>,
    pub target: u64,
    pub configuration: api::DeploymentConfiguration,
    /// The breaker has given it up.
    #[serde(default)]
    pub triggered: bool,
    #[serde(default)]
    pub failed_tasks: u32,
    #[serde(default)]
    pub threshold: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// An alarm rang as it began: it does not mind them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub alarms_ignored: bool,
    /// Alarms that ended it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms_triggered: Vec<String>,
    /// How far it has got, where it goes through stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Box<Progress>>,
    /// What its revisions had when it was complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<Counted>,
}

fn is_false(given: &bool) -> bool {
    !given
}

impl DeploymentRecord {
    pub fn arn(&self) -> String {
        record_arn(&self.key.0, &self.key.1)
    }
}

pub fn record_arn((cluster, name): &ServiceKey, id: &str) -> String {
    let (scope, cluster) = cluster;
    scope.arn("ecs", format_args!("service-deployment/{cluster}/{name}/{id}"))
}

impl Row for DeploymentRecord {
    type Key = (ServiceKey, Arc<str>);
    const TABLE: &'static str = "ecs-service-deployments";

    fn key(&self) -> Self::Key {
        self.key.clone()
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<RecordsInOrder>();
        declare.index::<CallsDue>();
        declare.index::<Watching>();
    }
}

/// A service's deployments in the order in which they began.
pub struct RecordsInOrder;

impl Index for RecordsInOrder {
    type Row = DeploymentRecord;
    type Key = (ServiceKey, u64);

    fn keys(row: &DeploymentRecord, add: &mut dyn FnMut(Self::Key)) {
        add((row.key.0.clone(), row.number));
    }
}

/// Deployments with webhooks that are to be called now.
pub struct CallsDue;

impl Index for CallsDue {
    type Row = DeploymentRecord;
    type Key = ();

    fn keys(row: &DeploymentRecord, add: &mut dyn FnMut(())) {
        let hooks = row.progress.iter().flat_map(|progress| &progress.hooks);
        if hooks.into_iter().any(|hook| hook.due) {
            add(());
        }
    }
}

/// Deployments under way that an alarm would end.
pub struct Watching;

impl Index for Watching {
    type Row = DeploymentRecord;
    type Key = AlarmKey;

    fn keys(row: &DeploymentRecord, add: &mut dyn FnMut(AlarmKey)) {
        if row.status == RecordStatus::InProgress && !row.alarms_ignored {
            let scope = row.key.0.0.0;
            let names = watched(&row.configuration).iter();
            names.for_each(|name| add((scope, name.as_str().into())));
        }
    }
}
