//! The machine's side of `wharf up --hosts N`: a bridge that stands for the VPC, and hosts that are namespaces on it.
//!
//! What is made outlives whoever made it: opening the same data directory again finds the bridge, the hosts and the
//! processes in them, and takes them back.

mod host;
mod state;
mod table;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command};

use ipnet::Ipv4Net;

use crate::addresses::{self, Taken, Vpc, Zone, mac_of};
use crate::error::{Error, Result};
use crate::hosts_file::{self, Entry};
use crate::namespaces;
use crate::netlink::links;
use crate::netlink::{Batch, Socket};
use crate::sysctl;
use crate::tag::{self, Tag};

pub use state::HostRecord;
pub(crate) use state::MachineState;

/// How a machine's side is laid out.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    pub data_dir: PathBuf,
    /// `--vpc-cidr`; a free 10.x.0.0/16 if absent, and the same ever after.
    pub vpc: Option<Ipv4Net>,
    /// AWS: below which a host's private name is, by its region.
    pub domain: String,
    /// Where hosts' names are written; `--no-hosts-file` makes it `None`.
    pub hosts_file: Option<PathBuf>,
    /// Where pins and states live; [`tag::RUN`] but in tests.
    pub run: PathBuf,
}

impl MachineOptions {
    pub fn new(data_dir: impl Into<PathBuf>) -> MachineOptions {
        MachineOptions {
            data_dir: data_dir.into(),
            vpc: None,
            domain: "ec2.internal".to_owned(),
            hosts_file: Some("/etc/hosts".into()),
            run: tag::RUN.into(),
        }
    }
}

/// A host's place on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlace {
    pub id: String,
    pub name: String,
    pub zone: Zone,
    pub address: Ipv4Addr,
    /// The router of its subnet, where the control plane listens.
    pub gateway: Ipv4Addr,
    pub subnet: Ipv4Net,
    /// Its pinned namespaces.
    pub network: PathBuf,
    pub mounts: PathBuf,
    pub names: PathBuf,
}

/// The hosts of one data directory, and the bridge between them.
#[derive(Debug)]
pub struct Machine {
    options: MachineOptions,
    tag: Tag,
    folder: PathBuf,
    vpc: Vpc,
    bridge: u32,
    route: Socket,
    state: MachineState,
}

impl Machine {
    /// Makes the bridge, or finds it.
    pub fn open(options: MachineOptions) -> Result<Machine> {
        let tag = Tag::of(&options.data_dir);
        let folder = tag.run_dir(&options.run);
        namespaces::private_folder(&folder)?;
        let mut route = Socket::route()?;
        let mut state = MachineState::read(&options.data_dir)?;
        state.data_dir.clone_from(&options.data_dir);
        let vpc = choose_vpc(&options, &tag, &mut route, &state)?;
        state.vpc = Some(vpc.clone());
        // The choice is written before anything is made of it.
        state.write(&options.data_dir, &folder)?;
        let bridge = raise_bridge(&mut route, &tag, &vpc)?;
        let mut machine = Machine { options, tag, folder, vpc, bridge, route, state };
        Socket::netfilter()?.send(&table::build(&machine.tag, &machine.vpc))?;
        machine.let_hosts_out()?;
        machine.write_names()?;
        Ok(machine)
    }

    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    pub fn vpc(&self) -> &Vpc {
        &self.vpc
    }

    /// Addresses of this machine that only hosts and this machine itself can reach: the control plane listens there.
    pub fn gateways(&self) -> [Ipv4Addr; 2] {
        Zone::ALL.map(|zone| self.vpc.subnet(zone).gateway())
    }

    /// Every host, by id.
    pub fn hosts(&self) -> Vec<HostPlace> {
        self.state.hosts.iter().map(|(id, record)| self.place(id, record)).collect()
    }

    fn place(&self, id: &str, record: &HostRecord) -> HostPlace {
        let subnet = self.vpc.subnet(record.zone);
        let pin = |kind: namespaces::Kind| self.folder.join(format!("{id}.{}", kind.file()));
        HostPlace {
            id: id.to_owned(),
            name: record.name.clone(),
            zone: record.zone,
            address: record.address,
            gateway: subnet.gateway(),
            subnet: subnet.cidr,
            network: pin(namespaces::Kind::Network),
            mounts: pin(namespaces::Kind::Mount),
            names: pin(namespaces::Kind::Names),
        }
    }

    /// Gives a host its namespaces, its address and its name; one that has them keeps them.
    pub fn add_host(&mut self, id: &str, zone: Zone, name: &str) -> Result<HostPlace> {
        tag::check_name(id)?;
        tag::check_name(name)?;
        if !self.state.hosts.contains_key(id) {
            let used: BTreeSet<_> = self.state.hosts.values().map(|host| host.address).collect();
            let address = self.vpc.free_host_address(zone, &used)?;
            self.state
                .hosts
                .insert(id.to_owned(), HostRecord { name: name.to_owned(), zone, address });
        }
        let record = self.state.hosts.get_mut(id).expect("it was put there just now");
        name.clone_into(&mut record.name);
        let record = record.clone();
        self.state.write(&self.options.data_dir, &self.folder)?;
        let place = self.place(id, &record);
        let link = host::link_name(&self.tag, &place, &self.vpc);
        if !host::is_whole(&place, &link, &mut self.route)? {
            host::remove(&place, &link, &mut self.route)?;
            if let Err(error) = host::make(self, &place, &link) {
                let _ = host::remove(&place, &link, &mut self.route);
                return Err(error);
            }
        }
        self.write_names()?;
        Ok(place)
    }

