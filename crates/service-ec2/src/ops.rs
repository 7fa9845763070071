//! What other slices may ask: is this subnet there, and give a task an interface in it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::{State, Tx};
use core_types::{Region, Scope};

use crate::rows::interface::{Interface, InterfacesAt};
use crate::rows::network::Network;
use crate::rules::listing::missing;
use crate::rules::vpc::DefaultVpc;

pub use crate::rules::vpc::Subnet;

/// An interface to be made.
pub struct NewInterface<'a> {
    pub subnet: &'a str,
    pub groups: Vec<String>,
    pub description: String,
}

/// The subnet, or AWS's error.
pub fn find_subnet(state: &State, scope: Scope, id: &str) -> Result<Subnet, ApiError> {
    let found = DefaultVpc::find(state, scope).and_then(|vpc| vpc.subnet(id));
    found.ok_or_else(|| missing(("InvalidSubnetID.NotFound", "subnet"), id))
}

/// The VPC; none on a machine without hosts.
pub fn vpc_id(state: &State, scope: Scope) -> Option<String> {
    DefaultVpc::find(state, scope).map(|vpc| vpc.id())
}

/// The subnets that there are: none on a machine without hosts.
pub fn subnets(state: &State, scope: Scope) -> Vec<Subnet> {
    DefaultVpc::find(state, scope).map(|vpc| vpc.subnets().collect()).unwrap_or_default()
}

/// The security groups, or AWS's error; the VPC's own where none is named.
pub fn find_groups(state: &State, scope: Scope, ids: &[String]) -> Result<Vec<String>, ApiError> {
    let own = DefaultVpc::find(state, scope).map(|vpc| vpc.group_id());
    if let Some(stranger) = ids.iter().find(|id| own.as_ref() != Some(*id)) {
        let text = format!("The security group '{stranger}' does not exist");
        return Err(ApiError::new("InvalidGroup.NotFound", 400, text));
    }
    Ok(own.into_iter().collect())
}

/// The router of a subnet.
pub fn gateway(subnet: &Subnet) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.cidr.network()) + 1)
}

/// Makes an interface with an address that nobody has.
pub fn create_interface(
    tx: &mut Tx<'_>,
    scope: Scope,
    new: NewInterface<'_>,
) -> Result<Interface, ApiError> {
    let subnet = find_subnet(tx, scope, new.subnet)?;
    let groups = find_groups(tx, scope, &new.groups)?;
    let network = tx.get::<Network>(&()).expect("a subnet was found in it");
    let free = network
        .candidates(subnet.zone)
        .find(|(_, address)| tx.by::<InterfacesAt>(&u32::from(*address)).next().is_none());
    let Some((offset, address)) = free else {
        return Err(ApiError::new(
            "InsufficientFreeAddressesInSubnet",
            400,
            format!(
                "There are not enough free addresses in subnet '{}' to satisfy the request.",
                subnet.id
            ),
        ));
    };
    tx.edit::<Network>(&(), |network| network.next[subnet.zone] = offset + 1);
    let interface = Interface {
        key: format!("eni-0{:016x}", tx.dice.number()).into(),
        scope,
        zone: subnet.zone,
        address,
        groups,
        description: new.description,
        instance: None,
        created_at: tx.now(),
    };
    tx.put(interface.clone());
    Ok(interface)
}

/// AWS: where the private names of a region's addresses are; the first region has its own way.
pub fn private_domain(region: Region) -> String {
    match region.as_str() {
        "us-east-1" => "ec2.internal".to_owned(),
        region => format!("{region}.compute.internal"),
    }
}

/// AWS: an address's private name is made of it.
pub fn private_dns_name(region: Region, address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("ip-{a}-{b}-{c}-{d}.{}", private_domain(region))
}

/// The interface is at work on an instance.
pub fn attach_interface(tx: &mut Tx<'_>, id: &Arc<str>, instance: Arc<str>) {
    tx.edit::<Interface>(id, |interface| interface.instance = Some(instance));
}

/// Gives an interface's address back; one that is gone has done so.
pub fn delete_interface(tx: &mut Tx<'_>, id: &Arc<str>) {
    tx.delete::<Interface>(id);
}
