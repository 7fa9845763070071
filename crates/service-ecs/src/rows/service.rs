//! A service: what is wanted of it, and its deployments, the newest first.
//!
//! Its tasks are rows of their own and are counted by tallies. What it tells, its revisions and
//! the history of its deployments lie beside it, so that a change of the service stays small.

use std::sync::Arc;

use core_state::{Declare, Index, Row, Tally};
use core_types::{Id128, Scope, Time};
use model_ecs as api;
use serde::{Deserialize, Serialize};

use crate::rows::cluster::ClusterKey;
use crate::rows::task::Launch;

/// Its cluster and its name.
pub type ServiceKey = (ClusterKey, Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ServiceStatus {
    Active,
    /// Deleted; its tasks are on their way out.
    Draining,
    /// Deleted: only described, for a while.
    Inactive,
}

impl ServiceStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceStatus::Active => "ACTIVE",
            ServiceStatus::Draining => "DRAINING",
            ServiceStatus::Inactive => "INACTIVE",
        }
    }
}

/// Who decides how many tasks of which version there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Controller {
    Ecs,
    /// CodeDeploy, or whoever does its work by the same calls.
    CodeDeploy,
    External,
}

impl Controller {
    pub fn wire(self) -> api::DeploymentControllerType {
        match self {
            Controller::Ecs => api::DeploymentControllerType::ECS,
            Controller::CodeDeploy => api::DeploymentControllerType::CODE_DEPLOY,
            Controller::External => api::DeploymentControllerType::EXTERNAL,
        }
    }

    /// Whether versions are task sets, which somebody outside scales.
    pub fn has_task_sets(self) -> bool {
        self != Controller::Ecs
    }
}

/// Whose tags a service's tasks get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Propagate {
    None,
    Service,
    TaskDefinition,
}

impl Propagate {
    pub fn wire(self) -> api::PropagateTags {
        match self {
            Propagate::None => api::PropagateTags::NONE,
            Propagate::Service => api::PropagateTags::SERVICE,
            Propagate::TaskDefinition => api::PropagateTags::TASK_DEFINITION,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Rollout {
    InProgress,
    Completed,
    Failed,
}

impl Rollout {
    pub fn wire(self) -> api::DeploymentRolloutState {
        match self {
            Rollout::InProgress => api::DeploymentRolloutState::IN_PROGRESS,
            Rollout::Completed => api::DeploymentRolloutState::COMPLETED,
            Rollout::Failed => api::DeploymentRolloutState::FAILED,
        }
    }
}

/// One version on its way in, in place, or on its way out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// `ecs-svc/…`; its tasks carry it as who started them.
    pub id: Arc<str>,
    /// What it brings: a revision of the service.
    pub revision: u64,
    /// Its entry in the history.
    pub record: Arc<str>,
    pub created_at: Time,
    pub updated_at: Time,
    pub rollout: Rollout,
    pub reason: Arc<str>,
    /// Tasks that failed since one last did well.
    #[serde(default)]
    pub failed_tasks: u32,
    /// Starts that failed, for the wait before the next.
    #[serde(default)]
    pub failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Time>,
    /// Of one that did well, while a newer one comes up: the tasks that it has not been asked to give
    /// up.
    #[serde(default)]
    pub keeps: u32,
}

/// The last thing that kept a task from being placed, so that it is not told again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub text: Arc<str>,
    pub at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hindrance: Option<Hindrance>,
}

/// What keeps a service's task from its place, as events name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hindrance {
    /// No instance has room: AWS's word for what is missing, and the one that lacks least.
    Place { word: Arc<str>, instance: Option<Id128>, provider: Option<Arc<str>> },
    /// What the service asks for cannot be.
    Configuration { error: Arc<str> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub key: ServiceKey,
    pub status: ServiceStatus,
    pub daemon: bool,
    pub controller: Controller,
    /// How many tasks there shall be. For a daemon: how many hosts there are for it.
    pub desired_count: u32,
    pub created_at: Time,
    pub created_by: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    pub configuration: api::DeploymentConfiguration,
    #[serde(default)]
    pub constraints: Vec<api::PlacementConstraint>,
    #[serde(default)]
    pub strategy: Vec<api::PlacementStrategy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u32>,
    #[serde(default)]
    pub managed_tags: bool,
    #[serde(default)]
    pub exec_enabled: bool,
    pub propagate: Propagate,
    #[serde(default)]
    pub rebalancing: bool,
    /// Its zones have been told to be uneven, and not to be even again.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub uneven: bool,
    /// Tasks beyond the desired count, to even the zones out: once they serve, as many go.
    #[serde(default)]
    pub extra: u32,
    #[serde(default)]
    pub tags: Vec<api::Tag>,
    /// The token that it was created with, and the call's fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<(Arc<str>, u64)>,
    /// PRIMARY first, then those on their way out, the newest first.
    pub deployments: Vec<Deployment>,
    /// How its tasks are launched, by its newest revision.
    pub launch: Launch,
    /// The one with which it was created, if it was with any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_type: Option<Launch>,
    /// The number of its next event.
    #[serde(default)]
    pub next_event: u64,
    /// Tasks wait for a place.
    #[serde(default)]
    pub waiting: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// Since when nothing is missing and nothing on its way; told so at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady_at: Option<Time>,
    /// A full batch of tasks was started at this time; the next waits for the next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_at: Option<Time>,
    /// When time alone changes what is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_at: Option<Time>,
}

impl Service {
    pub fn name(&self) -> &str {
        &self.key.1
    }

