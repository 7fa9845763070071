//! What is asked on a host: its containers ask for their metadata, credentials and protection, its
//! operator for what runs there.
//!
//! The endpoints know nothing of how tasks are run: they read what a [`Host`] shows. An id in a
//! path cannot be guessed, and where the caller's address belongs to a task, only that task is
//! answered: a container that learned another's id gets nothing by it.

mod credentials;
mod introspection;
mod metadata;
mod pace;
mod protection;
mod reply;
mod serve;
mod shapes;
mod stats;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

pub use pace::Pace;
pub use serve::{Door, serve};
pub use shapes::{
    Association, ContainerMetadata, EphemeralStorage, Health, HostMetadata, Limits, Network,
    NetworkProperties, Port, RoleCredentials, TaskMetadata, Volume,
};
pub use stats::{ContainerStats, Cpu, NetworkCounters, Throttling};

pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A task and which of its containers asked.
#[derive(Clone)]
pub struct Found {
    pub task: Arc<TaskMetadata>,
    pub container: usize,
}

/// What is known under an id of credentials.
pub enum Known {
    Nothing,
    /// Announced by the plane, not here yet: asked again, it will be.
    Pending,
    Credentials {
        task_arn: String,
        credentials: RoleCredentials,
    },
}

/// What a container may have the plane asked, with its task's role.
pub enum Question {
    Protection { task_arn: String, credentials: RoleCredentials },
    Protect { task_arn: String, credentials: RoleCredentials, enabled: bool, minutes: Option<i64> },
}

/// An answer of the plane that is no answer.
#[derive(Clone, Debug)]
pub struct Refused {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub request_id: Option<String>,
}

/// Lines of a container's output that its log driver did not keep up with.
#[derive(Clone, Debug)]
pub struct Loss {
    pub task_arn: String,
    pub container: String,
    pub lines: u64,
    pub bytes: u64,
}

/// What the endpoints read.
pub trait Host: Send + Sync + 'static {
    fn about(&self) -> HostMetadata;
    fn tasks(&self) -> Later<'_, Vec<Arc<TaskMetadata>>>;
    /// By the id in a container's `ECS_CONTAINER_METADATA_URI`.
    fn container(&self, endpoint: &str) -> Option<Found>;
    /// The task whose network has this address; nobody's for addresses of the host itself.
    fn task_at(&self, address: IpAddr) -> Option<Arc<TaskMetadata>>;
    fn credentials(&self, id: &str) -> Known;
    fn stats<'a>(&'a self, runtime_id: &'a str) -> Later<'a, Option<ContainerStats>>;
    /// The tags of a resource, by key.
    fn tags<'a>(&'a self, arn: &'a str) -> Later<'a, Result<BTreeMap<String, String>, Refused>>;
    /// Containers of whose output lines were dropped.
    fn losses(&self) -> Vec<Loss>;
    fn ask(&self, question: Question) -> Later<'_, Result<Value, Refused>>;
}
