//! Rows as AWS shows them.

use aws_protocol::Timestamp;
use core_state::State;
use model_ec2 as api;

use crate::ops::private_dns_name;
use crate::rows::host::{Host, HostsOf};
use crate::rows::interface::{Interface, InterfacesOf};
use crate::rules::vpc::{DefaultVpc, Subnet};

const ANYWHERE: &str = "0.0.0.0/0";
const GROUP: &str = "default";

pub fn vpc(vpc: &DefaultVpc<'_>) -> api::Vpc {
    let cidr = vpc.network.cidr.to_string();
    let state = api::VpcCidrBlockState {
        state: Some(api::VpcCidrBlockStateCode::ASSOCIATED),
        ..Default::default()
    };
    api::Vpc {
        cidr_block: Some(cidr.clone()),
        cidr_block_association_set: Some(vec![api::VpcCidrBlockAssociation {
            association_id: Some(vpc.cidr_association_id()),
            cidr_block: Some(cidr),
            cidr_block_state: Some(state),
        }]),
        dhcp_options_id: Some(vpc.dhcp_options_id()),
        instance_tenancy: Some(api::Tenancy::DEFAULT),
        is_default: Some(true),
        owner_id: Some(vpc.scope.account.to_string()),
        state: Some(api::VpcState::AVAILABLE),
        vpc_id: Some(vpc.id()),
        ..Default::default()
    }
}

pub fn subnet(vpc: &DefaultVpc<'_>, subnet: &Subnet, state: &State) -> api::Subnet {
    let hosts = state.by::<HostsOf>(&vpc.scope).filter(|host| host.zone == subnet.zone).count();
    let interfaces = state.by::<InterfacesOf>(&vpc.scope).filter(|i| i.zone == subnet.zone).count();
    // AWS: the first four addresses and the last are nobody's.
    let all = (1i64 << (32 - u32::from(subnet.cidr.prefix_len()))) - 5;
    let free = (all - (hosts + interfaces) as i64).max(0);
    api::Subnet {
        assign_ipv6_address_on_creation: Some(false),
        availability_zone: Some(subnet.zone_name.clone()),
        availability_zone_id: Some(subnet.zone_id.clone()),
        available_ip_address_count: Some(i32::try_from(free).unwrap_or(i32::MAX)),
        cidr_block: Some(subnet.cidr.to_string()),
        default_for_az: Some(true),
        enable_dns64: Some(false),
        ipv6_native: Some(false),
        map_customer_owned_ip_on_launch: Some(false),
        map_public_ip_on_launch: Some(true),
        owner_id: Some(vpc.scope.account.to_string()),
        private_dns_name_options_on_launch: Some(api::PrivateDnsNameOptionsOnLaunch {
            enable_resource_name_dns_aaaa_record: Some(false),
            enable_resource_name_dns_a_record: Some(false),
            hostname_type: Some(api::HostnameType::IP_NAME),
        }),
        state: Some(api::SubnetState::AVAILABLE),
        subnet_arn: Some(vpc.scope.arn("ec2", format_args!("subnet/{}", subnet.id))),
        subnet_id: Some(subnet.id.clone()),
        vpc_id: Some(vpc.id()),
        ..Default::default()
    }
}

/// AWS: the default group lets its own members in and everything out. Wharf lets all of the VPC in.
pub fn group(vpc: &DefaultVpc<'_>) -> api::SecurityGroup {
    let id = vpc.group_id();
    let own = api::UserIdGroupPair {
        group_id: Some(id.clone()),
        user_id: Some(vpc.scope.account.to_string()),
        ..Default::default()
    };
    let any = || api::IpPermission { ip_protocol: Some("-1".to_owned()), ..Default::default() };
    let everywhere = api::IpRange { cidr_ip: Some(ANYWHERE.to_owned()), ..Default::default() };
    api::SecurityGroup {
        description: Some("default VPC security group".to_owned()),
        group_id: Some(id.clone()),
        group_name: Some(GROUP.to_owned()),
        ip_permissions: Some(vec![api::IpPermission {
            user_id_group_pairs: Some(vec![own]),
            ..any()
        }]),
        ip_permissions_egress: Some(vec![api::IpPermission {
            ip_ranges: Some(vec![everywhere]),
            ..any()
        }]),
        owner_id: Some(vpc.scope.account.to_string()),
        security_group_arn: Some(vpc.scope.arn("ec2", format_args!("security-group/{id}"))),
        vpc_id: Some(vpc.id()),
        ..Default::default()
    }
}