    pub fn cluster(&self) -> &ClusterKey {
        &self.key.0
    }

    pub fn arn(&self) -> String {
        arn_of(&self.key.0, &self.key.1)
    }

    /// Whether a task that was started so is its own to look after. A task set has no others than
    /// its own beside it.
    pub fn minds(&self, started_by: Option<&Arc<str>>) -> bool {
        let own = |one: &Deployment| started_by == Some(&one.id);
        self.controller == Controller::Ecs
            || self.deployments.is_empty()
            || self.deployments.iter().any(own)
    }

    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.first()
    }
}

/// AWS's long form, with the cluster in it.
pub fn arn_of(cluster: &ClusterKey, name: &str) -> String {
    cluster.0.arn("ecs", format_args!("service/{}/{name}", cluster.1))
}

impl Row for Service {
    type Key = ServiceKey;
    const TABLE: &'static str = "ecs-services";

    fn key(&self) -> ServiceKey {
        self.key.clone()
    }

    fn wake_at(&self) -> Option<Time> {
        [self.look_at, self.forget_at].into_iter().flatten().min()
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<ServicesIn>();
        declare.index::<WaitingServices>();
        declare.index::<DaemonServices>();
        declare.index::<BalancedServices>();
        declare.tally::<ClusterServices>();
    }
}

/// Services that lists show. AWS: INACTIVE ones are only described.
pub struct ServicesIn;

impl Index for ServicesIn {
    type Row = Service;
    type Key = ClusterKey;

    fn keys(row: &Service, add: &mut dyn FnMut(ClusterKey)) {
        if row.status != ServiceStatus::Inactive {
            add(row.key.0.clone());
        }
    }
}

/// Where a service's tasks may go: the hosts of its cluster, or Fargate's of its account.
pub fn place_of(cluster: &ClusterKey, launch: Launch) -> ClusterKey {
    match launch {
        Launch::Ec2 | Launch::External => cluster.clone(),
        Launch::Fargate => fargate_of(cluster.0),
    }
}

/// Fargate's hosts, as a cluster without a name.
pub fn fargate_of(scope: Scope) -> ClusterKey {
    (scope, "".into())
}

/// Services with tasks that wait for a place among these hosts.
pub struct WaitingServices;

impl Index for WaitingServices {
    type Row = Service;
    type Key = ClusterKey;

    fn keys(row: &Service, add: &mut dyn FnMut(ClusterKey)) {
        if row.waiting || row.uneven {
            add(place_of(&row.key.0, row.launch));
        }
    }
}

/// Daemons of a cluster.
pub struct DaemonServices;

impl Index for DaemonServices {
    type Row = Service;
    type Key = ClusterKey;

    fn keys(row: &Service, add: &mut dyn FnMut(ClusterKey)) {
        if row.daemon && row.status == ServiceStatus::Active {
            add(row.key.0.clone());
        }
    }
}

/// Services that even out their zones, by where their tasks go.
pub struct BalancedServices;

impl Index for BalancedServices {
    type Row = Service;
    type Key = ClusterKey;

    fn keys(row: &Service, add: &mut dyn FnMut(ClusterKey)) {
        if row.rebalancing && row.status == ServiceStatus::Active {
            add(place_of(&row.key.0, row.launch));
        }
    }
}

/// How many services a cluster has: those that are active, and those that drain.
pub struct ClusterServices;

impl Tally for ClusterServices {
    type Row = Service;
    type Key = (ClusterKey, Launch, bool);
    type Sum = i64;

    fn counts(row: &Service, add: &mut dyn FnMut(Self::Key, i64)) {
        if row.status != ServiceStatus::Inactive {
            let draining = row.status == ServiceStatus::Draining;
            add((row.key.0.clone(), row.launch, draining), 1);
        }
    }
}
