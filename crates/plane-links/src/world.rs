//! What the links ask of the rows, and what they tell.

use std::pin::Pin;
use std::time::Duration;

use aws_agent::task::{ElasticNetworkInterface, RoleCredentials, Task};
use aws_protocol::ApiError;
use core_state::Change;
use core_step::{Call, View};
use core_types::{Id128, Time};
use plane_engine::{Engine, Refusal};

pub type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// Whom a socket says it speaks for, as its URL has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The permission that it takes: `ecs:Poll` or `ecs:StartTelemetrySession`.
    pub action: &'static str,
    /// AWS: a name or an ARN, whatever the agent was configured with.
    pub cluster: String,
    pub container_instance: String,
}

/// An instance that has an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    pub instance: Id128,
    pub arn: String,
    pub cluster_arn: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Desired {
    Running,
    Stopped,
}

/// A task as its instance should have it.
#[derive(Clone, Debug)]
pub struct Assignment {
    pub task: Id128,
    pub instance: Id128,
    pub arn: String,
    pub cluster_arn: String,
    pub desired: Desired,
    /// What the agent has acknowledged that it shall do, on this connection or an older one.
    pub acknowledged: Option<Desired>,
    /// Nothing more is to be told: its host has said that it is stopped.
    pub settled: bool,
    pub application_role: bool,
    pub execution_role: bool,
    /// Interfaces that the host shall await before the task can run.
    pub attaching: Vec<ElasticNetworkInterface>,
}

/// Whose credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoleType {
    Application,
    Execution,
}

impl RoleType {
    pub fn as_str(self) -> &'static str {
        match self {
            RoleType::Application => aws_agent::acs::TASK_APPLICATION,
            RoleType::Execution => aws_agent::acs::TASK_EXECUTION,
        }
    }
}

/// A request for credentials of a task's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Want {
    pub task: Id128,
    pub role: RoleType,
}

#[derive(Clone, Debug)]
pub struct Issued {
    /// The id in them is the same each time they are issued.
    pub credentials: RoleCredentials,
    pub expires: Time,
}

/// What goes into a task's payload.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    pub application: Option<RoleCredentials>,
    pub execution: Option<RoleCredentials>,
}

/// A session of ExecuteCommand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecSession {
    pub id: String,
    pub instance: Id128,
    pub task_arn: String,
    pub container: String,
    pub command: String,
    pub interactive: bool,
    /// Whoever has it is the client.
    pub token: String,
    /// Both sides have come already.
    pub opened: bool,
    pub waits_until: Time,
}

/// What a list of changes concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// One task of the instance.
    Task(Id128),
    /// The instance itself.
    Instance,
    /// Its sessions of ExecuteCommand.
    Exec,
}

/// What the links report.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// This process has no connection yet; those that others had are gone.
    Reset,
    /// Sessions rise: the end of an older one than stands is no news.
    Connected {
        instance: Id128,
        session: u64,
    },
    Disconnected {
        instance: Id128,
        session: u64,
        /// For how long it is away already.
        away: Duration,
    },
    Acknowledged {
        instance: Id128,
        tasks: Vec<(Id128, Desired)>,
    },
    Health {
        instance: Id128,
        task: Id128,
        container: String,
        status: String,
        since: Time,
    },
    /// An instance's own health, by its agent's checks.
    InstanceStatus {
        instance: Id128,
        check: String,
        status: String,
        at: Time,
    },
    ExecOpened {
        session: String,
    },
    ExecEnded {
        session: String,
    },
}

/// The rows, as the links see them.
pub trait World: Send + Sync + 'static {
    /// The instance that this caller may speak for. AWS: another's is AccessDeniedException, one that
    /// was deregistered InactiveInstanceException.
    fn admit(&self, view: &View<'_>, call: &Call, poll: &Poll) -> Result<Agent, ApiError>;

    /// Whether the instance is still registered.
    fn is_registered(&self, view: &View<'_>, instance: Id128) -> bool;

    /// Which instances a step's changes concern.
    fn concerned(&self, changes: &[Change], touch: &mut dyn FnMut(Id128, Touched));

    /// All tasks that an instance has to know of.
    fn assignments(&self, view: &View<'_>, instance: Id128, each: &mut dyn FnMut(Assignment));

    fn assignment(&self, view: &View<'_>, task: Id128) -> Option<Assignment>;

    /// The key of a task by its ARN.
    fn task(&self, view: &View<'_>, arn: &str) -> Option<Id128>;

    /// The task in full, with what is wanted of it. `endpoint` is this server as its host has it.
    fn payload(
        &self,
        view: &View<'_>,
        task: Id128,
        endpoint: &str,
        credentials: Credentials,
    ) -> Option<Task>;

    /// Credentials, in the order of the wants; `None` where the role cannot be had (any more).
    fn credentials<'a>(
        &'a self,
        engine: &'a Engine,
        wants: Vec<Want>,
    ) -> Future<'a, Result<Vec<Option<Issued>>, Refusal>>;

    /// Sessions that an instance is to open.
    fn exec_sessions(&self, view: &View<'_>, instance: Id128, each: &mut dyn FnMut(ExecSession));

    fn exec_session(&self, view: &View<'_>, id: &str) -> Option<ExecSession>;

    fn tell<'a>(&'a self, engine: &'a Engine, told: Told) -> Future<'a, Result<(), Refusal>>;
}
