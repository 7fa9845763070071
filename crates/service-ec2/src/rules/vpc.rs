//! An account's default VPC in a region: ids that follow from both, ranges that are the machine's.

use core_state::State;
use core_types::Scope;
use ipnet::Ipv4Net;

use crate::rows::network::{Network, ZONES};
use crate::rules::zones;

pub struct DefaultVpc<'a> {
    pub scope: Scope,
    pub network: &'a Network,
}

/// One subnet of it.
pub struct Subnet {
    pub id: String,
    pub zone: usize,
    pub zone_name: String,
    pub zone_id: String,
    pub cidr: Ipv4Net,
}

impl<'a> DefaultVpc<'a> {
    /// There is none on a machine without hosts.
    pub fn find(state: &'a State, scope: Scope) -> Option<DefaultVpc<'a>> {
        state.get::<Network>(&()).map(|network| DefaultVpc { scope, network })
    }

    pub fn id(&self) -> String {
        derived("vpc", self.scope, 0)
    }

    pub fn cidr_association_id(&self) -> String {
        derived("vpc-cidr-assoc", self.scope, 0)
    }

    pub fn group_id(&self) -> String {
        derived("sg", self.scope, 0)
    }

    pub fn route_table_id(&self) -> String {
        derived("rtb", self.scope, 0)
    }

    pub fn route_association_id(&self) -> String {
        derived("rtbassoc", self.scope, 0)
    }

    pub fn gateway_id(&self) -> String {
        derived("igw", self.scope, 0)
    }

    pub fn dhcp_options_id(&self) -> String {
        derived("dopt", self.scope, 0)
    }

    pub fn subnets(&self) -> impl Iterator<Item = Subnet> + use<'_> {
        let region = self.scope.region;
        ZONES.iter().enumerate().map(move |(zone, letter)| Subnet {
            id: derived("subnet", self.scope, zone as u64 + 1),
            zone,
            zone_name: format!("{region}{letter}"),
            zone_id: zones::zone_id(region.as_str(), zone),
            cidr: self.network.subnet(zone),
        })
    }

    pub fn subnet(&self, id: &str) -> Option<Subnet> {
        self.subnets().find(|subnet| subnet.id == id)
    }

    pub fn subnet_in(&self, zone: usize) -> Option<Subnet> {
        self.subnets().find(|subnet| subnet.zone == zone)
    }
}

/// Seventeen hexadecimal digits, the first a zero, as AWS's are: FNV-1a over what the id stands for.
fn derived(kind: &str, scope: Scope, number: u64) -> String {
    let text = format!("{kind} {} {} {number}", scope.account, scope.region);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{kind}-0{hash:016x}")
}
