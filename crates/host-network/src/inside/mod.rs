//! A host's inside: networks of its tasks, their addresses, and the ports by which the world reaches them.
//!
//! Each task is at the far end of a link of its own, and everything it sends goes through the host's routing: no task
//! shares a wire with another, so none can speak in another's name, and one set of (link, address) pairs says who may
//! send what. To the task it looks as Docker's bridge does: an address, a gateway, a way out.

mod attachment;
mod ground;
mod state;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use ipnet::Ipv4Net;

pub use attachment::{Attachment, Eni, Home, InsideOptions, Kind, Wire};
use ground::Uplink;

use crate::addresses::{Pool, mac_of};
use crate::error::{Error, Result};
use crate::namespaces::{self, Kind as NamespaceKind};
use crate::netlink::conntrack;
use crate::netlink::links::{self, End, Mac};
use crate::netlink::{Batch, Socket};
use crate::ports::{self, PortMapping, PortRequest, Ports, Protocol};
use crate::sysctl;
use crate::tag;

/// AWS: the agent answers tasks for credentials and metadata at this address...
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// ...and listens for them on this port of the host's loopback.
pub const METADATA_PORT: u16 = 51679;
/// The name of a task's link inside its namespace.
const TASK_LINK: &str = "eth0";
/// Numbers of four digits fit into a link's name; no host has as many tasks.
const LINK_NUMBERS: u32 = 10_000;

/// The networks of one host's tasks.
#[derive(Debug)]
pub struct Inside {
    options: InsideOptions,
    folder: PathBuf,
    uplink: Option<Uplink>,
    mtu: u32,
    live: Mutex<Live>,
}

#[derive(Debug)]
struct Live {
    route: Socket,
    filter: Socket,
    pool: Pool,
    ports: Ports,
    next_number: u32,
    answers_for_others: bool,
    tasks: BTreeMap<String, Attachment>,
}

impl Live {
    /// A number for a link's name that no link has, the one longest out of use first: the kernel may still be taking
    /// the last one down.
    fn free_number(&mut self) -> u32 {
        let used: BTreeSet<u32> = self
            .tasks
            .values()
            .filter_map(|task| task.wire.as_ref())
            .map(|wire| wire.number)
            .collect();
        let after = (self.next_number..LINK_NUMBERS).chain(0..self.next_number);
        let number =
            after.into_iter().find(|number| !used.contains(number)).unwrap_or(self.next_number);
        self.next_number = (number + 1) % LINK_NUMBERS;
        number
    }
}

impl Inside {
    /// Opens the calling thread's network namespace: makes what is missing, takes over the tasks that are there, and
    /// forgets those that a reboot or a kill left half made.
    pub fn open(options: InsideOptions) -> Result<Inside> {
        let folder = options.tag.run_dir(&options.run).join("tasks");
        namespaces::private_folder(&options.tag.run_dir(&options.run))?;
        std::fs::create_dir_all(&folder).map_err(|e| Error::file("create", &folder, e))?;
        let mut route = Socket::route()?;
        let filter = Socket::netfilter()?;
        let all = links::list(&mut route)?;
        let routes = links::routes(&mut route)?;
        let uplink = ground::find_uplink(&mut route, &all, &routes)?;
        let mtu = uplink
            .as_ref()
            .and_then(|u| all.iter().find(|l| l.index == u.index))
            .map_or(1500, |l| l.mtu);
        let bridge = options.tag.task_bridge();
        let cidr = ground::bridge_range(&options, &mut route, &all, &routes)?;
        let pool = Pool::new(cidr);
        if !all.iter().any(|link| link.name == bridge) {
            let mut batch = Batch::default();
            links::bridge(&mut batch, &bridge, mac_of(pool.gateway(), 0));
            route.send(&batch)?;
        }
        if let Some(link) = links::find(&mut route, &bridge)? {
            let mut batch = Batch::default();
            links::address(&mut batch, link.index, pool.gateway(), cidr.prefix_len(), true);
            links::up(&mut batch, link.index);
            route.send(&batch)?;
        }
        sysctl::write("net/ipv4/ip_forward", "1")?;
        let ports = Ports::new(options.dynamic_ports);
        let live = Live {
            route,
            filter,
            pool,
            ports,
            next_number: 0,
            answers_for_others: false,
            tasks: BTreeMap::new(),
        };
        let inside = Inside { options, folder, uplink, mtu, live: Mutex::new(live) };
        inside.adopt()?;
        Ok(inside)
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().expect("no code panics while it holds this lock")
    }

