//! A network interface: of a task in `awsvpc` mode.

use std::net::Ipv4Addr;
use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{Scope, Time};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// `eni-…`
    pub key: Arc<str>,
    pub scope: Scope,
    /// The place of its zone in `ZONES`.
    pub zone: usize,
    pub address: Ipv4Addr,
    pub groups: Vec<String>,
    pub description: String,
    /// The instance it is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Arc<str>>,
    pub created_at: Time,
}

impl Row for Interface {
    type Key = Arc<str>;
    const TABLE: &'static str = "ec2-interfaces";

    fn key(&self) -> Arc<str> {
        self.key.clone()
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<InterfacesOf>();
        declare.index::<InterfacesAt>();
    }
}

impl Interface {
    /// A locally administered hardware address, as unique as the address is.
    pub fn mac(&self) -> String {
        let [a, b, c, d] = self.address.octets();
        format!("02:0e:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    }

    /// AWS: the attachment has an id of its own.
    pub fn attachment(&self) -> String {
        self.key.replacen("eni-", "eni-attach-", 1)
    }
}

/// Interfaces of an account in a region.
pub struct InterfacesOf;

impl Index for InterfacesOf {
    type Row = Interface;
    type Key = Scope;

    fn keys(row: &Interface, add: &mut dyn FnMut(Scope)) {
        add(row.scope);
    }
}

/// The interface with an address: accounts share the machine's range.
pub struct InterfacesAt;

impl Index for InterfacesAt {
    type Row = Interface;
    type Key = u32;

    fn keys(row: &Interface, add: &mut dyn FnMut(u32)) {
        add(row.address.into());
    }
}
