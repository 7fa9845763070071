//! nftables in the few words that Wharf needs: tables, chains, sets, maps, and rules made of terms.
//!
//! A rule is a list of terms read from left to right, each loading something or ending the rule where it does not
//! hold, as `nft` prints them. Ports and addresses live in maps, so that a task adds and removes elements and no rule
//! is ever rewritten.

use std::ffi::CString;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use netlink_bindings::nftables::{self, Nfgenmsg, PushExprAttrs, PushExprListAttrs};
use netlink_bindings::traits::Pusher;
use netlink_bindings::utils::{finalize_nested_header, push_header, push_nested_header};

use super::{Batch, Socket};
use crate::error::Result;

const NFPROTO_IPV4: u8 = 2;
const NLM_F_APPEND: u16 = 0x800;
const NFTA_EXPR_DATA: u16 = 2;
const VERDICT: u32 = 0;
const REG_1: u32 = 1;
/// The 32-bit registers begin at 8; the first of them is the head of register 1, the second its next four bytes.
const REG32_00: u32 = 8;
const REG32_01: u32 = 9;

/// What can be read about a packet.
#[derive(Clone, Copy)]
pub enum Read {
    InIndex,
    InName,
    OutName,
    L4Protocol,
    Source,
    Destination,
    DestinationPort,
    /// What the routing table holds `Destination` for; 2 is an address of this namespace.
    DestinationKind,
    /// conntrack's state (1 invalid, 2 established, 4 related, 8 new).
    State,
    /// conntrack's status; bit 5 is set once the destination was rewritten.
    Status,
}

/// One term of a rule.
pub enum Term<'a> {
    Is(Read, Vec<u8>),
    Not(Read, Vec<u8>),
    /// The address lies in the range.
    In(Read, Ipv4Net),
    NotIn(Read, Ipv4Net),
    /// Some bit of the mask is set, or none is.
    AnyBit(Read, u32),
    NoBit(Read, u32),
    /// Incoming link and source are no pair of the set.
    Unknown(&'a str),
    /// The destination port's entry in the map becomes the destination.
    NatByPort(&'a str),
    Nat(Ipv4Addr, u16),
    Masquerade,
    Drop,
}

/// IP protocols by number.
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
/// `Read::DestinationKind`'s value for this namespace's own addresses.
pub const LOCAL: u32 = 2;
/// `Read::State`'s bits for what belongs to a connection that was let through.
pub const KNOWN_CONNECTION: u32 = 2 | 4;
/// `Read::Status`'s bit for a rewritten destination.
pub const DESTINATION_REWRITTEN: u32 = 1 << 5;

impl Term<'_> {
    /// The link's name begins with these bytes.
    pub fn name_prefix(read: Read, prefix: &str) -> Term<'static> {
        Term::Is(read, prefix.as_bytes().to_vec())
    }

    /// The link's name is this one, which is not the beginning of a longer one.
    pub fn name(read: Read, name: &str) -> Term<'static> {
        Term::Is(read, padded(name))
    }

    pub fn not_name(read: Read, name: &str) -> Term<'static> {
        Term::Not(read, padded(name))
    }
}

fn padded(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

/// Where a chain hangs.
#[derive(Clone, Copy)]
pub struct Hook {
    pub kind: &'static str,
    pub hook: u32,
    pub priority: i32,
}

const PREROUTING: u32 = 0;
const INPUT: u32 = 1;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;

impl Hook {
    pub const RAW: Hook = Hook { kind: "filter", hook: PREROUTING, priority: -300 };
    pub const DNAT: Hook = Hook { kind: "nat", hook: PREROUTING, priority: -100 };
    pub const DNAT_LOCAL: Hook = Hook { kind: "nat", hook: OUTPUT, priority: -100 };
    pub const SNAT: Hook = Hook { kind: "nat", hook: POSTROUTING, priority: 100 };
    pub const INPUT: Hook = Hook { kind: "filter", hook: INPUT, priority: 0 };
    pub const FORWARD: Hook = Hook { kind: "filter", hook: FORWARD, priority: 0 };
}

/// A set's or map's element, in the kernel's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

impl Element {
    /// A link and the source address that may come by it.
    pub fn source(link: u32, address: Ipv4Addr) -> Element {
        let key = [link.to_ne_bytes(), address.octets()].concat();
        Element { key, value: None }
    }

    /// A host port and where it leads.
    pub fn port(port: u16, address: Ipv4Addr, to: u16) -> Element {
        let [high, low] = to.to_be_bytes();
        let value = [address.octets(), [high, low, 0, 0]].concat();
        Element { key: port.to_be_bytes().to_vec(), value: Some(value) }
    }
}

/// A table to be written to.
pub struct Table<'a> {
    pub batch: &'a mut Batch,
    pub name: &'a str,
}

