//! The machine's range, as it was reported at the start; without hosts there is none.

use std::net::Ipv4Addr;

use core_state::Row;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// Availability zones that have hosts, by their letters.
pub const ZONES: [char; 2] = ['a', 'b'];
/// AWS: the first four addresses of a subnet are nobody's. Hosts are given the ones behind them by their machine, up to
/// the subnet's half, so interfaces begin here.
const FIRST_INTERFACE: u32 = 256;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    pub cidr: Ipv4Net,
    /// Where the search for a free address goes on, by zone: an address that was given back comes last.
    pub next: [u32; 2],
}

impl Row for Network {
    type Key = ();
    const TABLE: &'static str = "ec2-network";

    fn key(&self) {}
}

impl Network {
    pub fn new(cidr: Ipv4Net) -> Network {
        Network { cidr, next: [FIRST_INTERFACE; 2] }
    }

    /// AWS: the default VPC's subnets are a sixteenth of it each, in the zones' order.
    pub fn subnet(&self, zone: usize) -> Ipv4Net {
        let length = (self.cidr.prefix_len() + 4).min(30);
        let size = 1u32 << (32 - u32::from(length));
        let first = u32::from(self.cidr.network()) + size * zone as u32;
        Ipv4Net::new(first.into(), length).expect("a prefix of at most 30")
    }

    /// Addresses that interfaces may have, from where the search goes on.
    pub fn candidates(&self, zone: usize) -> impl Iterator<Item = (u32, Ipv4Addr)> {
        let subnet = self.subnet(zone);
        let size = 1u32 << (32 - u32::from(subnet.prefix_len()));
        let (first, last) = (FIRST_INTERFACE.min(size / 2), size - 2);
        let next = self.next[zone].clamp(first, last + 1);
        let offsets = (next..=last).chain(first..next);
        offsets.map(move |offset| (offset, Ipv4Addr::from(u32::from(subnet.network()) + offset)))
    }
}
