//! A task: what is wanted of it, and what its host has seen.
//!
//! The row is kept small, because there are many: what few tasks have (overrides, tags,
//! attachments) sits behind one pointer, and names are shared text.

use std::sync::Arc;

use core_state::{Declare, Row};
use core_task::{
    Binding, ContainerReport, ContainerState, ContainerStatus, Desired, Ports, TaskReport,
    TaskState, TaskStatus,
};
use core_types::{Id128, Time};
use model_ecs as api;
use serde::{Deserialize, Serialize};

use crate::rows::cluster::ClusterKey;
use crate::rows::service_tasks::{EndedTasksOf, ServiceTask};
pub use crate::rows::task_indexes::{
    ClusterTasks, Count, Counts, CurrentTasksOf, CurrentTasksOfDaemon, DeploymentTasks, GroupKind,
    HeldOn, HostGroups, HostLoad, HostPorts, Load, TaskOfAttachment, TasksIn, TasksOfDaemon,
    TasksOfService, TasksOn,
};
use crate::rows::waiting::{Waiting, WaitingIn, WaitingTasks};

/// Where a task runs, or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Launch {
    Ec2,
    Fargate,
    External,
}

impl Launch {
    pub fn wire(self) -> api::LaunchType {
        match self {
            Launch::Ec2 => api::LaunchType::EC2,
            Launch::Fargate => api::LaunchType::FARGATE,
            Launch::External => api::LaunchType::EXTERNAL,
        }
    }
}

/// Why a task stopped, in AWS's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCode {
    TaskFailedToStart,
    EssentialContainerExited,
    UserInitiated,
    ServiceSchedulerInitiated,
    SpotInterruption,
    TerminationNotice,
}

impl StopCode {
    pub fn wire(self) -> api::TaskStopCode {
        match self {
            StopCode::TaskFailedToStart => api::TaskStopCode::TASK_FAILED_TO_START,
            StopCode::EssentialContainerExited => api::TaskStopCode::ESSENTIAL_CONTAINER_EXITED,
            StopCode::UserInitiated => api::TaskStopCode::USER_INITIATED,
            StopCode::ServiceSchedulerInitiated => api::TaskStopCode::SERVICE_SCHEDULER_INITIATED,
            StopCode::SpotInterruption => api::TaskStopCode::SPOT_INTERRUPTION,
            StopCode::TerminationNotice => api::TaskStopCode::TERMINATION_NOTICE,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Health {
    Unknown,
    Healthy,
    Unhealthy,
}

impl Health {
    pub fn parse(text: &str) -> Option<Health> {
        match text {
            "UNKNOWN" => Some(Health::Unknown),
            "HEALTHY" => Some(Health::Healthy),
            "UNHEALTHY" => Some(Health::Unhealthy),
            _ => None,
        }
    }

    pub fn wire(self) -> api::HealthStatus {
        match self {
            Health::Unknown => api::HealthStatus::UNKNOWN,
            Health::Healthy => api::HealthStatus::HEALTHY,
            Health::Unhealthy => api::HealthStatus::UNHEALTHY,
        }
    }
}

/// A port of the host that a container has, as the agent told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    pub address: Arc<str>,
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub udp: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<u16>,
    /// Container's and host's ranges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Box<(String, String)>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// The last part of its ARN.
    #[serde(default)]
    pub id: Id128,
    pub name: Arc<str>,
    pub observed_status: ContainerStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bindings: Option<Box<[Bound]>>,
    /// What its health check last said, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_health: Option<(Health, Time)>,
}

impl Container {
    /// One that nobody has seen yet.
    pub fn new(id: Id128, name: Arc<str>) -> Container {
        Container {
            id,
            name,
            observed_status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            runtime_id: None,
            image_digest: None,
            bindings: None,
            observed_health: None,
        }
    }
}

/// The program inside a container that `ExecuteCommand` speaks to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecAgent {
    pub container: Arc<str>,
    pub observed_status: ExecStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ExecStatus {
    Pending,
    Running,
    Stopped,
}

impl ExecStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            ExecStatus::Pending => "PENDING",
            ExecStatus::Running => "RUNNING",
            ExecStatus::Stopped => "STOPPED",
        }
    }
}