fn header() -> Nfgenmsg {
    Nfgenmsg { nfgen_family: NFPROTO_IPV4, ..Default::default() }
}

fn text(value: &str) -> CString {
    CString::new(value).expect("names in tables hold no zero byte")
}

impl Table<'_> {
    /// Makes the table, or empties it away within the same transaction, so that it never is half there.
    pub fn replace(&mut self) {
        self.create();
        self.delete();
        self.create();
    }

    pub fn create(&mut self) {
        let mut request = nftables::Request::new().set_create().op_newtable_do(&header());
        request.encode().push_name(&text(self.name));
        self.batch.push(format!("create the nftables table {}", self.name), &request);
    }

    pub fn delete(&mut self) {
        let mut request = nftables::Request::new().op_deltable_do(&header());
        request.encode().push_name(&text(self.name));
        self.batch.push(format!("delete the nftables table {}", self.name), &request);
    }

    pub fn chain(&mut self, name: &str, hook: Hook) {
        let mut request = nftables::Request::new().set_create().op_newchain_do(&header());
        request
            .encode()
            .push_table(&text(self.name))
            .push_name(&text(name))
            .push_type(&text(hook.kind))
            .nested_hook()
            .push_num(hook.hook)
            .push_priority(hook.priority)
            .end_nested();
        self.batch.push(format!("create the nftables chain {name}"), &request);
    }

    /// A set of (link, source address).
    pub fn sources(&mut self, name: &str) {
        self.set(name, (20 << 6) | 7, 8, None);
    }

    /// A map from a port to (address, port).
    pub fn ports(&mut self, name: &str) {
        self.set(name, 13, 2, Some(((7 << 6) | 13, 8)));
    }

    /// Types are numbers by which `nft list` prints what it finds; the kernel looks at lengths alone.
    fn set(&mut self, name: &str, key_type: u32, key_length: u32, data: Option<(u32, u32)>) {
        const NFT_SET_MAP: u32 = 8;
        let mut request = nftables::Request::new().set_create().op_newset_do(&header());
        let set = request
            .encode()
            .push_table(&text(self.name))
            .push_name(&text(name))
            .push_id(1)
            .push_key_type(key_type)
            .push_key_len(key_length);
        match data {
            None => set.push_flags(0),
            Some((data_type, length)) => {
                set.push_flags(NFT_SET_MAP).push_data_type(data_type).push_data_len(length)
            }
        };
        self.batch.push(format!("create the nftables set {name}"), &request);
    }

    pub fn rule(&mut self, chain: &str, terms: &[Term<'_>]) {
        let mut request =
            nftables::Request::new().set_create().set_flags(NLM_F_APPEND).op_newrule_do(&header());
        let mut list = request
            .encode()
            .push_table(&text(self.name))
            .push_chain(&text(chain))
            .nested_expressions();
        for term in terms {
            list = write(list, term);
        }
        list.end_nested();
        self.batch.push(format!("add a rule to the nftables chain {chain}"), &request);
    }

    pub fn add(&mut self, set: &str, elements: &[Element]) {
        // One message holds a list of at most 64 KiB.
        for part in elements.chunks(512) {
            let mut request = nftables::Request::new().set_create().op_newsetelem_do(&header());
            let mut list = request
                .encode()
                .push_table(&text(self.name))
                .push_set(&text(set))
                .nested_elements();
            for element in part {
                let mut item =
                    list.nested_elem().nested_key().push_value(&element.key).end_nested();
                if let Some(value) = &element.value {
                    item = item.nested_data().push_value(value).end_nested();
                }
                list = item.end_nested();
            }
            list.end_nested();
            self.batch.push(format!("add to the nftables set {set}"), &request);
        }
    }

    pub fn remove(&mut self, set: &str, elements: &[Element]) {
        for part in elements.chunks(512) {
            let mut request = nftables::Request::new().op_delsetelem_do(&header());
            let mut list = request
                .encode()
                .push_table(&text(self.name))
                .push_set(&text(set))
                .nested_elements();
            for element in part {
                list = list
                    .nested_elem()
                    .nested_key()
                    .push_value(&element.key)
                    .end_nested()
                    .end_nested();
            }
            list.end_nested();
            self.batch.push(format!("remove from the nftables set {set}"), &request);
        }
    }
}

