//! Host ports: which one a mapping gets, and how it is kept from everyone else.
//!
//! A port is reserved by listening on it. The kernel then refuses it to every other process, which no list of ports
//! read a moment ago could promise; packets never come to that socket, since they are rewritten before they arrive.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A transport protocol of a port mapping.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// Ports in a row, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl PortRange {
    pub fn one(port: u16) -> PortRange {
        PortRange { first: port, last: port }
    }

    /// How many ports, at least one.
    pub fn count(self) -> u16 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    pub fn ports(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// AWS: the range of dynamic ports on Linux, unless the agent is told another.
pub const DYNAMIC: PortRange = PortRange { first: 32768, last: 60999 };

/// What a container definition asks for: one port or a range of them, on given host ports or on any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRequest {
    pub container: PortRange,
    pub host: Option<PortRange>,
    pub protocol: Protocol,
}

impl PortRequest {
    pub fn fixed(container: u16, host: u16, protocol: Protocol) -> PortRequest {
        PortRequest {
            container: PortRange::one(container),
            host: Some(PortRange::one(host)),
            protocol,
        }
    }

    pub fn dynamic(container: u16, protocol: Protocol) -> PortRequest {
        PortRequest { container: PortRange::one(container), host: None, protocol }
    }
}

/// What it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    pub container: PortRange,
    pub host: PortRange,
    pub protocol: Protocol,
}

/// The ports of one network namespace that are handed out, each with its holder and the socket that keeps it.
#[derive(Debug)]
pub struct Ports {
    dynamic: PortRange,
    next: u16,
    held: BTreeMap<(Protocol, u16), Held>,
}

#[derive(Debug)]
struct Held {
    by: String,
    _socket: Option<OwnedFd>,
}

impl Ports {
    pub fn new(dynamic: PortRange) -> Ports {
        Ports { dynamic, next: dynamic.first, held: BTreeMap::new() }
    }

    /// Reserves ports for all requests of a task, or for none.
    pub fn map(&mut self, holder: &str, requests: &[PortRequest]) -> Result<Vec<PortMapping>> {
        let mut mappings = Vec::with_capacity(requests.len());
        // Fixed ports come first, so that a dynamic one never takes what its own task asks for.
        for (at, request) in requests.iter().enumerate().filter(|(_, r)| r.host.is_some()) {
            match self.map_fixed(holder, request) {
                Ok(mapping) => mappings.push((at, mapping)),
                Err(error) => return Err(self.undo(&mappings, error)),
            }
        }
        for (at, request) in requests.iter().enumerate().filter(|(_, r)| r.host.is_none()) {
            match self.map_dynamic(holder, request) {
                Ok(mapping) => mappings.push((at, mapping)),
                Err(error) => return Err(self.undo(&mappings, error)),
            }
        }
        mappings.sort_by_key(|(at, _)| *at);
        Ok(mappings.into_iter().map(|(_, mapping)| mapping).collect())
    }

    fn undo(&mut self, mappings: &[(usize, PortMapping)], error: Error) -> Error {
        for (_, mapping) in mappings {
            self.release(mapping);
        }
        error
    }

    fn map_fixed(&mut self, holder: &str, request: &PortRequest) -> Result<PortMapping> {
        let host = request.host.expect("only requests with host ports come here");
        let mapping =
            PortMapping { container: request.container, host, protocol: request.protocol };
        if host.count() != request.container.count() {
            let (container, host) = (request.container.to_string(), host.to_string());
            return Err(Error::RangeLengths { container, host });
        }
        for port in host.ports() {
            if let Err(error) = self.reserve(holder, request.protocol, port) {
                self.release_some(request.protocol, host.first..port);
                return Err(error);
            }
        }
        Ok(mapping)
    }

