//! What lies beside a daemon: its revisions, and its deployments one by one.

use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::Time;
use model_ecs as api;
use serde::{Deserialize, Serialize};

use crate::rows::alarm::AlarmKey;
use crate::rows::daemon::DaemonKey;

/// What a deployment brings; it never changes.
///
/// AWS: it is a snapshot. The daemon task definition may be deleted while its tasks run, so that
/// they are started from, and told to their hosts by, the copy that is here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DaemonRevision {
    /// The daemon, and the number in the revision's ARN.
    pub key: (DaemonKey, u64),
    pub created_at: Time,
    /// The daemon task definition that it was made from.
    pub family: Arc<str>,
    pub revision: u32,
    /// The same as hosts and placement know definitions.
    pub definition: api::TaskDefinition,
    /// Whether a host takes no tasks without it.
    pub critical: bool,
    #[serde(default)]
    pub managed_tags: bool,
    #[serde(default)]
    pub exec_enabled: bool,
    /// Whether its tasks get the daemon's tags.
    #[serde(default)]
    pub propagate: bool,
}

impl DaemonRevision {
    pub fn arn(&self) -> String {
        revision_arn(&self.key.0, self.key.1)
    }

    /// Whether it brings what the other does.
    pub fn is_like(&self, other: &DaemonRevision) -> bool {
        let (key, created_at) = (other.key.clone(), other.created_at);
        DaemonRevision { key, created_at, ..self.clone() } == *other
    }
}

pub fn revision_arn((cluster, name): &DaemonKey, revision: u64) -> String {
    let (scope, cluster) = cluster;
    scope.arn("ecs", format_args!("daemon-revision/{cluster}/{name}/{revision}"))
}

impl Row for DaemonRevision {
    type Key = (DaemonKey, u64);
    const TABLE: &'static str = "ecs-daemon-revisions";

    fn key(&self) -> Self::Key {
        self.key.clone()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DaemonDeploymentStatus {
    Pending,
    InProgress,
    Successful,
    Stopped,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl DaemonDeploymentStatus {
    pub fn as_str(self) -> &'static str {
        use DaemonDeploymentStatus::*;
        match self {
            Pending => "PENDING",
            InProgress => "IN_PROGRESS",
            Successful => "SUCCESSFUL",
            Stopped => "STOPPED",
            RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            RollbackFailed => "ROLLBACK_FAILED",
        }
    }

    pub fn is_over(self) -> bool {
        use DaemonDeploymentStatus::*;
        matches!(self, Successful | Stopped | RollbackSuccessful | RollbackFailed)
    }
}

/// The way back to the revision that last did well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DaemonRollback {
    pub reason: String,
    pub started_at: Time,
    pub revision: u64,
    pub providers: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DaemonDeployment {
    /// The daemon, and the last part of the deployment's ARN.
    pub key: (DaemonKey, Arc<str>),
    /// Rises with each deployment of the daemon.
    pub number: u64,
    pub created_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Time>,
    pub status: DaemonDeploymentStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Revisions that it takes the place of.
    #[serde(default)]
    pub sources: Vec<u64>,
    /// None where it takes the daemon away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<u64>,
    #[serde(default)]
    pub providers: Vec<Arc<str>>,
    pub configuration: api::DaemonDeploymentConfiguration,
    /// Tasks that failed, and how many are too many.
    #[serde(default)]
    pub failed_tasks: u32,
    #[serde(default)]
    pub threshold: u32,
    /// The breaker has given it up.
    #[serde(default)]
    pub triggered: bool,
    /// Alarms that were in ALARM as it began. AWS: they do not end it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored_alarms: Vec<String>,
    /// Alarms that went off while it was under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggered_alarms: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<DaemonRollback>,
    /// Since when every host has it. AWS: from then on it bakes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baking_since: Option<Time>,
}

impl DaemonDeployment {
    /// The alarms that would end it.
    pub fn watched(&self) -> impl Iterator<Item = &String> {
        let alarms = self.configuration.alarms.as_ref();
        let alarms = alarms.filter(|alarms| alarms.enable == Some(true));
        let under_way = matches!(
            self.status,
            DaemonDeploymentStatus::Pending | DaemonDeploymentStatus::InProgress
        );
        let names = alarms.filter(|_| under_way).and_then(|alarms| alarms.alarm_names.as_ref());
        names.into_iter().flatten().filter(|name| !self.ignored_alarms.contains(name))
    }

    pub fn arn(&self) -> String {
        deployment_arn(&self.key.0, &self.key.1)
    }
}

pub fn deployment_arn((cluster, name): &DaemonKey, id: &str) -> String {
    let (scope, cluster) = cluster;
    scope.arn("ecs", format_args!("daemon-deployment/{cluster}/{name}/{id}"))
}

impl Row for DaemonDeployment {
    type Key = (DaemonKey, Arc<str>);
    const TABLE: &'static str = "ecs-daemon-deployments";

    fn key(&self) -> Self::Key {
        self.key.clone()
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<DaemonDeploymentsInOrder>();
        declare.index::<WatchingDaemons>();
    }
}

/// Deployments under way that an alarm would end.
pub struct WatchingDaemons;

impl Index for WatchingDaemons {
    type Row = DaemonDeployment;
    type Key = AlarmKey;

    fn keys(row: &DaemonDeployment, add: &mut dyn FnMut(AlarmKey)) {
        let scope = row.key.0.0.0;
        row.watched().for_each(|name| add((scope, name.as_str().into())));
    }
}

/// A daemon's deployments in the order in which they began.
pub struct DaemonDeploymentsInOrder;

impl Index for DaemonDeploymentsInOrder {
    type Row = DaemonDeployment;
    type Key = (DaemonKey, u64);

    fn keys(row: &DaemonDeployment, add: &mut dyn FnMut(Self::Key)) {
        add((row.key.0.clone(), row.number));
    }
}