fn write<P: Pusher>(list: PushExprListAttrs<P>, term: &Term<'_>) -> PushExprListAttrs<P> {
    const EQUAL: u32 = 0;
    const UNEQUAL: u32 = 1;
    match term {
        Term::Is(what, value) => compare(read(list, *what, REG_1), EQUAL, value),
        Term::Not(what, value) => compare(read(list, *what, REG_1), UNEQUAL, value),
        Term::In(what, range) => {
            let list = masked(read(list, *what, REG_1), &range.netmask().octets());
            compare(list, EQUAL, &range.network().octets())
        }
        Term::NotIn(what, range) => {
            let list = masked(read(list, *what, REG_1), &range.netmask().octets());
            compare(list, UNEQUAL, &range.network().octets())
        }
        Term::AnyBit(what, bits) => {
            compare(masked(read(list, *what, REG_1), &bits.to_ne_bytes()), UNEQUAL, &[0; 4])
        }
        Term::NoBit(what, bits) => {
            compare(masked(read(list, *what, REG_1), &bits.to_ne_bytes()), EQUAL, &[0; 4])
        }
        Term::Unknown(set) => unknown_pair(list, set),
        Term::NatByPort(map) => {
            rewrite(lookup(read(list, Read::DestinationPort, REG_1), map, Some(REG_1), 0))
        }
        Term::Nat(address, port) => {
            let list = immediate(list, REG32_00, &address.octets());
            rewrite(immediate(list, REG32_01, &port.to_be_bytes()))
        }
        Term::Masquerade => bare(list.nested_elem(), c"masq"),
        Term::Drop => verdict(list, 0),
    }
}

fn read<P: Pusher>(list: PushExprListAttrs<P>, what: Read, register: u32) -> PushExprListAttrs<P> {
    const NETWORK: u32 = 1;
    const TRANSPORT: u32 = 2;
    let meta = |list: PushExprListAttrs<P>, key: u32| {
        let expression = list.nested_elem().nested_data_meta();
        expression.push_dreg(register).push_key(key).end_nested().end_nested()
    };
    let payload = |list: PushExprListAttrs<P>, base: u32, offset: u32, length: u32| {
        let expression = list.nested_elem().nested_data_payload().push_dreg(register);
        expression.push_base(base).push_offset(offset).push_len(length).end_nested().end_nested()
    };
    let conntrack = |list: PushExprListAttrs<P>, key: u32| {
        let expression = list.nested_elem().nested_data_ct();
        expression.push_dreg(register).push_key(key).end_nested().end_nested()
    };
    match what {
        Read::InIndex => meta(list, 4),
        Read::InName => meta(list, 6),
        Read::OutName => meta(list, 7),
        Read::L4Protocol => meta(list, 16),
        Read::Source => payload(list, NETWORK, 12, 4),
        Read::Destination => payload(list, NETWORK, 16, 4),
        Read::DestinationPort => payload(list, TRANSPORT, 2, 2),
        Read::DestinationKind => {
            const RESULT_ADDRTYPE: u32 = 3;
            const FLAG_DADDR: u32 = 2;
            let expression = list.nested_elem().nested_data_fib().push_dreg(register);
            expression.push_result(RESULT_ADDRTYPE).push_flags(FLAG_DADDR).end_nested().end_nested()
        }
        Read::State => conntrack(list, 0),
        Read::Status => conntrack(list, 2),
    }
}

fn compare<P: Pusher>(list: PushExprListAttrs<P>, how: u32, value: &[u8]) -> PushExprListAttrs<P> {
    let expression = list.nested_elem().nested_data_cmp().push_sreg(REG_1).push_op(how);
    expression.nested_data().push_value(value).end_nested().end_nested().end_nested()
}

fn masked<P: Pusher>(list: PushExprListAttrs<P>, mask: &[u8]) -> PushExprListAttrs<P> {
    let expression = list.nested_elem().nested_data_bitwise();
    let expression = expression.push_sreg(REG_1).push_dreg(REG_1).push_len(mask.len() as u32);
    let expression = expression.nested_mask().push_value(mask).end_nested();
    expression.nested_xor().push_value(&vec![0; mask.len()]).end_nested().end_nested().end_nested()
}

fn unknown_pair<P: Pusher>(list: PushExprListAttrs<P>, set: &str) -> PushExprListAttrs<P> {
    let list = read(read(list, Read::InIndex, REG32_00), Read::Source, REG32_01);
    const INVERTED: u32 = 1;
    lookup(list, set, None, INVERTED)
}