/// A network interface or volume that belongs to the task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    pub id: Id128,
    pub kind: Arc<str>,
    pub observed_status: AttachmentStatus,
    pub details: Vec<(Arc<str>, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AttachmentStatus {
    Precreated,
    Created,
    Attaching,
    Attached,
    Detached,
    Deleted,
}

impl AttachmentStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            AttachmentStatus::Precreated => "PRECREATED",
            AttachmentStatus::Created => "CREATED",
            AttachmentStatus::Attaching => "ATTACHING",
            AttachmentStatus::Attached => "ATTACHED",
            AttachmentStatus::Detached => "DETACHED",
            AttachmentStatus::Deleted => "DELETED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        use AttachmentStatus::*;
        let all = [Precreated, Created, Attaching, Attached, Detached, Deleted];
        all.into_iter().find(|status| status.as_str() == text)
    }
}

/// What most tasks do not have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extras {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overrides: Option<api::TaskOverride>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<api::Tag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_provider: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exec_agents: Vec<ExecAgent>,
    /// Containers by name, with the ids of the GPUs that they have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<(Arc<str>, Vec<Arc<str>>)>,
    /// No scale-in or deployment stops it before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected_until: Option<Time>,
    /// Whose it is, where it is a managed daemon's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daemon: Option<OfDaemon>,
    /// What those say that bring it its users: load balancers, registries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_traffic: Option<Health>,
    /// It waits for an instance of its capacity provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Box<Waiting>>,
}

/// A managed daemon of the task's cluster, and the number of its revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfDaemon {
    pub name: Arc<str>,
    pub revision: u64,
}

/// A port of the host that a task takes whatever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPort {
    pub udp: bool,
    pub port: u16,
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
    /// Where it is not its family's or its service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<Arc<str>>,
    /// What it holds of its host: CPU units, MiB, ports.
    #[serde(default)]
    pub cpu: u32,
    #[serde(default)]
    pub memory: u32,
    #[serde(default)]
    pub ports: Box<[HostPort]>,
    #[serde(default)]
    pub exec_enabled: bool,
    /// Under which its containers ask for their role's credentials; a secret.
    #[serde(default)]
    pub credentials_id: Id128,
    pub desired_status: Desired,
    pub observed_status: TaskStatus,
    pub containers: Box<[Container]>,
    /// The last desired status that its host has acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_acknowledged: Option<Desired>,
    /// Its host was lost with it: it counts as stopped, but may still be running there. It holds
    /// its resources until the host has told, or been told, otherwise.
    #[serde(default)]
    pub given_up: bool,
    /// It has stopped, and its service has taken note of how.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub noted: bool,
    pub created_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connectivity_at: Option<Time>,
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
    pub stop_code: Option<StopCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_reason: Option<Arc<str>>,
    /// Its containers have ended; from here on what it holds is given back, and then it has stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprovision_at: Option<Time>,
    /// When a stopped task is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_at: Option<Time>,
    /// Counts observed changes; events carry it so that a reader can order them.
    pub version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extras: Option<Box<Extras>>,
}

impl Task {
    /// One that shall run, is nowhere yet, and holds nothing.
    pub fn new(
        id: Id128,
        cluster: ClusterKey,
        (family, revision): (Arc<str>, u32),
        launch: Launch,
        created_at: Time,
    ) -> Task {
        Task {
            id,
            cluster,
            family,
            revision,
            launch,
            host: None,
            service: None,
            group: None,
            started_by: None,
            cpu: 0,
            memory: 0,
            ports: Box::new([]),
            exec_enabled: false,
            credentials_id: Id128::default(),
            desired_status: Desired::Running,
            observed_status: TaskStatus::Pending,
            containers: Box::new([]),
            observed_acknowledged: None,
            given_up: false,
            noted: false,
            created_at,
            connectivity_at: None,
            pull_started_at: None,
            pull_stopped_at: None,
            started_at: None,
            stopping_at: None,
            execution_stopped_at: None,
            stopped_at: None,
            deprovision_at: None,
            stop_code: None,
            stopped_reason: None,
            forget_at: None,
            version: 1,
            extras: None,
        }
    }

    pub fn arn(&self) -> String {
        arn_of(&self.cluster, self.id)
    }

    pub fn is_stopped(&self) -> bool {
        self.observed_status == TaskStatus::Stopped
    }

    /// AWS: a task that is no service's is of its family's group.
    pub fn group_of(&self) -> (GroupKind, &Arc<str>) {
        match (&self.group, &self.service) {
            (Some(group), _) => (GroupKind::Named, group),
            (None, Some(service)) => (GroupKind::Service, service),
            (None, None) => (GroupKind::Family, &self.family),
        }
    }