    /// Takes a host's namespaces and address away. Its processes are the caller's to end first.
    pub fn remove_host(&mut self, id: &str) -> Result<()> {
        let Some(record) = self.state.hosts.get(id).cloned() else { return Ok(()) };
        let place = self.place(id, &record);
        let link = host::link_name(&self.tag, &place, &self.vpc);
        host::remove(&place, &link, &mut self.route)?;
        self.state.hosts.remove(id);
        self.state.write(&self.options.data_dir, &self.folder)?;
        self.write_names()
    }

    /// Starts a process that is born inside a host.
    pub fn spawn_in_host(&self, place: &HostPlace, command: &mut Command) -> Result<Child> {
        spawn_in_host(place, command)
    }

    /// AWS: a host's private DNS name is made of its address.
    fn names_of(&self, host: &HostRecord) -> Entry {
        let [a, b, c, d] = host.address.octets();
        let (short, domain) = (format!("ip-{a}-{b}-{c}-{d}"), &self.options.domain);
        let mut names = vec![host.name.clone(), format!("{short}.{domain}"), short];
        names.dedup();
        Entry { address: host.address, names }
    }

    fn write_names(&self) -> Result<()> {
        let Some(path) = &self.options.hosts_file else { return Ok(()) };
        let entries: Vec<_> = self.state.hosts.values().map(|host| self.names_of(host)).collect();
        hosts_file::write(path, &self.tag, &entries)?;
        Ok(())
    }

    /// Lets what hosts send go on by this machine's ways out. Only the links concerned forward; what was changed of a
    /// link that is not Wharf's is noted, for `clean` to undo.
    fn let_hosts_out(&mut self) -> Result<()> {
        forward(&self.tag.vpc_bridge())?;
        let all = links::list(&mut self.route)?;
        for route in links::routes(&mut self.route)? {
            let Some(link) = all.iter().find(|link| link.index == route.device) else { continue };
            let way_out = route.to.prefix_len() == 0 && link.index != self.bridge;
            if way_out && sysctl::read(&forwarding(&link.name))? == "0" {
                self.state.forwarding.insert(link.name.clone());
                self.state.write(&self.options.data_dir, &self.folder)?;
                forward(&link.name)?;
                tracing::info!(
                    link = link.name,
                    "forwarding is on, so that hosts can reach the internet"
                );
            }
        }
        Ok(())
    }
}

/// Starts a process that is born inside a host: in its network, mount and name namespaces.
pub fn spawn_in_host(place: &HostPlace, command: &mut Command) -> Result<Child> {
    use namespaces::Kind;
    namespaces::apart("into-host", || {
        namespaces::enter(&[
            (Kind::Network, &place.network),
            (Kind::Names, &place.names),
            (Kind::Mount, &place.mounts),
        ])?;
        command
            .spawn()
            .map_err(|e| Error::kernel(format!("start a process in host {}", place.id), e))
    })
}

pub(crate) fn forwarding(link: &str) -> String {
    format!("net/ipv4/conf/{link}/forwarding")
}

fn forward(link: &str) -> Result<()> {
    sysctl::write(&forwarding(link), "1")
}

/// The range of earlier, the range asked for, or a free one.
fn choose_vpc(
    options: &MachineOptions,
    tag: &Tag,
    route: &mut Socket,
    state: &MachineState,
) -> Result<Vpc> {
    let taken = taken(route, &tag.vpc_bridge())?;
    let free = |cidr: Ipv4Net| match addresses::clash(cidr, &taken) {
        None => Ok(()),
        Some(found) => {
            Err(Error::RouteClash { cidr, route: found.route, device: found.device.clone() })
        }
    };
    if let Some(vpc) = &state.vpc {
        if let Some(asked) = options.vpc.filter(|asked| *asked != vpc.cidr) {
            let why = format!("this data directory's hosts live in {}", vpc.cidr);
            return Err(Error::VpcRange { cidr: asked, why });
        }
        free(vpc.cidr)?;
        return Ok(vpc.clone());
    }
    let cidr = match options.vpc {
        Some(cidr) => {
            free(cidr)?;
            cidr
        }
        None => {
            let seed = u8::from_str_radix(&tag.as_str()[..2], 16).expect("a tag is hexadecimal");
            addresses::free_range("a VPC", addresses::vpc_candidates(seed), &taken)?
        }
    };
    Vpc::new(cidr)
}

/// Routes of this machine but those of our own bridge.
fn taken(route: &mut Socket, own: &str) -> Result<Vec<Taken>> {
    let all = links::list(route)?;
    let name = |index: u32| {
        all.iter().find(|l| l.index == index).map_or_else(String::new, |l| l.name.clone())
    };
    let routes = links::routes(route)?;
    let taken = routes.iter().map(|r| Taken { route: r.to, device: name(r.device) });
    Ok(taken.filter(|taken| taken.device != own).collect())
}

fn raise_bridge(route: &mut Socket, tag: &Tag, vpc: &Vpc) -> Result<u32> {
    let name = tag.vpc_bridge();
    let first = vpc.subnets[0].gateway();
    if links::find(route, &name)?.is_none() {
        let mut batch = Batch::default();
        links::bridge(&mut batch, &name, mac_of(first, 0));
        route.send(&batch)?;
    }
    let bridge = links::find(route, &name)?.ok_or_else(|| Error::Unknown(name.clone()))?;
    let mut batch = Batch::default();
    for subnet in &vpc.subnets {
        // Hosts find each other without a router, whatever their subnet.
        links::address(
            &mut batch,
            bridge.index,
            subnet.gateway(),
            vpc.cidr.prefix_len(),
            subnet.gateway() != first,
        );
    }
    links::up(&mut batch, bridge.index);
    route.send(&batch)?;
    Ok(bridge.index)
}
