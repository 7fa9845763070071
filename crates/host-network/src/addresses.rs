//! Ranges and addresses, as plain arithmetic: how a VPC is cut into subnets, who may have which address, and which
//! range is free.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::netlink::links::Mac;

/// An availability zone of the built-in region, by its last letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zone {
    A,
    B,
}

impl Zone {
    pub const ALL: [Zone; 2] = [Zone::A, Zone::B];

    pub fn letter(self) -> char {
        match self {
            Zone::A => 'a',
            Zone::B => 'b',
        }
    }
}

/// One subnet of the VPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub zone: Zone,
    pub cidr: Ipv4Net,
}

impl Subnet {
    /// AWS: the VPC's router has the first address of each subnet.
    pub fn gateway(&self) -> Ipv4Addr {
        nth(self.cidr, 1)
    }

    /// AWS: the first four addresses of a subnet and its last are nobody's.
    fn is_reserved(&self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address) - u32::from(self.cidr.network());
        offset < RESERVED || address == self.cidr.broadcast()
    }
}

/// AWS: network, router, DNS and one for the future.
const RESERVED: u32 = 4;
/// Hosts take addresses from a subnet's head, task interfaces from behind it: two allocators, no talk between them.
pub const HOSTS_PER_SUBNET: u32 = 252;

/// The VPC of one data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    pub cidr: Ipv4Net,
    pub subnets: [Subnet; 2],
}

impl Vpc {
    /// AWS: the default VPC is a /16 whose subnets are /20s, one to a zone.
    pub fn new(cidr: Ipv4Net) -> Result<Vpc> {
        let refuse = |why: &str| Error::VpcRange { cidr, why: why.to_owned() };
        if cidr.addr() != cidr.network() {
            return Err(refuse("its address has bits behind the prefix"));
        }
        if !(16..=20).contains(&cidr.prefix_len()) {
            return Err(refuse("its prefix must be between /16 and /20"));
        }
        let private =
            ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15"];
        let lies_in = |range: &&str| range.parse::<Ipv4Net>().is_ok_and(|r| r.contains(&cidr));
        if !private.iter().any(lies_in) {
            return Err(refuse("it is not a private range"));
        }
        let length = cidr.prefix_len() + 4;
        let mut parts =
            cidr.subnets(length).expect("a prefix of 16 to 20 has room for four bits more");
        let subnets =
            Zone::ALL.map(|zone| Subnet { zone, cidr: parts.next().expect("sixteen parts") });
        Ok(Vpc { cidr, subnets })
    }

    pub fn subnet(&self, zone: Zone) -> Subnet {
        match zone {
            Zone::A => self.subnets[0],
            Zone::B => self.subnets[1],
        }
    }

    /// The subnet that an address lies in, if an interface may have that address.
    pub fn subnet_of(&self, address: Ipv4Addr) -> Option<Subnet> {
        let subnet = *self.subnets.iter().find(|subnet| subnet.cidr.contains(&address))?;
        (!subnet.is_reserved(address)).then_some(subnet)
    }

    /// The lowest address for a host that is not in use.
    pub fn free_host_address(&self, zone: Zone, used: &BTreeSet<Ipv4Addr>) -> Result<Ipv4Addr> {
        let subnet = self.subnet(zone);
        let size = subnet_size(subnet.cidr);
        (RESERVED..(RESERVED + HOSTS_PER_SUBNET).min(size / 2))
            .map(|offset| nth(subnet.cidr, offset))
            .find(|address| !used.contains(address))
            .ok_or(Error::NoFreeAddress(subnet.cidr))
    }
}

fn subnet_size(cidr: Ipv4Net) -> u32 {
    1u32 << (32 - u32::from(cidr.prefix_len()))
}

fn nth(cidr: Ipv4Net, offset: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(cidr.network()) + offset)
}

/// A range's addresses, handed out in turn: one that was given back comes last, so that whoever still talks to its
/// former holder does not reach the next.
#[derive(Clone, Debug)]
pub struct Pool {
    cidr: Ipv4Net,
    next: u32,
    used: BTreeSet<Ipv4Addr>,
}

impl Pool {
    /// The first address is the gateway's, and so never handed out.
    pub fn new(cidr: Ipv4Net) -> Pool {
        Pool { cidr, next: 2, used: BTreeSet::new() }
    }

    pub fn cidr(&self) -> Ipv4Net {
        self.cidr
    }

    pub fn gateway(&self) -> Ipv4Addr {
        nth(self.cidr, 1)
    }

    pub fn take(&mut self) -> Result<Ipv4Addr> {
        let last = subnet_size(self.cidr) - 2;
        for _ in 2..=last {
            let offset = if self.next > last { 2 } else { self.next };
            self.next = offset + 1;
            let address = nth(self.cidr, offset);
            if self.used.insert(address) {
                return Ok(address);
            }
        }
        Err(Error::NoFreeAddress(self.cidr))
    }

    /// Marks an address that is found in use.
    pub fn mark(&mut self, address: Ipv4Addr) {
        if self.cidr.contains(&address) {
            self.used.insert(address);
            self.next = self.next.max(u32::from(address) - u32::from(self.cidr.network()) + 1);
        }
    }

    pub fn give_back(&mut self, address: Ipv4Addr) {
        self.used.remove(&address);
    }
}

/// A route that is there already, with the name of its link.
#[derive(Clone, Debug)]
pub struct Taken {
    pub route: Ipv4Net,
    pub device: String,
}

