//! Links, addresses, routes and neighbours, each as one message of a batch.

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::Ipv4Net;
use netlink_bindings::traits::Pusher;
use netlink_bindings::utils::{finalize_nested_header, push_header, push_nested_header};
use netlink_bindings::{rt_addr, rt_link, rt_neigh, rt_route};

use super::{Batch, Socket};
use crate::error::Result;

const AF_INET: u8 = 2;
const IFF_UP: u32 = 1;
const VETH_INFO_PEER: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_ADDRESS: u16 = 1;
const IFLA_MTU: u16 = 4;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_DATA: u16 = 2;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
const NUD_PERMANENT: u16 = 0x80;
const NTF_PROXY: u8 = 8;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RTN_UNICAST: u8 = 1;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;

/// The loopback's index in every namespace.
pub const LOOPBACK: u32 = 1;
/// The index that a task's first link is given in its own, fresh namespace.
pub const FIRST: u32 = 2;

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Mac, String> {
        text.parse()
    }
}

impl std::str::FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Mac, String> {
        let wrong = || format!("{text:?} is not a hardware address");
        let mut bytes = [0u8; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        // A group address (lowest bit of the first byte) can't be a link's own.
        if parts.next().is_some() || bytes[0] & 1 == 1 {
            return Err(wrong());
        }
        Ok(Mac(bytes))
    }
}

/// A link as the kernel lists it.
#[derive(Clone, Debug)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub mtu: u32,
}

/// A route as the kernel lists it.
#[derive(Clone, Debug)]
pub struct Route {
    pub to: Ipv4Net,
    pub device: u32,
}

/// One end of a veth pair.
pub struct End<'a> {
    pub name: &'a str,
    pub mac: Mac,
}

fn name(text: &str) -> CString {
    CString::new(text).expect("names of links hold no zero byte")
}

/// A pair whose far end is born inside `namespace` at a known index: moving it there afterwards would wait for the
/// kernel's grace periods, 20 ms against 1.
pub fn veth(
    batch: &mut Batch,
    near: End<'_>,
    far: End<'_>,
    namespace: BorrowedFd<'_>,
    mtu: u32,
    bridge: Option<u32>,
) {
    let up = rt_link::Ifinfomsg { ifi_flags: IFF_UP, ifi_change: IFF_UP, ..Default::default() };
    let mut request = rt_link::Request::new().set_create().set_excl().op_newlink_do(&up);
    let mut link =
        request.encode().push_ifname(&name(near.name)).push_address(&near.mac.0).push_mtu(mtu);
    if let Some(bridge) = bridge {
        link = link.push_master(bridge);
    }
    let mut info = link.nested_linkinfo().push_kind(c"veth");
    let bytes = info.as_vec_mut();
    let data = push_nested_header(bytes, IFLA_INFO_DATA);
    let peer = push_nested_header(bytes, VETH_INFO_PEER);
    // The far end can't be raised yet: it has no peer until this message is done.
    let there = rt_link::Ifinfomsg { ifi_index: FIRST as i32, ..Default::default() };
    bytes.extend_from_slice(there.as_slice());
    let far_name = name(far.name);
    push_header(bytes, IFLA_IFNAME, far_name.as_bytes_with_nul().len() as u16);
    bytes.extend_from_slice(far_name.as_bytes_with_nul());
    push_header(bytes, IFLA_ADDRESS, 6);
    bytes.extend_from_slice(&far.mac.0);
    push_header(bytes, IFLA_MTU, 4);
    bytes.extend_from_slice(&mtu.to_ne_bytes());
    push_header(bytes, IFLA_NET_NS_FD, 4);
    bytes.extend_from_slice(&namespace.as_raw_fd().to_ne_bytes());
    finalize_nested_header(bytes, peer);
    finalize_nested_header(bytes, data);
    info.end_nested();
    batch.push(format!("create the link {}", near.name), &request);
}

pub fn bridge(batch: &mut Batch, bridge: &str, mac: Mac) {
    let up = rt_link::Ifinfomsg { ifi_flags: IFF_UP, ifi_change: IFF_UP, ..Default::default() };
    let mut request = rt_link::Request::new().set_create().set_excl().op_newlink_do(&up);
    request
        .encode()
        .push_ifname(&name(bridge))
        .push_address(&mac.0)
        .nested_linkinfo()
        .push_kind(c"bridge");
    batch.push(format!("create the bridge {bridge}"), &request);
}