/// Written by hand: the specification from which the library is generated numbers these attributes otherwise than the
/// kernel does.
fn lookup<P: Pusher>(
    list: PushExprListAttrs<P>,
    set: &str,
    into: Option<u32>,
    flags: u32,
) -> PushExprListAttrs<P> {
    const SET: u16 = 1;
    const SREG: u16 = 2;
    const DREG: u16 = 3;
    const FLAGS: u16 = 5;
    let mut item = list.nested_elem().push_name(c"lookup");
    let bytes = item.as_vec_mut();
    let data = push_nested_header(bytes, NFTA_EXPR_DATA);
    let set = text(set);
    push_header(bytes, SET, set.as_bytes_with_nul().len() as u16);
    bytes.extend_from_slice(set.as_bytes_with_nul());
    let numbers = [(SREG, Some(REG_1)), (DREG, into), (FLAGS, Some(flags))];
    for (attribute, value) in numbers {
        if let Some(value) = value {
            push_header(bytes, attribute, 4);
            bytes.extend_from_slice(&value.to_be_bytes());
        }
    }
    finalize_nested_header(bytes, data);
    item.end_nested()
}

fn immediate<P: Pusher>(
    list: PushExprListAttrs<P>,
    register: u32,
    value: &[u8],
) -> PushExprListAttrs<P> {
    let expression = list.nested_elem().nested_data_immediate().push_dreg(register);
    expression.nested_data().push_value(value).end_nested().end_nested().end_nested()
}

/// The destination becomes what the first two 32-bit registers hold.
fn rewrite<P: Pusher>(list: PushExprListAttrs<P>) -> PushExprListAttrs<P> {
    const DESTINATION: u32 = 1;
    let expression = list.nested_elem().nested_data_nat();
    let expression = expression.push_type(DESTINATION).push_family(u32::from(NFPROTO_IPV4));
    let expression = expression.push_reg_addr_min(REG32_00).push_reg_proto_min(REG32_01);
    expression.end_nested().end_nested()
}

fn verdict<P: Pusher>(list: PushExprListAttrs<P>, code: u32) -> PushExprListAttrs<P> {
    let expression = list.nested_elem().nested_data_immediate().push_dreg(VERDICT);
    let data = expression.nested_data().nested_verdict().push_code(code).end_nested();
    data.end_nested().end_nested().end_nested()
}

/// An expression that takes no arguments.
fn bare<P: Pusher>(
    item: PushExprAttrs<PushExprListAttrs<P>>,
    name: &std::ffi::CStr,
) -> PushExprListAttrs<P> {
    let mut item = item.push_name(name);
    let data = push_nested_header(item.as_vec_mut(), NFTA_EXPR_DATA);
    finalize_nested_header(item.as_vec_mut(), data);
    item.end_nested()
}

/// The names of this namespace's IPv4 tables.
pub fn tables(socket: &mut Socket) -> Result<Vec<String>> {
    let request = nftables::Request::new().op_gettable_dump(&header());
    let mut names = Vec::new();
    socket.dump("list nftables tables", &request, |(header, attributes)| {
        if header.nfgen_family == NFPROTO_IPV4
            && let Ok(name) = attributes.get_name()
        {
            names.extend(name.to_str().map(str::to_owned));
        }
    })?;
    Ok(names)
}

/// Chains of other tables that drop forwarded packets unless one of their rules lets them pass.
pub fn closed_forward_chains(socket: &mut Socket) -> Result<Vec<String>> {
    let any = Nfgenmsg::default();
    let request = nftables::Request::new().op_getchain_dump(&any);
    let mut names = Vec::new();
    socket.dump("list nftables chains", &request, |(_, attributes)| {
        let hook = attributes.get_hook().ok().and_then(|hook| hook.get_num().ok());
        if hook == Some(FORWARD) && attributes.get_policy().is_ok_and(|policy| policy == 0) {
            let part = |value: std::result::Result<&std::ffi::CStr, _>| {
                value.map(|v| v.to_string_lossy().into_owned()).unwrap_or_default()
            };
            names.push(format!("{} {}", part(attributes.get_table()), part(attributes.get_name())));
        }
    })?;
    Ok(names)
}

/// Whether the kernel takes transactions of nftables at all: a table is made and unmade in one of them.
pub fn probe(socket: &mut Socket) -> Result<()> {
    let mut batch = Batch::default();
    batch.begin();
    let mut table = Table { batch: &mut batch, name: "wharf-probe" };
    table.create();
    table.chain("nat", Hook::SNAT);
    table.rule("nat", &[Term::Masquerade]);
    table.delete();
    batch.commit();
    socket.send(&batch)
}
