//! Where a container's output goes: log drivers.
//!
//! A container's output lies in files of its runtime, whoever may be alive to read them. A driver
//! follows them as a [`Feed`] and acknowledges what it has delivered: an agent that is killed
//! delivers some lines twice, and loses none. What the files may hold at most, and whether the
//! container waits when they are full, is the runtime's to keep.

mod awslogs;
mod driver;
mod feed;
mod fields;
mod fluentd;
mod gelf;
mod options;
mod ship;
mod splunk;
mod syslog;
mod tag;
mod wire;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use driver::{DRIVERS, Driver, check, names, open};
pub use feed::{Feed, Line, Position, Source};
pub use options::{Buffering, Retention, buffering, retention};
pub use ship::{Ended, Shipping};

pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a driver is told of the container whose output it takes.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub container_id: String,
    /// The name that the runtime knows it by.
    pub runtime_name: String,
    /// The name in the task definition.
    pub container_name: String,
    pub image: String,
    pub image_id: String,
    pub task_id: String,
    pub task_arn: String,
    pub cluster: String,
    pub family: String,
    pub region: String,
    pub host_name: String,
    pub labels: BTreeMap<String, String>,
    pub environment: BTreeMap<String, String>,
}

/// An AWS API, called as the role that a task executes with.
pub trait Cloud: Send + Sync + 'static {
    /// One call of the JSON protocol. `endpoint` is where a user wants it called, if anywhere special.
    fn call<'a>(&'a self, call: CloudCall<'a>) -> Later<'a, Result<Vec<u8>, CloudError>>;
}

pub struct CloudCall<'a> {
    pub service: &'a str,
    pub region: &'a str,
    pub endpoint: Option<&'a str>,
    /// As in `X-Amz-Target`.
    pub target: &'a str,
    pub body: Vec<u8>,
}

/// Why a call gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CloudError {
    /// The service said no.
    #[error("{code}: {message}")]
    Service { status: u16, code: String, message: String },
    /// Nobody answered; asked again, somebody may.
    #[error("{0}")]
    Unreachable(String),
}

impl CloudError {
    /// Whether the same call may succeed later.
    pub fn passes(&self) -> bool {
        match self {
            CloudError::Unreachable(_) => true,
            CloudError::Service { status, code, .. } => {
                *status >= 500 || code.contains("Throttl") || code == "ServiceUnavailableException"
            }
        }
    }

    pub fn is(&self, wanted: &str) -> bool {
        matches!(self, CloudError::Service { code, .. } if code == wanted)
    }
}

/// Why a driver cannot be had, or does not take what it is given.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("unknown log opt '{option}' for {driver} log driver")]
    UnknownOption { driver: &'static str, option: String },
    #[error("log driver {driver}: {option}: {why}")]
    BadOption { driver: &'static str, option: &'static str, why: String },
    #[error("logger: no log driver named '{0}' is registered")]
    UnknownDriver(String),
    #[error("failed to create Cloudwatch log stream: {0}")]
    LogStream(#[source] CloudError),
    #[error("failed to create Cloudwatch log group: {0}")]
    LogGroup(#[source] CloudError),
    #[error("cannot deliver to {to}: {why}")]
    Delivery { to: String, why: String },
    #[error("cannot read the output: {0}")]
    Feed(String),
}

/// All that opening a driver may need.
#[derive(Clone)]
pub struct Opening {
    pub about: Arc<About>,
    pub options: BTreeMap<String, String>,
    pub cloud: Arc<dyn Cloud>,
}
