//! A task: what is wanted of it, and what its host has seen.
//!
//! The row is kept small, because there are many: what few tasks have (overrides, tags,
//! attachments) sits behind one pointer, and names are shared text.

use std::sync::Arc;

use core_state::{Declare, Index, Row, Tally};
use core_task::{
    ContainerReport, ContainerState, ContainerStatus, Desired, TaskReport, TaskState, TaskStatus,
};
use core_types::{Id128, Time};
use model_ecs as api;
use serde::{Deserialize, Serialize};

use crate::rows::cluster::ClusterKey;

/// Where a task runs, or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Launch {
    Ec2,
    Fargate,
    External,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Container {
    pub name: Arc<str>,
    pub observed_status: ContainerStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<Arc<str>>,
}

/// What most tasks do not have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Extras {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<api::TaskOverride>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<api::Tag>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub id: Id128,
    pub cluster: ClusterKey,
    pub family: Arc<str>,
    pub revision: u32,
    pub launch: Launch,
    /// The container instance that it is placed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Id128>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<Arc<str>>,
    pub desired_status: Desired,
    pub observed_status: TaskStatus,
    pub containers: Box<[Container]>,
    pub created_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_started_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_stopped_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_stopped_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_reason: Option<Arc<str>>,
    /// Counts observed changes; events carry it so that a reader can order them.
    pub version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extras: Option<Box<Extras>>,
}

impl Row for Task {
    type Key = Id128;
    const TABLE: &'static str = "ecs-tasks";

    fn key(&self) -> Id128 {
        self.id
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<TasksIn>();
        declare.index::<TasksOn>();
        declare.index::<TasksOfService>();
        declare.tally::<ClusterTasks>();
        declare.tally::<HostTasks>();
    }
}

/// Tasks of a cluster, those that should run apart from those that should not.
pub struct TasksIn;

impl Index for TasksIn {
    type Row = Task;
    type Key = (ClusterKey, bool);

    fn keys(row: &Task, add: &mut dyn FnMut(Self::Key)) {
        add((row.cluster.clone(), row.desired_status == Desired::Running));
    }
}

/// Tasks that a host has.
pub struct TasksOn;

impl Index for TasksOn {
    type Row = Task;
    type Key = Id128;

    fn keys(row: &Task, add: &mut dyn FnMut(Id128)) {
        if let Some(host) = row.host {
            add(host);
        }
    }
}

/// Tasks of a service, by cluster and name.
pub struct TasksOfService;

impl Index for TasksOfService {
    type Row = Task;
    type Key = (ClusterKey, Arc<str>);

    fn keys(row: &Task, add: &mut dyn FnMut(Self::Key)) {
        if let Some(service) = &row.service {
            add((row.cluster.clone(), service.clone()));
        }
    }
}

/// The two counts that AWS shows: RUNNING, and everything on the way there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Count {
    Pending,
    Running,
}

impl core_state::RowKey for Count {
    fn least() -> Self {
        Count::Pending
    }
}

impl core_state::RowKey for Launch {
    fn least() -> Self {
        Launch::Ec2
    }
}

impl Task {
    fn counts_as(&self) -> Option<Count> {
        match self.observed_status {
            TaskStatus::Running => Some(Count::Running),
            status if status < TaskStatus::Running => Some(Count::Pending),
            _ => None,
        }
    }
}

pub struct ClusterTasks;

impl Tally for ClusterTasks {
    type Row = Task;
    type Key = (ClusterKey, Launch, Count);

    fn counts(row: &Task, add: &mut dyn FnMut(Self::Key, i64)) {
        if let Some(count) = row.counts_as() {
            add((row.cluster.clone(), row.launch, count), 1);
        }
    }
}

pub struct HostTasks;

impl Tally for HostTasks {
    type Row = Task;
    type Key = (Id128, Count);

    fn counts(row: &Task, add: &mut dyn FnMut(Self::Key, i64)) {
        if let (Some(host), Some(count)) = (row.host, row.counts_as()) {
            add((host, count), 1);
        }
    }
}

fn fill<T>(known: &mut Option<T>, told: Option<T>) -> bool {
    let new = known.is_none() && told.is_some();
    if new {
        *known = told;
    }
    new
}

impl ContainerState for Container {
    fn name(&self) -> &str {
        &self.name
    }

    fn status(&self) -> ContainerStatus {
        self.observed_status
    }

    fn set_status(&mut self, status: ContainerStatus) {
        self.observed_status = status;
    }

    fn learn(&mut self, report: &ContainerReport<'_>) -> bool {
        let id = fill(&mut self.runtime_id, report.runtime_id.map(Arc::from));
        let exit = fill(&mut self.exit_code, report.exit_code);
        fill(&mut self.reason, report.reason.map(Arc::from)) || exit || id
    }
}

impl TaskState for Task {
    type Container = Container;

    fn status(&self) -> TaskStatus {
        self.observed_status
    }

    fn set_status(&mut self, status: TaskStatus) {
        self.observed_status = status;
    }

    fn containers(&mut self) -> &mut [Container] {
        &mut self.containers
    }

    fn learn(&mut self, report: &TaskReport<'_>) -> bool {
        let started = fill(&mut self.pull_started_at, report.pull_started_at);
        let stopped = fill(&mut self.pull_stopped_at, report.pull_stopped_at);
        fill(&mut self.execution_stopped_at, report.execution_stopped_at) || started || stopped
    }
}
