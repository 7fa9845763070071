//! The networks of a task and of its containers, with the ports by which they are reached.
//!
//! A runtime that joins namespaces by their paths is given new ones. One that joins only what its own
//! containers have (Docker) starts a pause container for each network; the network is made in that
//! one's namespace, and stays there however often the containers that join it begin and end.

use host_network::{Attachment, Eni, Home, PortMapping, PortRange, PortRequest, Protocol};
use host_runtime::{ContainerSpec, Error, GroupSpec, Namespace, Status};

use super::{Driver, pause, reason, task_limits, tmpfs};
use crate::engine::{Binding, Failure};
use crate::tasks::{Given, NetworkMode};

impl Driver {
    /// The task's cgroup, and its network where all containers share one.
    pub(super) async fn prepare(&self, given: &Given) -> Result<(), Failure> {
        let resource = |text: String| Failure::new(Failure::RESOURCE, text);
        if let Some(path) = self.group(given) {
            let group = GroupSpec { path, resources: task_limits(given) };
            let made = self.runtime.create_group(&group).await;
            made.map_err(|e| resource(format!("cannot make the task's cgroup: {}", reason(&e))))?;
        }
        self.hold_namespaces(given).await?;
        let (network, id) = (self.network.clone(), given.id.clone());
        let failed = |text: String| resource(format!("cannot make the task's network: {text}"));
        match given.network_mode() {
            NetworkMode::Awsvpc => {
                let eni = eni(given).map_err(resource)?;
                let home = self.home(given, None).await.map_err(failed)?;
                let add = move || network.add_eni_task_to(&id, home, &eni).map(drop);
                blocking(add).await.map_err(failed)
            }
            NetworkMode::None if self.runtime.joins_paths() => {
                let add = move || network.add_isolated_task(&id).map(drop);
                blocking(add).await.map_err(failed)
            }
            _ => Ok(()),
        }
    }

    /// A container's network, where it has one of its own.
    pub(super) async fn attach(
        &self,
        given: &Given,
        part: usize,
    ) -> Result<Option<Attachment>, Failure> {
        let network = self.network.clone();
        match given.network_mode() {
            NetworkMode::Host => Ok(None),
            // The runtime gives each container a loopback of its own.
            NetworkMode::None if !self.runtime.joins_paths() => Ok(None),
            NetworkMode::Awsvpc | NetworkMode::None => {
                let found = network.find(&given.id);
                let gone = || Failure::new(Failure::CREATE, "the task's network is gone");
                found.map(Some).ok_or_else(gone)
            }
            NetworkMode::Bridge => {
                // AWS: a host port that is taken makes the start fail, in Docker's words.
                let failed = |text: String| {
                    let text = format!("failed to set up container networking: {text}");
                    Failure::new(Failure::START, text)
                };
                let id = given.container_id(part);
                let requests = port_requests(given, part)?;
                let home = self.home(given, Some(part)).await.map_err(failed)?;
                let add = move || {
                    let attachment = network.add_bridge_task_to(&id, home)?;
                    if attachment.ports.is_empty() && !requests.is_empty() {
                        network.map_ports(&id, &requests)?;
                    }
                    Ok(network.find(&id))
                };
                blocking(add).await.map_err(failed)
            }
        }
    }

    /// Where a network's namespace comes from: that of a task, or of one of its containers.
    async fn home(&self, given: &Given, part: Option<usize>) -> Result<Home, String> {
        if self.runtime.joins_paths() {
            return Ok(Home::Fresh);
        }
        let id = holder(given, part);
        match self.runtime.state(&id).await {
            Ok(state) if state.status == Status::Running => return Ok(Home::Of(state.pid)),
            Ok(_) | Err(Error::NotFound(_)) => {}
            Err(error) => return Err(reason(&error)),
        }
        // Who joins the network of another has the name of that one.
        let named = part.unwrap_or(0);
        let domain = &given.configs[named].0.domainname;
        let spec = ContainerSpec {
            name: format!("ecs-{}-{}-network", given.task.family, given.task.version),
            hostname: self.own_hostname(given, named),
            domainname: (!domain.is_empty()).then(|| domain.clone()),
            cgroup: self.cgroup(given, &id),
            ..pause::spec(id)
        };
        self.start_pause(&spec).await.map(Home::Of).map_err(|error| reason(&error))
    }

    /// What a container of this part joins.
    pub(super) fn network_namespace(
        &self,
        given: &Given,
        part: usize,
        attachment: Option<&Attachment>,
    ) -> Namespace {
        match (given.network_mode(), attachment) {
            (NetworkMode::Host, _) => Namespace::Host,
            (_, Some(attachment)) if self.runtime.joins_paths() => {
                Namespace::Path(attachment.namespace.clone())
            }
            (NetworkMode::Bridge, Some(_)) => Namespace::Container(holder(given, Some(part))),
            (_, Some(_)) => Namespace::Container(holder(given, None)),
            (_, None) => Namespace::Own,
        }
    }

