//! Containers, whoever runs them. One trait, one specification, three runtimes behind it: the
//! embedded one (nothing to install), runc (the same bundles), Docker (its Engine API).
//!
//! The idea: a container belongs to its shim, not to the agent. The shim holds its output, waits for
//! its end and writes both down, so an agent may die, restart and be replaced at any moment, and the
//! next one knows everything from files and process ids.

mod bundle;
mod capabilities;
mod cgroups;
mod docker;
pub mod doctor;
mod error;
mod inroot;
mod logs;
mod output;
mod parameters;
mod record;
mod seccomp;
pub mod shim;
mod shimmed;
mod spec;
mod users;
mod watch;

use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

pub use docker::{Docker, Kept};
pub use error::{Error, Phase, Result, reason};
pub use logs::{Dropped, acknowledge, acknowledged, dropped};
pub use output::output;
pub use shimmed::{Config, ShimProgram, Shimmed};
pub use spec::*;

/// An id is a folder's name and part of a cgroup's.
pub(crate) fn check_id(id: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let first = id.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && id.len() <= 128 && id.chars().all(plain) {
        return Ok(());
    }
    Err(Error::Invalid(format!("Invalid container name ({id})")))
}

/// What starts, watches and ends containers on this machine.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// `embedded`, `runc` or `docker`.
    fn name(&self) -> &'static str;

    /// Containers are about to be made: whatever can be waited for ahead of time begins now.
    async fn expect(&self) {}

    /// Make the container, up to the point where its process would begin. Namespaces that are its
    /// own exist afterwards, so the caller can attach a network by the pid.
    async fn create(&self, spec: &ContainerSpec) -> Result<Created>;

    /// The same container once more after its end: what it wrote into its own files is there again.
    /// One that is not there is made.
    async fn recreate(&self, spec: &ContainerSpec) -> Result<Created>;

    /// Whether `ContainerSpec::pause` is understood.
    fn holds_namespaces(&self) -> bool;

    /// Whether `Namespace::Path` is understood. Where it is not, a pause container is made first, and
    /// its network namespace becomes the one that others join.
    fn joins_paths(&self) -> bool {
        true
    }

    /// Where the runtime runs no unpacked layers, but images of a store of its own.
    fn images(&self) -> Option<&dyn ImageStore> {
        None
    }

    /// Let its process begin. Fails where the program cannot be executed.
    async fn start(&self, id: &str) -> Result<Started>;

    /// Send a signal to the container's first process. One that has ended takes none: no error.
    async fn signal(&self, id: &str, signal: i32) -> Result<()>;

    /// Kill every process of the container at once.
    async fn kill(&self, id: &str) -> Result<()>;

    /// How it ended; waits until it has. Any agent may ask, any number of times, until `delete`.
    async fn wait(&self, id: &str) -> Result<Exit>;

    /// A further process in a running container.
    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<Exec>;

    async fn stats(&self, id: &str) -> Result<Stats>;

    /// Remove it and all that it left, killing it first where it runs. One that is not there is no
    /// error.
    async fn delete(&self, id: &str) -> Result<()>;

    /// All containers of this runtime's state directory, whichever agent made them.
    async fn list(&self) -> Result<Vec<State>>;

    async fn state(&self, id: &str) -> Result<State>;

    /// Its output from a position on, oldest first.
    async fn logs(&self, id: &str, from: LogsFrom) -> Result<Box<dyn LogReader>>;

    /// Why there can be no cgroup above containers; `None` where there can.
    fn refuses_groups(&self) -> Option<String> {
        None
    }

    /// A cgroup above containers, with limits of its own; making it again changes its limits.
    async fn create_group(&self, group: &GroupSpec) -> Result<()>;

    /// Kill all that is left in it, then remove it and everything below. Absent is no error.
    async fn remove_group(&self, path: &str) -> Result<()>;
}

/// An archive as `docker save` writes it, piece by piece; an error in its place breaks it off.
pub type Archive = mpsc::Receiver<std::io::Result<Bytes>>;