    /// Takes over what the state files name and the kernel still has, then writes the whole table in one transaction.
    fn adopt(&self) -> Result<()> {
        let mut live = self.live();
        let present = links::list(&mut live.route)?;
        for mut task in state::read_all(&self.folder)? {
            let link = task.wire.as_ref().map(|wire| self.link_name(wire));
            let link = link.map(|name| present.iter().find(|link| link.name == name));
            // The index is written when all else is done.
            let finished = task.wire.as_ref().is_none_or(|wire| wire.index != 0);
            let whole =
                finished && namespaces::is_pinned(&task.namespace) && !matches!(link, Some(None));
            if !whole {
                tracing::info!(task = task.id, "forgetting a network that was left half made");
                self.dismantle(&mut live, &task)?;
                continue;
            }
            if let (Some(wire), Some(Some(link))) = (&mut task.wire, link) {
                wire.index = link.index;
                live.next_number = live.next_number.max(wire.number + 1) % LINK_NUMBERS;
                live.pool.mark(wire.address);
            }
            for mapping in &task.ports {
                for port in live.ports.adopt(&task.id, mapping) {
                    tracing::warn!(
                        task = task.id,
                        port,
                        "another process listens on a task's host port"
                    );
                }
            }
            live.tasks.insert(task.id.clone(), task);
        }
        let batch = table::build(&self.options, live.pool.cidr(), live.tasks.values());
        live.filter.send(&batch)
    }

    fn link_name(&self, wire: &Wire) -> String {
        format!("{}{}", self.options.tag.task_links(), wire.number)
    }

    /// The gateway of bridge tasks, which is also where they reach this host.
    pub fn gateway(&self) -> Ipv4Addr {
        self.live().pool.gateway()
    }

    /// The range of bridge tasks.
    pub fn bridge_range(&self) -> Ipv4Net {
        self.live().pool.cidr()
    }

    /// A namespace with an address of this host's own range. For a task that has one already, that one.
    pub fn add_bridge_task(&self, id: &str) -> Result<Attachment> {
        self.add_bridge_task_to(id, Home::Fresh)
    }

    /// The same, in a namespace that may be there already.
    pub fn add_bridge_task_to(&self, id: &str, home: Home) -> Result<Attachment> {
        self.add(id, Kind::Bridge, home, |live| {
            let address = live.pool.take()?;
            let mac = mac_of(address, 1);
            let (prefix, gateway) = (live.pool.cidr().prefix_len(), live.pool.gateway());
            Ok(Some(Wire { number: 0, index: 0, address, prefix, gateway, mac }))
        })
    }

    /// A namespace with an address of the VPC.
    pub fn add_eni_task(&self, id: &str, eni: &Eni) -> Result<Attachment> {
        self.add_eni_task_to(id, Home::Fresh, eni)
    }

    /// The same, in a namespace that may be there already.
    pub fn add_eni_task_to(&self, id: &str, home: Home, eni: &Eni) -> Result<Attachment> {
        self.add(id, Kind::Eni, home, |live| {
            let holds = |task: &&Attachment| task.address() == Some(eni.address);
            if let Some(holder) = live.tasks.values().find(holds) {
                return Err(Error::AddressInUse {
                    address: eni.address,
                    holder: holder.id.clone(),
                });
            }
            let subnet = Ipv4Net::new(eni.address, eni.prefix)
                .map_err(|_| Error::AddressRefused(eni.address))?;
            if !subnet.contains(&eni.gateway) || eni.gateway == eni.address {
                return Err(Error::AddressRefused(eni.gateway));
            }
            let Eni { mac, address, prefix, gateway } = eni.clone();
            Ok(Some(Wire { number: 0, index: 0, address, prefix, gateway, mac }))
        })
    }