    fn map_dynamic(&mut self, holder: &str, request: &PortRequest) -> Result<PortMapping> {
        let count = request.container.count();
        let Some(last_start) = (self.dynamic.last - self.dynamic.first + 1).checked_sub(count)
        else {
            return Err(self.exhausted(count, request.protocol));
        };
        // Starts are tried in turn from where the last search ended: a port given back is not given out at once.
        let mut offset = self.next.saturating_sub(self.dynamic.first).min(last_start);
        let mut tried = 0u32;
        while tried <= u32::from(last_start) {
            let first = self.dynamic.first + offset;
            let range = PortRange { first, last: first + (count - 1) };
            match self.reserve_all(holder, request.protocol, range) {
                None => {
                    self.next = range
                        .last
                        .checked_add(1)
                        .filter(|p| *p <= self.dynamic.last)
                        .unwrap_or(self.dynamic.first);
                    return Ok(PortMapping {
                        container: request.container,
                        host: range,
                        protocol: request.protocol,
                    });
                }
                Some(taken) => {
                    // No start up to the taken port can work.
                    let step = taken - first + 1;
                    tried += u32::from(step);
                    offset = offset.checked_add(step).filter(|o| *o <= last_start).unwrap_or(0);
                }
            }
        }
        Err(self.exhausted(count, request.protocol))
    }

    fn exhausted(&self, count: u16, protocol: Protocol) -> Error {
        Error::NoFreePorts { count, first: self.dynamic.first, last: self.dynamic.last, protocol }
    }

    /// Reserves a whole range, or answers with the first port of it that is taken.
    fn reserve_all(&mut self, holder: &str, protocol: Protocol, range: PortRange) -> Option<u16> {
        for port in range.ports() {
            if self.reserve(holder, protocol, port).is_err() {
                self.release_some(protocol, range.first..port);
                return Some(port);
            }
        }
        None
    }

    fn reserve(&mut self, holder: &str, protocol: Protocol, port: u16) -> Result<()> {
        let in_use = |holder: String| Error::PortInUse { port, protocol, holder };
        if let Some(held) = self.held.get(&(protocol, port)) {
            return Err(in_use(held.by.clone()));
        }
        match listen(protocol, port) {
            Ok(socket) => {
                self.held.insert(
                    (protocol, port),
                    Held { by: holder.to_owned(), _socket: Some(socket) },
                );
                Ok(())
            }
            Err(rustix::io::Errno::ADDRINUSE) => {
                Err(in_use("another process of this host".to_owned()))
            }
            Err(error) => Err(Error::kernel(format!("reserve host port {port}/{protocol}"), error)),
        }
    }

    /// Takes over a mapping that was made earlier. Whoever took the port meanwhile is told of, not obeyed: packets are
    /// rewritten before they could reach them.
    pub fn adopt(&mut self, holder: &str, mapping: &PortMapping) -> Vec<u16> {
        let mut lost = Vec::new();
        for port in mapping.host.ports() {
            let socket = listen(mapping.protocol, port).ok();
            if socket.is_none() {
                lost.push(port);
            }
            let held = Held { by: holder.to_owned(), _socket: socket };
            self.held.insert((mapping.protocol, port), held);
        }
        lost
    }

    pub fn release(&mut self, mapping: &PortMapping) {
        self.release_some(mapping.protocol, mapping.host.ports());
    }

    fn release_some(&mut self, protocol: Protocol, ports: impl Iterator<Item = u16>) {
        for port in ports {
            self.held.remove(&(protocol, port));
        }
    }

    pub fn held(&self) -> impl Iterator<Item = (Protocol, u16, &str)> {
        self.held.iter().map(|((protocol, port), held)| (*protocol, *port, held.by.as_str()))
    }
}

fn listen(protocol: Protocol, port: u16) -> rustix::io::Result<OwnedFd> {
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let socket = net::socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None)?;
    if protocol == Protocol::Tcp {
        // Connections of a former holder that linger in TIME_WAIT are no reason to refuse the port.
        net::sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?;
    if protocol == Protocol::Tcp {
        net::listen(&socket, 1)?;
    }
    Ok(socket)
}

/// Ports that sockets of the calling thread's namespace are bound to.
pub fn listening() -> Result<Vec<(Protocol, u16)>> {
    let mut found = Vec::new();
    let tables = [
        ("tcp", Protocol::Tcp),
        ("tcp6", Protocol::Tcp),
        ("udp", Protocol::Udp),
        ("udp6", Protocol::Udp),
    ];
    for (name, protocol) in tables {
        let path = format!("/proc/thread-self/net/{name}");
        match std::fs::read_to_string(&path) {
            Ok(text) => found.extend(bound_ports(&text, protocol).map(|port| (protocol, port))),
            // Without IPv6 in the kernel there are no such tables.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file("read", path, error)),
        }
    }
    Ok(found)
}