    pub fn group(&self) -> Arc<str> {
        let (kind, of) = self.group_of();
        kind.name(of)
    }

    /// Whether its host has nothing more to be told: it has stopped there, and not because its host
    /// was given up.
    pub fn is_settled(&self) -> bool {
        self.observed_status >= TaskStatus::Deprovisioning && !self.given_up
    }

    /// Whether it holds resources of its host.
    pub fn holds(&self) -> bool {
        self.host.is_some() && !self.is_settled()
    }

    /// Its containers' health: the worst, as AWS has it.
    pub fn health(&self) -> Health {
        let mut checked = self.containers.iter().filter_map(|c| Some(c.observed_health?.0));
        if checked.clone().any(|health| health == Health::Unhealthy) {
            return Health::Unhealthy;
        }
        let some = checked.clone().next().is_some();
        match some && checked.all(|health| health == Health::Healthy) {
            true => Health::Healthy,
            false => Health::Unknown,
        }
    }

    /// The managed daemon that it is a task of.
    pub fn daemon(&self) -> Option<&OfDaemon> {
        self.extras.as_ref()?.daemon.as_ref()
    }

    /// AWS: PROVISIONING, because no instance of its capacity provider has room for it yet.
    pub fn waiting(&self) -> Option<&Waiting> {
        let waiting = self.extras.as_ref()?.waiting.as_deref();
        waiting.filter(|_| self.host.is_none() && !self.is_stopped())
    }

    pub fn provider(&self) -> Option<&Arc<str>> {
        self.extras.as_ref()?.capacity_provider.as_ref()
    }

    pub fn tags(&self) -> &[api::Tag] {
        self.extras.as_ref().map(|extras| extras.tags.as_slice()).unwrap_or_default()
    }
}

/// AWS's long form, with the cluster in it.
pub fn arn_of(cluster: &ClusterKey, id: Id128) -> String {
    let (scope, name) = cluster;
    scope.arn("ecs", format_args!("task/{name}/{id}"))
}

impl Row for Task {
    type Key = Id128;
    const TABLE: &'static str = "ecs-tasks";

    fn key(&self) -> Id128 {
        self.id
    }

    fn wake_at(&self) -> Option<Time> {
        let waits = || self.waiting().map(|waiting| waiting.until);
        self.deprovision_at.or(self.forget_at).or_else(waits)
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<TasksIn>();
        declare.index::<TasksOn>();
        declare.index::<TasksOfService>();
        declare.index::<CurrentTasksOf>();
        declare.index::<TasksOfDaemon>();
        declare.index::<CurrentTasksOfDaemon>();
        declare.index::<TaskOfAttachment>();
        declare.tally::<ClusterTasks>();
        declare.tally::<DeploymentTasks>();
        declare.tally::<HostGroups>();
        declare.tally::<HostLoad>();
        declare.tally::<HostPorts>();
        declare.trace::<HeldOn>();
        declare.index::<EndedTasksOf>();
        declare.trace::<ServiceTask>();
        declare.index::<WaitingTasks>();
        declare.tally::<WaitingIn>();
    }
}

fn fill<T>(known: &mut Option<T>, told: Option<T>) -> bool {
    let new = known.is_none() && told.is_some();
    if new {
        *known = told;
    }
    new
}

impl From<&Binding> for Bound {
    fn from(binding: &Binding) -> Self {
        let (container, host, ranges) = match &binding.ports {
            Ports::One { container, host } => (Some(*container), Some(*host), None),
            Ports::Range { container, host } => {
                (None, None, Some(Box::new((container.clone(), host.clone()))))
            }
        };
        Bound {
            address: binding.address.as_str().into(),
            udp: binding.udp,
            container,
            host,
            ranges,
        }
    }
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
        let told = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(Arc::from);
        let id = fill(&mut self.runtime_id, told(report.runtime_id));
        let exit = fill(&mut self.exit_code, report.exit_code);
        let digest = fill(&mut self.image_digest, told(report.image_digest));
        let bound = report.bindings.iter().map(Bound::from).collect::<Box<[_]>>();
        let bound = fill(&mut self.bindings, Some(bound).filter(|bound| !bound.is_empty()));
        fill(&mut self.reason, told(report.reason)) || exit || id || digest || bound
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Tasks are many: what grows here is paid a hundred thousand times.
    #[test]
    fn rows_are_small() {
        let sizes = (size_of::<Task>(), size_of::<Container>());
        assert!(sizes.0 <= 560 && sizes.1 <= 160, "{sizes:?}");
    }
}