    /// A namespace with a loopback only.
    pub fn add_isolated_task(&self, id: &str) -> Result<Attachment> {
        self.add(id, Kind::Isolated, Home::Fresh, |_| Ok(None))
    }

    fn add(
        &self,
        id: &str,
        kind: Kind,
        home: Home,
        wire: impl FnOnce(&mut Live) -> Result<Option<Wire>>,
    ) -> Result<Attachment> {
        tag::check_name(id)?;
        if let (Home::Of(pid), Some(task)) = (home, self.find(id))
            && !namespaces::is_of(&task.namespace, pid)
        {
            // The process that it was of has gone, and another one is to have it.
            self.remove(id)?;
        }
        let task = {
            let mut live = self.live();
            if let Some(task) = live.tasks.get(id) {
                let same = task.kind == kind;
                let other = Error::OtherKind { id: id.to_owned(), kind: task.kind.as_str() };
                return if same { Ok(task.clone()) } else { Err(other) };
            }
            let mut wire = wire(&mut live)?;
            if let Some(wire) = &mut wire {
                wire.number = live.free_number();
            }
            let namespace = state::pin(&self.folder, id);
            let task = Attachment { id: id.to_owned(), kind, namespace, wire, ports: Vec::new() };
            live.tasks.insert(id.to_owned(), task.clone());
            task
        };
        match self.make(task.clone(), home) {
            Ok(task) => Ok(task),
            Err(error) => {
                let mut live = self.live();
                live.tasks.remove(id);
                if let Err(rest) = self.dismantle(&mut live, &task) {
                    tracing::warn!(task = id, %rest, "a network that failed to start leaves something behind");
                }
                Err(error)
            }
        }
    }

    fn make(&self, mut task: Attachment, home: Home) -> Result<Attachment> {
        // The state goes to disk first: whatever is found later has its name.
        state::write(&self.folder, &task)?;
        let pin = task.namespace.clone();
        let (mut socket, namespace) = namespaces::apart("task-network", move || {
            match home {
                Home::Fresh => namespaces::unshare(true, false)?,
                Home::Of(pid) => {
                    if namespaces::is_of(Path::new("/proc/thread-self/ns/net"), pid) {
                        return Err(Error::NotApart(pid));
                    }
                    let theirs = format!("/proc/{pid}/ns/net");
                    namespaces::enter(&[(NamespaceKind::Network, Path::new(&theirs))])?;
                }
            }
            for (name, value) in sysctl::TASK {
                sysctl::try_write(name, value);
            }
            let mut socket = Socket::route()?;
            let mut batch = Batch::default();
            links::up(&mut batch, links::LOOPBACK);
            socket.send(&batch)?;
            // A namespace that is pinned has at least its loopback, whenever we are killed.
            namespaces::pin(NamespaceKind::Network, &pin)?;
            let file = "/proc/thread-self/ns/net";
            let namespace = File::open(file).map_err(|e| Error::file("open", file, e))?;
            Ok((socket, namespace))
        })?;
        let mut there = Batch::default();
        if let Some(wire) = &mut task.wire {
            self.connect(task.kind, wire, namespace.as_fd())?;
            links::address(&mut there, links::FIRST, wire.address, wire.prefix, true);
            links::up(&mut there, links::FIRST);
            links::route_link(&mut there, wire.gateway.into(), links::FIRST, None);
            links::route_default(&mut there, wire.gateway, links::FIRST);
            links::neighbour(&mut there, links::FIRST, wire.gateway, host_side_mac(wire));
        }
        socket.send(&there)?;
        state::write(&self.folder, &task)?;
        self.live().tasks.insert(task.id.clone(), task.clone());
        Ok(task)
    }

