//! A machine's networks: hosts in namespaces of their own under `wharf up`, and the tasks of each host. The only crate
//! that touches links and nftables, both by netlink, so that nothing has to be installed.
//!
//! Two sides: [`Machine`] makes the hosts of a data directory and its bridge; [`Inside`] makes the networks of one
//! host's tasks, in whichever namespace it is opened. Everything carries the [`Tag`] of its data directory.

pub mod addresses;
pub mod cgroups;
mod clean;
pub mod doctor;
mod error;
mod hosts_file;
mod inside;
mod machine;
pub mod names;
pub mod namespaces;
mod netlink;
mod ports;
mod sysctl;
mod tag;

pub use clean::{CleanOptions, Cleaned, Leftover, What, clean, leftovers};
pub use error::{Error, Result};
pub use inside::{
    Attachment, Eni, Home, Inside, InsideOptions, Kind, METADATA, METADATA_PORT, Wire,
};
pub use machine::{HostPlace, Machine, MachineOptions, spawn_in_host};
pub use netlink::links::Mac;
pub use ports::{DYNAMIC, PortMapping, PortRange, PortRequest, Protocol};
pub use tag::{CGROUP, RUN, Tag};

/// Raises the loopback of the calling thread's network namespace, which is down in a fresh one.
pub fn raise_loopback() -> Result<()> {
    let mut batch = netlink::Batch::default();
    netlink::links::up(&mut batch, netlink::links::LOOPBACK);
    netlink::Socket::route()?.send(&batch)
}
