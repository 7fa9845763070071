//! One host: three namespaces, a link to the bridge, an address and a way out.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use rustix::thread::{CpuSet, Pid};

use super::{HostPlace, Machine};
use crate::addresses::{Vpc, Zone, mac_of};
use crate::error::{Error, Result};
use crate::namespaces::{self, Kind};
use crate::netlink::links::{self, End};
use crate::netlink::{Batch, Socket};
use crate::sysctl;
use crate::tag::Tag;

/// The host's place in its subnet makes a number that no other host of this data directory has.
pub fn link_name(tag: &Tag, place: &HostPlace, vpc: &Vpc) -> String {
    let zone = match place.zone {
        Zone::A => 0,
        Zone::B => 1000,
    };
    let offset = u32::from(place.address) - u32::from(vpc.subnet(place.zone).cidr.network());
    format!("{}{}", tag.host_links(), zone + offset)
}

fn pins(place: &HostPlace) -> [(Kind, &PathBuf); 3] {
    [(Kind::Network, &place.network), (Kind::Mount, &place.mounts), (Kind::Names, &place.names)]
}

/// Whether a host of an earlier run is still there with all it needs.
pub fn is_whole(place: &HostPlace, link: &str, route: &mut Socket) -> Result<bool> {
    let pinned = pins(place).iter().all(|(_, path)| namespaces::is_pinned(path));
    if !pinned || links::find(route, link)?.is_none() {
        return Ok(false);
    }
    // Its way out is the last thing that a host is given.
    namespaces::inside(&place.network, || {
        Ok(links::routes(&mut Socket::route()?)?.iter().any(|route| route.to.prefix_len() == 0))
    })
}

pub fn remove(place: &HostPlace, link: &str, route: &mut Socket) -> Result<()> {
    if let Some(link) = links::find(route, link)? {
        let mut batch = Batch::default();
        links::delete(&mut batch, link.index);
        route.send(&batch)?;
    }
    pins(place).iter().try_for_each(|(_, path)| namespaces::unpin(path))
}

pub fn make(machine: &mut Machine, place: &HostPlace, link: &str) -> Result<()> {
    let (mut inside, namespace) = born(machine, place)?;
    let mut batch = Batch::default();
    let near = End { name: link, mac: mac_of(place.address, 2) };
    let far = End { name: "eth0", mac: mac_of(place.address, 3) };
    links::veth(&mut batch, near, far, namespace.as_fd(), 1500, Some(machine.bridge));
    machine.route.send(&batch)?;
    let mut there = Batch::default();
    links::up(&mut there, links::LOOPBACK);
    links::up(&mut there, links::FIRST);
    links::address(&mut there, links::FIRST, place.address, machine.vpc.cidr.prefix_len(), false);
    links::route_default(&mut there, place.gateway, links::FIRST);
    inside.send(&there)
}

/// Makes the namespaces and pins them. The kernel lets a mount namespace be pinned only in one with a lower number,
/// and each processor numbers from a stock of its own: where ours came from a later stock (which the machine's first
/// namespace never does), the new one is made on each processor in turn until one has numbers left above it.
fn born(machine: &Machine, place: &HostPlace) -> Result<(Socket, File)> {
    let refused = match born_on(machine, place, None) {
        Err(error) if error.os_error() == Some(Errno::INVAL.raw_os_error()) => error,
        other => return other,
    };
    let allowed =
        rustix::thread::sched_getaffinity(None).map_err(|e| Error::kernel("list processors", e))?;
    for processor in (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor)) {
        pins(place).iter().try_for_each(|(_, path)| namespaces::unpin(path))?;
        if let Ok(born) = born_on(machine, place, Some(processor)) {
            return Ok(born);
        }
    }
    Err(refused)
}

/// The thread lives until its namespaces are pinned: a mount namespace can't pin itself, since the pin would lie
/// inside of it.
fn born_on(
    machine: &Machine,
    place: &HostPlace,
    processor: Option<usize>,
) -> Result<(Socket, File)> {
    let (made, wait) = mpsc::channel::<Result<(Pid, Socket, File)>>();
    let (release, released) = mpsc::channel::<()>();
    let (run, tag, name) = (machine.options.run.clone(), machine.tag.clone(), place.name.clone());
    let thread = std::thread::Builder::new().name("new-host".into()).spawn(move || {
        let _ = made.send(furnish(&run, &tag, &name, processor));
        // Ends when the other side has pinned everything, or has given up.
        let _ = released.recv();
    });
    thread.map_err(|e| Error::kernel("start a thread for a host", e))?;
    let (thread, socket, namespace) =
        wait.recv().unwrap_or_else(|_| Err(Error::Unknown(place.id.clone())))?;
    for (kind, path) in pins(place) {
        namespaces::pin_of(kind, thread, path)?;
    }
    drop(release);
    Ok((socket, namespace))
}

fn furnish(
    run: &Path,
    tag: &Tag,
    name: &str,
    processor: Option<usize>,
) -> Result<(Pid, Socket, File)> {
    if let Some(processor) = processor {
        let mut one = CpuSet::new();
        one.set(processor);
        rustix::thread::sched_setaffinity(None, &one)
            .map_err(|e| Error::kernel("choose a processor", e))?;
    }
    namespaces::unshare(true, true)?;
    // Mounts of the machine that come later are seen here, none of here there.
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slave).map_err(|e| Error::file("make private", "/", e))?;
    // A host must not hold its neighbours' namespaces: their pins were copied with everything else.
    for mount in namespaces::mounts_under(run)?.iter().rev() {
        match rustix::mount::unmount(mount, UnmountFlags::DETACH) {
            // Whose it is has just removed it, here with there.
            Ok(()) | Err(Errno::NOENT | Errno::INVAL) => {}
            Err(error) => return Err(Error::file("unmount", mount, error)),
        }
    }
    namespaces::private_folder(&tag.run_dir(run))?;
    rustix::system::sethostname(name.as_bytes()).map_err(|e| Error::kernel("name a host", e))?;
    sysctl::try_write("net/ipv6/conf/default/disable_ipv6", "1");
    let file = "/proc/thread-self/ns/net";
    let namespace = File::open(file).map_err(|e| Error::file("open", file, e))?;
    Ok((rustix::thread::gettid(), Socket::route()?, namespace))
}