    /// The host's side of a task's wire.
    fn connect(
        &self,
        kind: Kind,
        wire: &mut Wire,
        namespace: std::os::fd::BorrowedFd<'_>,
    ) -> Result<()> {
        let name = self.link_name(wire);
        let mut live = self.live();
        let live = &mut *live;
        let mut batch = Batch::default();
        let near = End { name: &name, mac: host_side_mac(wire) };
        links::veth(
            &mut batch,
            near,
            End { name: TASK_LINK, mac: wire.mac },
            namespace,
            self.mtu,
            None,
        );
        live.route.send(&batch)?;
        let link = links::find(&mut live.route, &name)?;
        wire.index = link.ok_or_else(|| Error::Unknown(name.clone()))?.index;
        // What is sent to 127.0.0.1 of this host, and by it, may pass over the task's wire; the table says which.
        sysctl::write(&format!("net/ipv4/conf/{name}/route_localnet"), "1")?;
        let mut batch = Batch::default();
        let own = match kind {
            Kind::Eni => self.uplink.as_ref().and_then(|uplink| uplink.address),
            _ => Some(live.pool.gateway()),
        };
        links::route_link(&mut batch, wire.address.into(), wire.index, own);
        links::neighbour(&mut batch, wire.index, wire.address, wire.mac);
        if let (Kind::Eni, Some(uplink)) = (kind, &self.uplink) {
            if !live.answers_for_others {
                // The kernel would let up to 0.8 s pass before it answers for another.
                sysctl::write(&format!("net/ipv4/neigh/{}/proxy_delay", uplink.name), "0")?;
                live.answers_for_others = true;
            }
            links::proxy(&mut batch, uplink.index, wire.address);
        }
        live.route.send(&batch)?;
        live.filter.send(&table::admit(&self.options, wire))
    }

    /// Takes away everything of a task but its place in `live.tasks`. What is gone already is no error.
    fn dismantle(&self, live: &mut Live, task: &Attachment) -> Result<()> {
        if let Some(wire) = &task.wire {
            self.disconnect(live, wire, &task.ports);
            live.pool.give_back(wire.address);
        }
        for mapping in &task.ports {
            live.ports.release(mapping);
        }
        namespaces::unpin(&task.namespace)?;
        state::remove(&self.folder, &task.id)
    }

    /// The link itself goes with its namespace: the kernel does that in the background and for many at once, which to
    /// wait for takes tens of milliseconds each.
    fn disconnect(&self, live: &mut Live, wire: &Wire, ports: &[PortMapping]) {
        let gone = |error: &std::io::Error| {
            use rustix::io::Errno;
            let number = Errno::from_io_error(error);
            matches!(number, Some(Errno::NOENT | Errno::NODEV | Errno::SRCH))
        };
        // One transaction for each, since one missing element would refuse all.
        let mut batches = vec![table::dismiss(&self.options, wire)];
        batches.extend(ports.iter().map(|mapping| table::unmap(&self.options, &[*mapping])));
        let mut failed: Vec<_> = batches
            .iter()
            .flat_map(|batch| live.filter.send_all(batch).unwrap_or_default())
            .collect();
        let mut batch = Batch::default();
        if wire.index != 0 {
            links::delete_route(&mut batch, wire.address.into(), wire.index);
        }
        if let Some(uplink) = &self.uplink {
            links::delete_proxy(&mut batch, uplink.index, wire.address);
        }
        failed.extend(live.route.send_all(&batch).unwrap_or_default());
        if ports.iter().any(|mapping| mapping.protocol == Protocol::Udp)
            && let Err(error) = conntrack::forget(&mut live.filter, wire.address)
        {
            tracing::warn!(%error, "whoever speaks UDP to an ended task goes on speaking to nobody");
        }
        for (what, error) in failed.iter().filter(|(_, error)| !gone(error)) {
            tracing::warn!(link = self.link_name(wire), "cannot {what}: {error}");
        }
    }

