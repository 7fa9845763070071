//! What a host's inside finds in its namespace when it is opened: a way to the world, and a range that is free.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::InsideOptions;
use crate::addresses::{self, Taken};
use crate::error::{Error, Result};
use crate::netlink::Socket;
use crate::netlink::links;

/// The link by which this namespace reaches the world.
#[derive(Clone, Debug)]
pub struct Uplink {
    pub index: u32,
    pub name: String,
    pub address: Option<Ipv4Addr>,
}

pub fn find_uplink(
    route: &mut Socket,
    all: &[links::Link],
    routes: &[links::Route],
) -> Result<Option<Uplink>> {
    let Some(default) = routes.iter().find(|route| route.to.prefix_len() == 0) else {
        return Ok(None);
    };
    let Some(link) = all.iter().find(|link| link.index == default.device) else { return Ok(None) };
    let address = links::addresses(route)?.into_iter().find(|(index, _)| *index == link.index);
    let address = address.map(|(_, network)| network.addr());
    Ok(Some(Uplink { index: link.index, name: link.name.clone(), address }))
}

/// The range that the bridge has already, the one that was asked for, or a free one.
pub fn bridge_range(
    options: &InsideOptions,
    route: &mut Socket,
    all: &[links::Link],
    routes: &[links::Route],
) -> Result<Ipv4Net> {
    if let Some(link) = all.iter().find(|link| link.name == options.tag.task_bridge()) {
        let found = links::addresses(route)?.into_iter().find(|(index, _)| *index == link.index);
        if let Some((_, network)) = found {
            return Ok(network.trunc());
        }
    }
    let taken: Vec<Taken> = routes
        .iter()
        .map(|route| Taken {
            route: route.to,
            device: all
                .iter()
                .find(|l| l.index == route.device)
                .map_or_else(String::new, |l| l.name.clone()),
        })
        .collect();
    match options.bridge {
        Some(cidr) => match addresses::clash(cidr, &taken) {
            None => Ok(cidr),
            Some(found) => {
                Err(Error::RouteClash { cidr, route: found.route, device: found.device.clone() })
            }
        },
        None => addresses::free_range(
            "the tasks of bridge mode",
            addresses::bridge_candidates(),
            &taken,
        ),
    }
}
