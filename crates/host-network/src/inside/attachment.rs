//! What a task's network is: how it is asked for, and how it is told and remembered.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::METADATA_PORT;
use crate::netlink::links::Mac;
use crate::ports::{DYNAMIC, PortMapping, PortRange};
use crate::tag::{self, Tag};

/// How a host's inside is laid out.
#[derive(Clone, Debug)]
pub struct InsideOptions {
    pub tag: Tag,
    /// Where pins and states live; [`tag::RUN`] but in tests.
    pub run: PathBuf,
    /// Where on 127.0.0.1 the agent listens for [`METADATA`].
    pub metadata_port: u16,
    /// AWS: ECS_DYNAMIC_HOST_PORT_RANGE.
    pub dynamic_ports: PortRange,
    /// The range of bridge tasks; the first of Docker's that clashes with no route if absent.
    pub bridge: Option<Ipv4Net>,
    /// AWS: ECS_AWSVPC_BLOCK_IMDS. Tasks can't reach 169.254.169.254.
    pub block_instance_metadata: bool,
}

impl InsideOptions {
    pub fn new(tag: Tag) -> InsideOptions {
        InsideOptions {
            tag,
            run: tag::RUN.into(),
            metadata_port: METADATA_PORT,
            dynamic_ports: DYNAMIC,
            bridge: None,
            block_instance_metadata: false,
        }
    }
}

/// How a task is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `networkMode: bridge`: an address that only this host knows, reached by host ports.
    Bridge,
    /// `networkMode: awsvpc`: an address of the VPC.
    Eni,
    /// `networkMode: none`: a loopback and nothing else.
    Isolated,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Bridge => "bridge",
            Kind::Eni => "awsvpc",
            Kind::Isolated => "none",
        }
    }
}

/// Where a task's namespace comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// It is made for the task.
    Fresh,
    /// A process has it, with nothing in it but a loopback: that of a container whose runtime joins no
    /// namespace by its path.
    Of(u32),
}

/// A network interface of the VPC, as the control plane allotted it.
#[derive(Clone, Debug)]
pub struct Eni {
    pub mac: Mac,
    pub address: Ipv4Addr,
    /// The length of the subnet's prefix.
    pub prefix: u8,
    pub gateway: Ipv4Addr,
}

/// A task's network, as it is in the kernel and in the state file beside its pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub id: String,
    pub kind: Kind,
    /// The pinned namespace, to be joined by its containers.
    pub namespace: PathBuf,
    /// Absent for isolated tasks.
    pub wire: Option<Wire>,
    pub ports: Vec<PortMapping>,
}

impl Attachment {
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.wire.as_ref().map(|wire| wire.address)
    }
}

/// A task's link and what goes over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wire {
    /// The number in the link's name on the host's side.
    pub number: u32,
    /// The link's index on the host's side; 0 until it is made.
    pub index: u32,
    pub address: Ipv4Addr,
    pub prefix: u8,
    pub gateway: Ipv4Addr,
    pub mac: Mac,
}
