//! Where a webhook may be. Users name URLs and the plane calls them, so that an address which only
//! the plane's own machine can reach would be lent to everybody: such are refused, unless an
//! operator has allowed them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// What may be called beyond addresses that a network would carry.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    pub allowed: Vec<IpNet>,
}

impl Targets {
    pub fn may_be(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allowed.iter().any(|net| net.contains(&address))
            || match address {
                IpAddr::V4(address) => is_open(address),
                IpAddr::V6(address) => is_open_v6(address),
            }
    }
}

/// Not this machine itself, not what is told to machines by their cloud (169.254.169.254), not many.
fn is_open(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    !(address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || first == 0
        || first >= 240)
}

fn is_open_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // AWS: instances' metadata under IPv6.
    let metadata = segments[0] == 0xfd00 && segments[1] == 0x0ec2;
    // Ways to write an IPv4 address: they would go around the rules above.
    let inner = match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0, 0, 0, 0, 0, 0, a, b] => Some((a, b)),
        [0x2002, a, b, ..] => Some((a, b)),
        _ => None,
    };
    let inner = inner.map(|(a, b)| {
        let ([a, b], [c, d]) = (a.to_be_bytes(), b.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    });
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || metadata)
        && inner.is_none_or(is_open)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn may_be(text: &str, allowed: &[&str]) -> bool {
        let allowed = allowed.iter().map(|net| net.parse().expect("a network")).collect();
        Targets { allowed }.may_be(text.parse().expect("an address"))
    }

    #[test]
    fn what_only_this_machine_reaches_is_not_lent() {
        for refused in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.170.2",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fd00:ec2::254",
        ] {
            assert!(!may_be(refused, &[]), "{refused}");
        }
        for open in ["10.0.0.1", "192.168.1.1", "93.184.216.34", "2001:db8::1", "fd12::1"] {
            assert!(may_be(open, &[]), "{open}");
        }
        assert!(may_be("127.0.0.1", &["127.0.0.0/8"]) && may_be("::1", &["::1/128"]));
        assert!(may_be("::ffff:127.0.0.1", &["127.0.0.1/32"]));
    }

    proptest! {
        #[test]
        fn no_way_to_write_an_address_goes_around_the_rules(octets in any::<[u8; 4]>()) {
            let address = Ipv4Addr::from(octets);
            let plain = Targets::default().may_be(address.into());
            prop_assert_eq!(Targets::default().may_be(address.to_ipv6_mapped().into()), plain);
            let [a, b, c, d] = octets.map(u16::from);
            let nat = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a << 8 | b, c << 8 | d);
            prop_assert_eq!(Targets::default().may_be(nat.into()), plain);
        }
    }
}
