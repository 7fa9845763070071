//! A host of this machine, as an instance.

use std::net::Ipv4Addr;
use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{Scope, Time};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// `i-…`
    pub key: Arc<str>,
    pub scope: Scope,
    /// The place of its zone in `ZONES`.
    pub zone: usize,
    pub address: Ipv4Addr,
    pub launched_at: Time,
    #[serde(default)]
    pub instance_type: Option<Arc<str>>,
}

impl Row for Host {
    type Key = Arc<str>;
    const TABLE: &'static str = "ec2-hosts";

    fn key(&self) -> Arc<str> {
        self.key.clone()
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<HostsOf>();
    }
}

/// Hosts of an account in a region.
pub struct HostsOf;

impl Index for HostsOf {
    type Row = Host;
    type Key = Scope;

    fn keys(row: &Host, add: &mut dyn FnMut(Scope)) {
        add(row.scope);
    }
}