    /// Networks, cgroup and memory of a task whose containers have all ended.
    pub(super) async fn release(&self, given: &Given) {
        self.let_namespaces_go(given).await;
        // Docker: a volume in memory is there while a container has it.
        let volumes = self.task_dir(given).join("volumes");
        let _ = tokio::task::spawn_blocking(move || tmpfs::remove_all(&volumes)).await;
        let network = self.network.clone();
        let mut ids = vec![given.id.clone()];
        ids.extend((0..given.task.containers.len()).map(|part| given.container_id(part)));
        let remove = move || {
            for id in ids {
                if let Err(error) = network.remove(&id) {
                    tracing::warn!("the network of {id} was not removed: {error}");
                }
            }
        };
        let _ = tokio::task::spawn_blocking(remove).await;
        if let Some(group) = self.group(given)
            && let Err(error) = self.runtime.remove_group(&group).await
        {
            tracing::warn!("the cgroup of {} was not removed: {error}", given.id);
        }
    }
}

/// The pause container that a network is of. As with all containers, what stands before the last dash
/// is the task.
fn holder(given: &Given, part: Option<usize>) -> String {
    match part {
        Some(part) => format!("{}-{part}.network", given.id),
        None => format!("{}-network", given.id),
    }
}

/// All of them that a task may have.
pub(super) fn holders(given: &Given) -> Vec<String> {
    let parts = (0..given.task.containers.len()).map(Some);
    match given.network_mode() {
        NetworkMode::Host | NetworkMode::None => Vec::new(),
        NetworkMode::Awsvpc => vec![holder(given, None)],
        NetworkMode::Bridge => parts.map(|part| holder(given, part)).collect(),
    }
}

/// A blocking call of the network, off the threads that carry everything else.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> host_network::Result<T> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(call).await {
        Ok(done) => done.map_err(|error| reason(&error)),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn eni(given: &Given) -> Result<Eni, String> {
    let eni = given.task.elastic_network_interfaces.first();
    let eni = eni.ok_or("the task has no network interface")?;
    let addresses = &eni.ipv4_addresses;
    let address = addresses.iter().find(|address| address.primary).or(addresses.first());
    let address = address.ok_or("the network interface has no address")?;
    let bad = |what: &str, text: &str| format!("{text} is no {what} of a network interface");
    let gateway = &eni.subnet_gateway_ipv4_address;
    let (router, prefix) = gateway.split_once('/').ok_or_else(|| bad("gateway", gateway))?;
    Ok(Eni {
        mac: eni.mac_address.parse().map_err(|_| bad("MAC address", &eni.mac_address))?,
        address: address
            .private_address
            .parse()
            .map_err(|_| bad("address", &address.private_address))?,
        prefix: prefix.parse().map_err(|_| bad("prefix", gateway))?,
        gateway: router.parse().map_err(|_| bad("gateway", gateway))?,
    })
}

fn port_requests(given: &Given, part: usize) -> Result<Vec<PortRequest>, Failure> {
    let mut requests = Vec::new();
    for mapping in &given.task.containers[part].port_mappings {
        let protocol = match mapping.protocol.as_str() {
            "udp" => Protocol::Udp,
            _ => Protocol::Tcp,
        };
        let request = match mapping.container_port_range.split_once('-') {
            Some((first, last)) => {
                first.trim().parse().ok().zip(last.trim().parse().ok()).map(|(first, last)| {
                    PortRequest { container: PortRange { first, last }, host: None, protocol }
                })
            }
            None => {
                let container = u16::try_from(mapping.container_port).ok();
                container.zip(u16::try_from(mapping.host_port).ok()).map(|(container, host)| {
                    match host {
                        0 => PortRequest::dynamic(container, protocol),
                        host => PortRequest::fixed(container, host, protocol),
                    }
                })
            }
        };
        let bad = || {
            let text = format!("invalid port mapping of container port {}", mapping.container_port);
            Failure::new(Failure::CREATE, text)
        };
        requests.push(request.ok_or_else(bad)?);
    }
    Ok(requests)
}

/// What is told of a container's ports: each by itself, a range as one.
pub(super) fn bindings(
    given: &Given,
    part: usize,
    attachment: Option<&Attachment>,
) -> Vec<Binding> {
    let binding = |container_port, host_port, protocol: String| Binding {
        address: "0.0.0.0".to_owned(),
        container_port,
        host_port,
        last: None,
        protocol,
    };
    match given.network_mode() {
        NetworkMode::Bridge => {
            let ports = attachment.map(|attachment| attachment.ports.as_slice());
            let each = |mapping: &PortMapping| {
                let PortRange { first, last } = mapping.container;
                let one = binding(first, mapping.host.first, mapping.protocol.to_string());
                Binding { last: (last != first).then_some(last), ..one }
            };
            ports.unwrap_or_default().iter().map(each).collect()
        }
        NetworkMode::Host => {
            let ports = given.task.containers[part].port_mappings.iter();
            let port = |port: i64| u16::try_from(port).ok();
            ports
                .filter_map(|mapping| {
                    let range = mapping.container_port_range.split_once('-');
                    let range = range.and_then(|(a, b)| a.parse().ok().zip(b.parse().ok()));
                    let (first, last) = match range {
                        Some((first, last)) => (first, Some(last)),
                        None => (port(mapping.container_port)?, None),
                    };
                    let protocol = match mapping.protocol.as_str() {
                        "" => "tcp".to_owned(),
                        protocol => protocol.to_owned(),
                    };
                    Some(Binding { last, ..binding(first, first, protocol) })
                })
                .collect()
        }
        NetworkMode::Awsvpc | NetworkMode::None => Vec::new(),
    }
}
