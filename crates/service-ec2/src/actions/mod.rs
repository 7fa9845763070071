//! The list of actions: one file each.

mod describe_availability_zones;
mod describe_instances;
mod describe_internet_gateways;
mod describe_network_interfaces;
mod describe_regions;
mod describe_route_tables;
mod describe_security_groups;
mod describe_subnets;
mod describe_vpc_attribute;
mod describe_vpcs;

use core_step::{Action, read_action};

pub const ACTIONS: &[Action] = &[
    read_action::<describe_availability_zones::DescribeAvailabilityZones>(),
    read_action::<describe_instances::DescribeInstances>(),
    read_action::<describe_internet_gateways::DescribeInternetGateways>(),
    read_action::<describe_network_interfaces::DescribeNetworkInterfaces>(),
    read_action::<describe_regions::DescribeRegions>(),
    read_action::<describe_route_tables::DescribeRouteTables>(),
    read_action::<describe_security_groups::DescribeSecurityGroups>(),
    read_action::<describe_subnets::DescribeSubnets>(),
    read_action::<describe_vpc_attribute::DescribeVpcAttribute>(),
    read_action::<describe_vpcs::DescribeVpcs>(),
];
