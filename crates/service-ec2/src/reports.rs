//! What the machine's side tells: its range, and its hosts.

use std::any::Any;
use std::net::Ipv4Addr;
use std::sync::Arc;

use core_state::Tx;
use core_step::Report;
use core_types::Scope;
use ipnet::Ipv4Net;

use crate::rows::host::Host;
use crate::rows::interface::Interface;
use crate::rows::network::{Network, ZONES};

/// The machine's range stands. A data directory keeps its range; should it be another one all the same, interfaces of the
/// old one can't be reached any more, and go.
pub struct NetworkReady {
    pub cidr: Ipv4Net,
}

impl Report for NetworkReady {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        if tx.get::<Network>(&()).is_none_or(|network| network.cidr != self.cidr) {
            let lost = tx.all::<Interface>().map(|interface| interface.key.clone());
            let lost: Vec<_> = lost.collect();
            lost.iter().for_each(|key| {
                tx.delete::<Interface>(key);
            });
            tx.put(Network::new(self.cidr));
        }
        Box::new(())
    }
}

/// A host has its place.
pub struct HostReady {
    pub id: Arc<str>,
    pub scope: Scope,
    pub zone: char,
    pub address: Ipv4Addr,
    pub instance_type: Arc<str>,
}

impl Report for HostReady {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        let Some(zone) = ZONES.iter().position(|zone| *zone == self.zone) else {
            return Box::new(());
        };
        let launched_at = tx.get::<Host>(&self.id).map_or(tx.now(), |host| host.launched_at);
        tx.put(Host {
            key: self.id,
            scope: self.scope,
            zone,
            address: self.address,
            launched_at,
            instance_type: Some(self.instance_type),
        });
        Box::new(())
    }
}

/// A host is no more.
pub struct HostGone {
    pub id: Arc<str>,
}

impl Report for HostGone {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        tx.delete::<Host>(&self.id);
        Box::new(())
    }
}