    /// Gives a bridge task its host ports: all of them or none. The task must have none yet.
    pub fn map_ports(&self, id: &str, requests: &[PortRequest]) -> Result<Vec<PortMapping>> {
        let mut live = self.live();
        let live = &mut *live;
        let task = live.tasks.get_mut(id).ok_or_else(|| Error::Unknown(id.to_owned()))?;
        let Some(wire) = &task.wire else { return Err(Error::Unknown(id.to_owned())) };
        let mappings = live.ports.map(id, requests)?;
        let mut kept = task.clone();
        kept.ports.extend_from_slice(&mappings);
        let written = state::write(&self.folder, &kept)
            .and_then(|()| live.filter.send(&table::map(&self.options, wire.address, &mappings)));
        if let Err(error) = written {
            mappings.iter().for_each(|mapping| live.ports.release(mapping));
            state::write(&self.folder, task)?;
            return Err(error);
        }
        *task = kept;
        Ok(mappings)
    }

    /// Takes a task's host ports back.
    pub fn unmap_ports(&self, id: &str) -> Result<()> {
        let mut live = self.live();
        let live = &mut *live;
        let task = live.tasks.get_mut(id).ok_or_else(|| Error::Unknown(id.to_owned()))?;
        if task.ports.is_empty() {
            return Ok(());
        }
        live.filter.send(&table::unmap(&self.options, &task.ports))?;
        let ports = std::mem::take(&mut task.ports);
        ports.iter().for_each(|mapping| live.ports.release(mapping));
        state::write(&self.folder, task)
    }

    /// Ends a task's network. One that is not there has ended already.
    pub fn remove(&self, id: &str) -> Result<()> {
        let mut live = self.live();
        match live.tasks.get(id).cloned() {
            None => Ok(()),
            Some(task) => {
                self.dismantle(&mut live, &task)?;
                live.tasks.remove(id);
                Ok(())
            }
        }
    }

    /// All tasks' networks, by id.
    pub fn list(&self) -> Vec<Attachment> {
        self.live().tasks.values().cloned().collect()
    }

    pub fn find(&self, id: &str) -> Option<Attachment> {
        self.live().tasks.get(id).cloned()
    }

    /// Whose address this is: who asks the metadata endpoint. No task can send from another's.
    pub fn task_at(&self, address: Ipv4Addr) -> Option<String> {
        let live = self.live();
        live.tasks.values().find(|task| task.address() == Some(address)).map(|task| task.id.clone())
    }

    /// Host ports that a task or any other process of this host has.
    pub fn host_ports_in_use(&self) -> Result<Vec<(Protocol, u16)>> {
        let mut used: Vec<_> =
            self.live().ports.held().map(|(protocol, port, _)| (protocol, port)).collect();
        used.extend(ports::listening()?);
        used.sort_unstable();
        used.dedup();
        Ok(used)
    }

    /// Removes every network whose task `owned` does not know, and every link and pin that belongs to no network.
    /// Answers with what was removed.
    pub fn reconcile(&self, owned: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        let strangers: Vec<_> = self.list().into_iter().filter(|task| !owned(&task.id)).collect();
        for task in strangers {
            self.remove(&task.id)?;
            removed.push(task.id);
        }
        let mut live = self.live();
        let live = &mut *live;
        let known: Vec<_> = live
            .tasks
            .values()
            .filter_map(|task| task.wire.as_ref())
            .map(|w| self.link_name(w))
            .collect();
        let prefix = self.options.tag.task_links();
        for link in links::list(&mut live.route)? {
            if link.name.starts_with(&prefix) && !known.contains(&link.name) {
                let mut batch = Batch::default();
                links::delete(&mut batch, link.index);
                // It may be on its way out with its namespace.
                live.route.send_all(&batch)?;
                removed.push(link.name);
            }
        }
        for id in state::strays(&self.folder, &live.tasks)? {
            namespaces::unpin(&state::pin(&self.folder, &id))?;
            removed.push(id);
        }
        Ok(removed)
    }
}

/// The host's side of the wire has an address of its own, so that the task can be told it and needn't ask.
fn host_side_mac(wire: &Wire) -> Mac {
    mac_of(wire.address, 0)
}