pub fn up(batch: &mut Batch, index: u32) {
    let header = rt_link::Ifinfomsg {
        ifi_index: index as i32,
        ifi_flags: IFF_UP,
        ifi_change: IFF_UP,
        ..Default::default()
    };
    batch.push(format!("bring link {index} up"), &rt_link::Request::new().op_setlink_do(&header));
}

pub fn delete(batch: &mut Batch, index: u32) {
    let header = rt_link::Ifinfomsg { ifi_index: index as i32, ..Default::default() };
    batch.push(format!("delete link {index}"), &rt_link::Request::new().op_dellink_do(&header));
}

/// Gives a link an address. The kernel makes no route of its own for it where `own_routes` is set.
pub fn address(batch: &mut Batch, link: u32, address: Ipv4Addr, prefix: u8, own_routes: bool) {
    let header = rt_addr::Ifaddrmsg {
        ifa_family: AF_INET,
        ifa_prefixlen: prefix,
        ifa_index: link,
        ..Default::default()
    };
    let mut request = rt_addr::Request::new().set_create().set_replace().op_newaddr_do(&header);
    let flags = if own_routes { IFA_F_NOPREFIXROUTE } else { 0 };
    request.encode().push_local(address.into()).push_address(address.into()).push_flags(flags);
    batch.push(format!("add address {address}/{prefix}"), &request);
}

fn route_header(to: Ipv4Net, scope: u8) -> rt_route::Rtmsg {
    rt_route::Rtmsg {
        rtm_family: AF_INET,
        rtm_dst_len: to.prefix_len(),
        rtm_table: RT_TABLE_MAIN,
        rtm_protocol: RTPROT_STATIC,
        rtm_scope: scope,
        rtm_type: RTN_UNICAST,
        ..Default::default()
    }
}

/// `to` is right behind `device`; this host speaks to it as `own`.
pub fn route_link(batch: &mut Batch, to: Ipv4Net, device: u32, own: Option<Ipv4Addr>) {
    let mut request = rt_route::Request::new()
        .set_create()
        .set_replace()
        .op_newroute_do(&route_header(to, SCOPE_LINK));
    let mut attributes = request.encode().push_dst(to.network().into()).push_oif(device);
    if let Some(own) = own {
        attributes = attributes.push_prefsrc(own.into());
    }
    attributes.end_nested();
    batch.push(format!("add the route to {to}"), &request);
}

/// Everything else goes by `gateway`, which is right behind `device`.
pub fn route_default(batch: &mut Batch, gateway: Ipv4Addr, device: u32) {
    let header = route_header(Ipv4Net::default(), SCOPE_UNIVERSE);
    let mut request = rt_route::Request::new().set_create().set_replace().op_newroute_do(&header);
    request.encode().push_gateway(gateway.into()).push_oif(device);
    batch.push(format!("add the default route by {gateway}"), &request);
}

pub fn delete_route(batch: &mut Batch, to: Ipv4Net, device: u32) {
    let header =
        rt_route::Rtmsg { rtm_scope: SCOPE_LINK, rtm_protocol: 0, ..route_header(to, SCOPE_LINK) };
    let mut request = rt_route::Request::new().op_delroute_do(&header);
    request.encode().push_dst(to.network().into()).push_oif(device);
    batch.push(format!("delete the route to {to}"), &request);
}

/// A neighbour whose hardware address is known for good, so that nobody has to ask for it.
pub fn neighbour(batch: &mut Batch, device: u32, address: Ipv4Addr, mac: Mac) {
    let header = rt_neigh::Ndmsg {
        ndm_family: AF_INET,
        ndm_ifindex: device as i32,
        ndm_state: NUD_PERMANENT,
        ..Default::default()
    };
    let mut request = rt_neigh::Request::new().set_create().set_replace().op_newneigh_do(&header);
    request.encode().push_dst(address.into()).push_lladdr(&mac.0);
    batch.push(format!("add the neighbour {address}"), &request);
}

fn proxy_header(device: u32) -> rt_neigh::Ndmsg {
    rt_neigh::Ndmsg {
        ndm_family: AF_INET,
        ndm_ifindex: device as i32,
        ndm_state: NUD_PERMANENT,
        ndm_flags: NTF_PROXY,
        ..Default::default()
    }
}

