//! The nftables table of a host's inside. Rules are written once; tasks come and go as elements of one set and two
//! maps, so that the thousandth task costs what the first did.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Attachment, InsideOptions, METADATA, Wire};
use crate::netlink::Batch;
use crate::netlink::nft::{
    DESTINATION_REWRITTEN, Element, Hook, LOCAL, Read, TCP, Table, Term, UDP,
};
use crate::ports::{PortMapping, Protocol};

const SOURCES: &str = "sources";
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const INSTANCE_METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

fn ports_map(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp-ports",
        Protocol::Udp => "udp-ports",
    }
}

/// The whole table with all its tasks, in place of whatever was there.
pub fn build<'a>(
    options: &InsideOptions,
    bridge: Ipv4Net,
    tasks: impl Iterator<Item = &'a Attachment>,
) -> Batch {
    let mut batch = Batch::default();
    let name = options.tag.host_table();
    batch.begin();
    let mut table = Table { batch: &mut batch, name: &name };
    table.replace();
    table.sources(SOURCES);
    table.ports(ports_map(Protocol::Tcp));
    table.ports(ports_map(Protocol::Udp));
    rules(&mut table, options, bridge);
    let mut sources = Vec::new();
    let mut ports = [(Protocol::Tcp, Vec::new()), (Protocol::Udp, Vec::new())];
    for task in tasks {
        let Some(wire) = &task.wire else { continue };
        sources.push(Element::source(wire.index, wire.address));
        for (protocol, elements) in &mut ports {
            elements.extend(port_elements(wire.address, &task.ports, *protocol));
        }
    }
    table.add(SOURCES, &sources);
    for (protocol, elements) in &ports {
        table.add(ports_map(*protocol), elements);
    }
    batch.commit();
    batch
}

fn rules(table: &mut Table<'_>, options: &InsideOptions, bridge: Ipv4Net) {
    let tasks = options.tag.task_links();
    let from_task = || Term::name_prefix(Read::InName, &tasks);
    let to_task = || Term::name_prefix(Read::OutName, &tasks);
    let tcp = || Term::Is(Read::L4Protocol, vec![TCP]);
    let loopback = Ipv4Net::new(Ipv4Addr::new(127, 0, 0, 0), 8).expect("8 is a prefix");
    let to_agent = || Term::Nat(LOOPBACK, options.metadata_port);
    let asks_agent = || {
        let port = Term::Is(Read::DestinationPort, 80u16.to_be_bytes().to_vec());
        [Term::Is(Read::Destination, METADATA.octets().to_vec()), tcp(), port]
    };

    table.chain("arriving", Hook::RAW);
    table.rule("arriving", &[from_task(), Term::Unknown(SOURCES), Term::Drop]);
    // The links let 127.0.0.0/8 pass, for answers of the agent; nobody may address it.
    table.rule(
        "arriving",
        &[Term::not_name(Read::InName, "lo"), Term::In(Read::Destination, loopback), Term::Drop],
    );

    table.chain("to-tasks", Hook::DNAT);
    let mut ask = vec![from_task()];
    ask.extend(asks_agent());
    ask.push(to_agent());
    table.rule("to-tasks", &ask);
    table.chain("to-tasks-from-here", Hook::DNAT_LOCAL);
    let mut ask: Vec<_> = asks_agent().into();
    ask.push(to_agent());
    table.rule("to-tasks-from-here", &ask);
    for chain in ["to-tasks", "to-tasks-from-here"] {
        for (protocol, number) in [(Protocol::Tcp, TCP), (Protocol::Udp, UDP)] {
            let here = Term::Is(Read::DestinationKind, LOCAL.to_ne_bytes().to_vec());
            let protocol_is = Term::Is(Read::L4Protocol, vec![number]);
            table.rule(chain, &[here, protocol_is, Term::NatByPort(ports_map(protocol))]);
        }
    }

    table.chain("leaving", Hook::SNAT);
    // What this host sends to its own 127.0.0.1 and a task gets, and what a task sends to a host port and a task gets
    // (perhaps itself): the answer must come back this way.
    table.rule("leaving", &[Term::In(Read::Source, loopback), to_task(), Term::Masquerade]);
    let rewritten = Term::AnyBit(Read::Status, DESTINATION_REWRITTEN);
    table
        .rule("leaving", &[Term::In(Read::Source, bridge), to_task(), rewritten, Term::Masquerade]);
    let outward = Term::Not(Read::OutName, tasks.as_bytes().to_vec());
    table.rule("leaving", &[Term::In(Read::Source, bridge), outward, Term::Masquerade]);

    table.chain("to-this-host", Hook::INPUT);
    // The agent knows tasks by the address they come from; nobody comes to it but by the metadata address.
    let agent_port = Term::Is(Read::DestinationPort, options.metadata_port.to_be_bytes().to_vec());
    let not_rewritten = Term::NoBit(Read::Status, DESTINATION_REWRITTEN);
    let outside = Term::not_name(Read::InName, "lo");
    table.rule("to-this-host", &[outside, tcp(), agent_port, not_rewritten, Term::Drop]);

    table.chain("through", Hook::FORWARD);
    let mut never = vec![METADATA];
    if options.block_instance_metadata {
        never.push(INSTANCE_METADATA);
    }
    for address in never {
        let there = Term::Is(Read::Destination, address.octets().to_vec());
        table.rule("through", &[from_task(), there, Term::Drop]);
    }
}

fn port_elements(address: Ipv4Addr, mappings: &[PortMapping], protocol: Protocol) -> Vec<Element> {
    let same = mappings.iter().filter(|mapping| mapping.protocol == protocol);
    same.flat_map(|mapping| {
        let pairs = mapping.host.ports().zip(mapping.container.ports());
        pairs.map(|(host, container)| Element::port(host, address, container))
    })
    .collect()
}

fn change(options: &InsideOptions, what: impl FnOnce(&mut Table<'_>)) -> Batch {
    let mut batch = Batch::default();
    let name = options.tag.host_table();
    batch.begin();
    what(&mut Table { batch: &mut batch, name: &name });
    batch.commit();
    batch
}

/// Lets a task's wire carry what its address sends.
pub fn admit(options: &InsideOptions, wire: &Wire) -> Batch {
    change(options, |table| table.add(SOURCES, &[Element::source(wire.index, wire.address)]))
}

pub fn dismiss(options: &InsideOptions, wire: &Wire) -> Batch {
    change(options, |table| table.remove(SOURCES, &[Element::source(wire.index, wire.address)]))
}

pub fn map(options: &InsideOptions, address: Ipv4Addr, mappings: &[PortMapping]) -> Batch {
    change(options, |table| {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            table.add(ports_map(protocol), &port_elements(address, mappings, protocol));
        }
    })
}

/// Only keys count when elements go, so the address needn't be known.
pub fn unmap(options: &InsideOptions, mappings: &[PortMapping]) -> Batch {
    change(options, |table| {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let elements = port_elements(Ipv4Addr::UNSPECIFIED, mappings, protocol);
            table.remove(ports_map(protocol), &elements);
        }
    })
}