/// The local ports of a table of sockets: of those that listen (TCP's state 0A), or of all (UDP).
fn bound_ports(text: &str, protocol: Protocol) -> impl Iterator<Item = u16> {
    text.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = fields.next()?;
        let state = fields.nth(1)?;
        let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        (protocol == Protocol::Udp || state == "0A").then_some(port)
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicU16, Ordering};

    use super::*;

    fn ports(first: u16, last: u16) -> Ports {
        Ports::new(PortRange { first, last })
    }

    /// Ports that nobody has, below those that the kernel hands out. No two tests, which run at the same
    /// time, look at the same ones.
    fn free_run(count: u16) -> u16 {
        static NEXT: AtomicU16 = AtomicU16::new(20_000);
        loop {
            let first = NEXT.fetch_add(count, Ordering::Relaxed);
            assert!(first < 30_000, "no free ports");
            if (first..first + count).all(|port| listen(Protocol::Tcp, port).is_ok()) {
                return first;
            }
        }
    }

    #[test]
    fn a_conflict_names_the_port_and_its_holder_and_leaves_nothing_reserved() {
        let first = free_run(4);
        let mut ports = ports(first, first + 3);
        ports.map("one", &[PortRequest::fixed(80, first + 1, Protocol::Tcp)]).unwrap();
        let both = [
            PortRequest::fixed(80, first, Protocol::Tcp),
            PortRequest::fixed(81, first + 1, Protocol::Tcp),
        ];
        let error = ports.map("two", &both).unwrap_err().to_string();
        assert_eq!(error, format!("host port {}/tcp is in use by one", first + 1));
        assert_eq!(ports.held().count(), 1);
        ports.map("two", &both[..1]).unwrap();
    }

    #[test]
    fn a_port_in_use_by_a_process_is_never_given_out() {
        let first = free_run(3);
        let listener = TcpListener::bind(("127.0.0.1", first + 1)).unwrap();
        let mut ports = ports(first, first + 2);
        let taken = [PortRequest::fixed(80, first + 1, Protocol::Tcp)];
        let error = ports.map("one", &taken).unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
        let dynamic = PortRequest::dynamic(80, Protocol::Tcp);
        let got: Vec<u16> =
            ports.map("one", &[dynamic; 2]).unwrap().iter().map(|m| m.host.first).collect();
        assert_eq!(got, [first, first + 2]);
        assert!(matches!(ports.map("one", &[dynamic]), Err(Error::NoFreePorts { .. })));
        // And a port that was given out is not for another process.
        assert!(TcpListener::bind(("0.0.0.0", first)).is_err());
        drop(listener);
    }

    #[test]
    fn a_range_is_in_a_row_and_dynamic_ports_shun_the_fixed_ones_of_their_task() {
        let first = free_run(6);
        let mut ports = ports(first, first + 5);
        let range = PortRequest {
            container: PortRange { first: 8000, last: 8002 },
            host: None,
            protocol: Protocol::Tcp,
        };
        let mappings =
            ports.map("one", &[range, PortRequest::fixed(80, first + 1, Protocol::Tcp)]).unwrap();
        assert_eq!(mappings[0].host, PortRange { first: first + 2, last: first + 4 });
        assert_eq!(mappings[1].host, PortRange::one(first + 1));
        assert!(matches!(ports.map("two", &[range]), Err(Error::NoFreePorts { .. })));
        for mapping in &mappings {
            ports.release(mapping);
        }
        assert_eq!(ports.held().count(), 0);
        ports.map("two", &[range]).unwrap();
    }

    #[test]
    fn tcp_and_udp_do_not_mind_each_other() {
        let first = free_run(1);
        let mut ports = ports(first, first);
        ports.map("one", &[PortRequest::fixed(53, first, Protocol::Tcp)]).unwrap();
        ports.map("two", &[PortRequest::fixed(53, first, Protocol::Udp)]).unwrap();
    }
}