/// The route that a range would shadow or be shadowed by. The default route clashes with nothing.
pub fn clash(cidr: Ipv4Net, taken: &[Taken]) -> Option<&Taken> {
    taken.iter().find(|t| {
        t.route.prefix_len() > 0
            && (t.route.contains(&cidr.network()) || cidr.contains(&t.route.network()))
    })
}

/// The first candidate that clashes with nothing.
pub fn free_range(
    what: &'static str,
    candidates: impl IntoIterator<Item = Ipv4Net>,
    taken: &[Taken],
) -> Result<Ipv4Net> {
    let mut last = None;
    for candidate in candidates {
        match clash(candidate, taken) {
            None => return Ok(candidate),
            Some(found) => last = Some(found),
        }
    }
    let last = last.expect("there is at least one candidate");
    Err(Error::NoFreeRange { what, route: last.route, device: last.device.clone() })
}

/// Ranges for a VPC that was not told its own: which of 10.x.0.0/16 comes first depends on the data directory, so
/// that two of them seldom want the same.
pub fn vpc_candidates(seed: u8) -> impl Iterator<Item = Ipv4Net> {
    (0..=255u8).map(move |step| {
        let second = seed.wrapping_add(step);
        Ipv4Net::new(Ipv4Addr::new(10, second, 0, 0), 16).expect("16 is a prefix")
    })
}

/// Ranges for a host's bridge, Docker's own choices in Docker's order.
pub fn bridge_candidates() -> impl Iterator<Item = Ipv4Net> {
    let large = (17..=31u8).map(|second| (Ipv4Addr::new(172, second, 0, 0), 16));
    let small = (0..16u8).map(|third| (Ipv4Addr::new(192, 168, third * 16, 0), 20));
    large.chain(small).map(|(address, prefix)| Ipv4Net::new(address, prefix).expect("a prefix"))
}

/// A locally administered hardware address that belongs to an IPv4 address and a side of the link.
pub fn mac_of(address: Ipv4Addr, side: u8) -> Mac {
    let [a, b, c, d] = address.octets();
    Mac([0x02, side, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn the_vpc_is_cut_as_the_default_one_is() {
        let vpc = Vpc::new(net("10.7.0.0/16")).unwrap();
        assert_eq!(vpc.subnet(Zone::A).cidr, net("10.7.0.0/20"));
        assert_eq!(vpc.subnet(Zone::B).cidr, net("10.7.16.0/20"));
        assert_eq!(vpc.subnet(Zone::B).gateway(), Ipv4Addr::new(10, 7, 16, 1));
        let first = vpc.free_host_address(Zone::A, &BTreeSet::new()).unwrap();
        assert_eq!(first, Ipv4Addr::new(10, 7, 0, 4));
        assert!(vpc.subnet_of(Ipv4Addr::new(10, 7, 0, 3)).is_none());
        assert!(vpc.subnet_of(Ipv4Addr::new(10, 7, 15, 255)).is_none());
        assert!(vpc.subnet_of(Ipv4Addr::new(10, 7, 32, 9)).is_none());
        for wrong in ["10.7.0.1/16", "10.0.0.0/8", "10.0.0.0/24", "8.8.0.0/16"] {
            assert!(Vpc::new(net(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_clash_is_named_and_the_default_route_is_none() {
        let taken = |route: &str| vec![Taken { route: net(route), device: "eth0".into() }];
        assert!(clash(net("10.7.0.0/16"), &taken("0.0.0.0/0")).is_none());
        assert!(clash(net("10.7.0.0/16"), &taken("10.0.0.0/8")).is_some());
        assert!(clash(net("10.7.0.0/16"), &taken("10.7.3.0/24")).is_some());
        assert!(clash(net("10.7.0.0/16"), &taken("10.8.0.0/16")).is_none());
        let all = free_range("a VPC", vpc_candidates(3), &taken("10.0.0.0/8")).unwrap_err();
        assert!(all.to_string().contains("10.0.0.0/8 by eth0"), "{all}");
        assert_eq!(
            free_range("a VPC", vpc_candidates(3), &taken("10.3.0.0/16")).unwrap(),
            net("10.4.0.0/16")
        );
    }

    #[test]
    fn an_address_that_was_given_back_is_not_the_next() {
        let mut pool = Pool::new(net("192.168.0.0/29"));
        let first = pool.take().unwrap();
        pool.give_back(first);
        let later: Vec<_> = (0..5).map(|_| pool.take().unwrap()).collect();
        assert_eq!(later.last(), Some(&first));
        assert!(matches!(pool.take(), Err(Error::NoFreeAddress(_))));
    }

    proptest! {
        #[test]
        fn a_pool_gives_each_address_to_one_holder(steps in proptest::collection::vec(any::<bool>(), 1..200)) {
            let mut pool = Pool::new(net("192.168.0.0/26"));
            let mut held = Vec::new();
            for take in steps {
                if take {
                    match pool.take() {
                        Ok(address) => {
                            prop_assert!(!held.contains(&address));
                            prop_assert!(address != pool.gateway() && address != pool.cidr().broadcast());
                            prop_assert!(pool.cidr().contains(&address));
                            held.push(address);
                        }
                        Err(_) => prop_assert_eq!(held.len(), 61),
                    }
                } else if !held.is_empty() {
                    pool.give_back(held.swap_remove(0));
                }
            }
        }
    }
}