/// `device` answers for `address`, which lives behind another of this namespace's links.
pub fn proxy(batch: &mut Batch, device: u32, address: Ipv4Addr) {
    let mut request =
        rt_neigh::Request::new().set_create().set_replace().op_newneigh_do(&proxy_header(device));
    request.encode().push_dst(address.into());
    batch.push(format!("answer for {address}"), &request);
}

pub fn delete_proxy(batch: &mut Batch, device: u32, address: Ipv4Addr) {
    let mut request = rt_neigh::Request::new().op_delneigh_do(&proxy_header(device));
    request.encode().push_dst(address.into());
    batch.push(format!("stop answering for {address}"), &request);
}

fn read_link(
    header: &rt_link::Ifinfomsg,
    attributes: &rt_link::IterableLinkAttrs<'_>,
) -> Option<Link> {
    Some(Link {
        index: header.ifi_index as u32,
        name: attributes.get_ifname().ok()?.to_str().ok()?.to_owned(),
        mtu: attributes.get_mtu().unwrap_or(1500),
    })
}

pub fn find(socket: &mut Socket, link: &str) -> Result<Option<Link>> {
    let mut request = rt_link::Request::new().op_getlink_do(&rt_link::Ifinfomsg::default());
    request.encode().push_ifname(&name(link));
    let what = format!("find the link {link}");
    Ok(socket
        .get(&what, &request, |(header, attributes)| read_link(&header, &attributes))?
        .flatten())
}

pub fn list(socket: &mut Socket) -> Result<Vec<Link>> {
    let request = rt_link::Request::new().op_getlink_dump(&rt_link::Ifinfomsg::default());
    let mut links = Vec::new();
    socket.dump("list links", &request, |(header, attributes)| {
        links.extend(read_link(&header, &attributes));
    })?;
    Ok(links)
}

/// The main table's IPv4 routes.
pub fn routes(socket: &mut Socket) -> Result<Vec<Route>> {
    let header = rt_route::Rtmsg { rtm_family: AF_INET, ..Default::default() };
    let request = rt_route::Request::new().op_getroute_dump(&header);
    let mut routes = Vec::new();
    socket.dump("list routes", &request, |(header, attributes)| {
        if header.rtm_table != RT_TABLE_MAIN || header.rtm_type != RTN_UNICAST {
            return;
        }
        let to = match attributes.get_dst() {
            Ok(IpAddr::V4(address)) => address,
            Ok(IpAddr::V6(_)) => return,
            Err(_) => Ipv4Addr::UNSPECIFIED,
        };
        if let Ok(to) = Ipv4Net::new(to, header.rtm_dst_len) {
            routes.push(Route { to, device: attributes.get_oif().unwrap_or(0) });
        }
    })?;
    Ok(routes)
}

/// The addresses that links of this namespace have.
pub fn addresses(socket: &mut Socket) -> Result<Vec<(u32, Ipv4Net)>> {
    let header = rt_addr::Ifaddrmsg { ifa_family: AF_INET, ..Default::default() };
    let request = rt_addr::Request::new().op_getaddr_dump(&header);
    let mut addresses = Vec::new();
    socket.dump("list addresses", &request, |(header, attributes)| {
        if header.ifa_family != AF_INET {
            return;
        }
        if let Ok(IpAddr::V4(local)) = attributes.get_local()
            && let Ok(network) = Ipv4Net::new(local, header.ifa_prefixlen)
        {
            addresses.push((header.ifa_index, network));
        }
    })?;
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_group_address_is_nobodys_own() {
        assert!("02:42:ac:11:00:02".parse::<Mac>().is_ok());
        for wrong in
            ["03:42:ac:11:00:02", "02:42:ac:11:00", "02:42:ac:11:00:02:01", "2:42:ac:11:0:2", ""]
        {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn hardware_addresses_are_read_as_they_are_written(mut bytes in any::<[u8; 6]>()) {
            bytes[0] &= !1;
            let mac = Mac(bytes);
            prop_assert_eq!(mac.to_string().parse::<Mac>(), Ok(mac));
        }

        #[test]
        fn any_text_is_read_without_harm(text in "\\PC{0,24}") {
            let _ = text.parse::<Mac>();
        }
    }
}
