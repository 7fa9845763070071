//! What can go wrong at the kernel's door: each error names the object and the step, since the number alone
//! (`EEXIST`, `ENODEV`) says nothing to whoever reads it in a task's stopped reason.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;

use crate::ports::Protocol;

/// What this crate answers with when it can't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {what}: {source}")]
    Kernel { what: String, source: io::Error },
    #[error("cannot {what} {path}: {source}", path = path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} does not hold what was written to it: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: serde_json::Error },
    #[error("{cidr} cannot be the VPC's range: {why}")]
    VpcRange { cidr: Ipv4Net, why: String },
    #[error(
        "{cidr} clashes with the route to {route} by {device}; choose another range with --vpc-cidr"
    )]
    RouteClash { cidr: Ipv4Net, route: Ipv4Net, device: String },
    #[error(
        "every range that could hold {what} clashes with a route of this machine (the last: {route} by {device})"
    )]
    NoFreeRange { what: &'static str, route: Ipv4Net, device: String },
    #[error("host port {port}/{protocol} is in use by {holder}")]
    PortInUse { port: u16, protocol: Protocol, holder: String },
    #[error("no {count} free host ports in a row between {first} and {last} ({protocol})")]
    NoFreePorts { count: u16, first: u16, last: u16, protocol: Protocol },
    #[error("container port range {container} and host port range {host} differ in length")]
    RangeLengths { container: String, host: String },
    #[error("no free address in {0}")]
    NoFreeAddress(Ipv4Net),
    #[error("address {0} is not one that an interface of the VPC can have")]
    AddressRefused(Ipv4Addr),
    #[error("address {address} belongs to {holder} already")]
    AddressInUse { address: Ipv4Addr, holder: String },
    #[error(
        "{0:?} cannot name a host or a task: 1 to 128 letters, digits, '-', '_' and '.', not starting with '.'"
    )]
    Name(String),
    #[error("{0} has no network here")]
    Unknown(String),
    #[error("{id} has a network already, of another kind ({kind})")]
    OtherKind { id: String, kind: &'static str },
    #[error("process {0} has no network namespace of its own")]
    NotApart(u32),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn kernel(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Error::Kernel { what: what.into(), source: source.into() }
    }

    pub(crate) fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        Error::File { what, path: path.into(), source: source.into() }
    }

    /// The error number behind this error, if the kernel gave one.
    pub fn os_error(&self) -> Option<i32> {
        match self {
            Error::Kernel { source, .. } | Error::File { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}