pub fn route_table(vpc: &DefaultVpc<'_>) -> api::RouteTable {
    let route = |to: String, by: String, origin: api::RouteOrigin| api::Route {
        destination_cidr_block: Some(to),
        gateway_id: Some(by),
        origin: Some(origin),
        state: Some(api::RouteState::ACTIVE),
        ..Default::default()
    };
    let local = route(
        vpc.network.cidr.to_string(),
        "local".to_owned(),
        api::RouteOrigin::CREATE_ROUTE_TABLE,
    );
    let out = route(ANYWHERE.to_owned(), vpc.gateway_id(), api::RouteOrigin::CREATE_ROUTE);
    let state = api::RouteTableAssociationState {
        state: Some(api::RouteTableAssociationStateCode::ASSOCIATED),
        ..Default::default()
    };
    api::RouteTable {
        associations: Some(vec![api::RouteTableAssociation {
            association_state: Some(state),
            main: Some(true),
            route_table_association_id: Some(vpc.route_association_id()),
            route_table_id: Some(vpc.route_table_id()),
            ..Default::default()
        }]),
        owner_id: Some(vpc.scope.account.to_string()),
        route_table_id: Some(vpc.route_table_id()),
        routes: Some(vec![local, out]),
        vpc_id: Some(vpc.id()),
        ..Default::default()
    }
}

pub fn internet_gateway(vpc: &DefaultVpc<'_>) -> api::InternetGateway {
    api::InternetGateway {
        // AWS: an attached internet gateway is "available", a word that its type does not list.
        attachments: Some(vec![api::InternetGatewayAttachment {
            state: Some("available".into()),
            vpc_id: Some(vpc.id()),
        }]),
        internet_gateway_id: Some(vpc.gateway_id()),
        owner_id: Some(vpc.scope.account.to_string()),
        ..Default::default()
    }
}

fn group_identifier(id: String) -> api::GroupIdentifier {
    api::GroupIdentifier { group_id: Some(id), group_name: Some(GROUP.to_owned()) }
}

pub fn interface(vpc: &DefaultVpc<'_>, row: &Interface) -> api::NetworkInterface {
    let subnet = vpc.subnet_in(row.zone);
    let address = row.address.to_string();
    let name = private_dns_name(vpc.scope.region, row.address);
    let attachment = row.instance.as_ref().map(|instance| api::NetworkInterfaceAttachment {
        attach_time: Some(Timestamp::from_secs(row.created_at.0.div_euclid(1000))),
        attachment_id: Some(row.attachment()),
        delete_on_termination: Some(true),
        device_index: Some(1),
        instance_id: Some(instance.to_string()),
        instance_owner_id: Some(row.scope.account.to_string()),
        network_card_index: Some(0),
        status: Some(api::AttachmentStatus::ATTACHED),
        ..Default::default()
    });
    let status = match row.instance {
        Some(_) => api::NetworkInterfaceStatus::IN_USE,
        None => api::NetworkInterfaceStatus::AVAILABLE,
    };
    api::NetworkInterface {
        attachment,
        availability_zone: subnet.as_ref().map(|subnet| subnet.zone_name.clone()),
        availability_zone_id: subnet.as_ref().map(|subnet| subnet.zone_id.clone()),
        description: Some(row.description.clone()),
        groups: Some(row.groups.iter().cloned().map(group_identifier).collect()),
        interface_type: Some(api::NetworkInterfaceType::INTERFACE),
        mac_address: Some(row.mac()),
        network_interface_id: Some(row.key.to_string()),
        owner_id: Some(row.scope.account.to_string()),
        private_dns_name: Some(name.clone()),
        private_ip_address: Some(address.clone()),
        private_ip_addresses: Some(vec![api::NetworkInterfacePrivateIpAddress {
            primary: Some(true),
            private_dns_name: Some(name),
            private_ip_address: Some(address),
            ..Default::default()
        }]),
        // AWS: interfaces of tasks are made by ECS on the account's behalf.
        requester_managed: Some(true),
        source_dest_check: Some(true),
        status: Some(status),
        subnet_id: subnet.map(|subnet| subnet.id),
        vpc_id: Some(vpc.id()),
        ..Default::default()
    }
}

pub fn instance(vpc: &DefaultVpc<'_>, row: &Host) -> api::Instance {
    let subnet = vpc.subnet_in(row.zone);
    const RUNNING: i32 = 16;
    api::Instance {
        ami_launch_index: Some(0),
        instance_id: Some(row.key.to_string()),
        instance_type: row.instance_type.as_deref().map(Into::into),
        launch_time: Some(Timestamp::from_secs(row.launched_at.0.div_euclid(1000))),
        placement: Some(api::Placement {
            availability_zone: subnet.as_ref().map(|subnet| subnet.zone_name.clone()),
            availability_zone_id: subnet.as_ref().map(|subnet| subnet.zone_id.clone()),
            tenancy: Some(api::Tenancy::DEFAULT),
            ..Default::default()
        }),
        private_dns_name: Some(private_dns_name(vpc.scope.region, row.address)),
        private_ip_address: Some(row.address.to_string()),
        security_groups: Some(vec![group_identifier(vpc.group_id())]),
        source_dest_check: Some(true),
        state: Some(api::InstanceState {
            code: Some(RUNNING),
            name: Some(api::InstanceStateName::RUNNING),
        }),
        subnet_id: subnet.map(|subnet| subnet.id),
        vpc_id: Some(vpc.id()),
        ..Default::default()
    }
}