/// The images of a runtime that keeps its own, apart from the host's store.
#[async_trait]
pub trait ImageStore: Send + Sync {
    /// What the image with this id is called there, once it is there: a name that is ours alone, so
    /// that no image of anybody else on this machine is replaced or taken for it.
    fn name_of(&self, image_id: &str) -> String;

    async fn has(&self, name: &str) -> Result<bool>;

    /// Take an image in, under the name that the archive gives it.
    async fn load(&self, archive: Archive) -> Result<()>;

    /// Forget all images of this owner but these; one that a container is of stays.
    async fn keep(&self, names: &[String]) -> Result<()>;
}

#[derive(Clone, Debug, PartialEq)]
pub struct Created {
    /// Of the container's first process as this machine sees it; 0 where the runtime has none
    /// before the start (Docker).
    pub pid: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    pub pid: u32,
    pub at: SystemTime,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// As Docker tells it: 128 + signal for one that was killed; `None` where nobody saw the end.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// The kernel killed in it because of a memory limit.
    pub oom_killed: bool,
    /// Milliseconds since 1970.
    pub started_at: Option<u64>,
    pub finished_at: u64,
    /// Why the exit is not known, or the start failed.
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Creating,
    Created,
    Running,
    Stopped,
}

/// What is known of a container without asking anybody but the kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub id: String,
    pub status: Status,
    /// 0 where there is none.
    pub pid: u32,
    pub spec: Option<ContainerSpec>,
    /// Milliseconds since 1970.
    pub created_at: u64,
    pub started_at: Option<u64>,
    pub exit: Option<Exit>,
}

/// A process started by `exec`. Dropping it ends the process, as does the agent's own end: that alone
/// Docker does not notice.
pub struct Exec {
    /// Writes reach its input; shutting it down closes that.
    pub stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// Everything, where there is a terminal.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// `None` with a terminal.
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
    pub control: Box<dyn ExecControl>,
}

#[async_trait]
pub trait ExecControl: Send + Sync {
    /// Its exit code, 128 + signal where it was killed.
    async fn wait(&mut self) -> Result<i32>;
    async fn resize(&self, rows: u16, columns: u16) -> Result<()>;
    async fn signal(&self, signal: i32) -> Result<()>;
}

/// Usage, from the container's cgroup. What the kernel does not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Nanoseconds of CPU since the start.
    pub cpu_total: u64,
    pub cpu_user: Option<u64>,
    pub cpu_system: Option<u64>,
    pub cpu_periods: Option<u64>,
    pub cpu_throttled_periods: Option<u64>,
    pub cpu_throttled_time: Option<u64>,
    pub memory_usage: u64,
    pub memory_max_usage: Option<u64>,
    pub memory_limit: Option<u64>,
    /// What usage without page cache is counted by, as `docker stats` does.
    pub memory_inactive_file: u64,
    pub memory_rss: Option<u64>,
    pub memory_cache: Option<u64>,
    pub read_bytes: Option<u64>,
    pub write_bytes: Option<u64>,
    pub read_operations: Option<u64>,
    pub write_operations: Option<u64>,
    pub pids: Option<u64>,
    pub pids_limit: Option<u64>,
    pub oom_kills: u64,
}

/// A place in a container's output; ordered, and worth keeping over restarts of the agent.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct LogPosition {
    /// The number of the file (embedded, runc), or nanoseconds from 1970 to a whole second (Docker).
    pub major: u64,
    /// The byte after the record in it, or how many lines since that second were seen.
    pub minor: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogsFrom {
    pub position: LogPosition,
    /// Wait for more until the container has ended.
    pub follow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    Stdout,
    Stderr,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    pub stream: Stream,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Without its newline.
    pub text: String,
    /// A piece of a longer line whose end comes later.
    pub partial: bool,
    /// Where the next line begins.
    pub next: LogPosition,
}

#[async_trait]
pub trait LogReader: Send {
    /// The next lines, as many as are at hand (bounded); empty at the end.
    async fn next(&mut self) -> Result<Vec<LogLine>>;

    /// Everything before this has reached its destination: a container that waits may write again.
    async fn acknowledge(&mut self, position: LogPosition) -> Result<()>;
}
