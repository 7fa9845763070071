//! DescribeNetworkInterfaces: those of tasks.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ec2 as api;

use crate::rows::interface::InterfacesOf;
use crate::rules::listing::{Asked, Kind, select};
use crate::rules::vpc::DefaultVpc;
use crate::views;

pub struct DescribeNetworkInterfaces;

const KIND: Kind<api::NetworkInterface> = Kind {
    list: "DescribeNetworkInterfaces",
    id: |item| item.network_interface_id.as_deref().unwrap_or_default(),
    missing: ("InvalidNetworkInterfaceID.NotFound", "networkInterface"),
    filters: &[
        "addresses.private-ip-address",
        "attachment.attachment-id",
        "attachment.instance-id",
        "availability-zone",
        "availability-zone-id",
        "description",
        "group-id",
        "interface-type",
        "mac-address",
        "network-interface-id",
        "owner-id",
        "private-dns-name",
        "private-ip-address",
        "status",
        "subnet-id",
        "vpc-id",
    ],
    value,
};

fn value(item: &api::NetworkInterface, filter: &str) -> Vec<String> {
    let one = |text: Option<&str>| text.map(str::to_owned).into_iter().collect::<Vec<_>>();
    match filter {
        "addresses.private-ip-address" | "private-ip-address" => {
            one(item.private_ip_address.as_deref())
        }
        "attachment.attachment-id" => {
            one(item.attachment.as_ref().and_then(|a| a.attachment_id.as_deref()))
        }
        "attachment.instance-id" => {
            one(item.attachment.as_ref().and_then(|a| a.instance_id.as_deref()))
        }
        "availability-zone" => one(item.availability_zone.as_deref()),
        "availability-zone-id" => one(item.availability_zone_id.as_deref()),
        "description" => one(item.description.as_deref()),
        "group-id" => {
            item.groups.iter().flatten().filter_map(|group| group.group_id.clone()).collect()
        }
        "interface-type" => one(item.interface_type.as_ref().map(AsRef::as_ref)),
        "mac-address" => one(item.mac_address.as_deref()),
        "network-interface-id" => one(item.network_interface_id.as_deref()),
        "owner-id" => one(item.owner_id.as_deref()),
        "private-dns-name" => one(item.private_dns_name.as_deref()),
        "status" => one(item.status.as_ref().map(AsRef::as_ref)),
        "subnet-id" => one(item.subnet_id.as_deref()),
        "vpc-id" => one(item.vpc_id.as_deref()),
        _ => Vec::new(),
    }
}

impl ReadAction for DescribeNetworkInterfaces {
    type Op = api::ops::DescribeNetworkInterfaces;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ec2:DescribeNetworkInterfaces").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let all = DefaultVpc::find(view, call.scope()).map_or_else(Vec::new, |vpc| {
            view.by::<InterfacesOf>(&vpc.scope).map(|row| views::interface(&vpc, row)).collect()
        });
        let asked = Asked {
            ids: input.network_interface_ids.as_deref(),
            filters: input.filters.as_deref(),
            max_results: input.max_results,
            next_token: input.next_token.as_deref(),
            dry_run: input.dry_run,
        };
        let page = select(&KIND, &asked, all)?;
        Ok(api::DescribeNetworkInterfacesResult {
            network_interfaces: Some(page.items),
            next_token: page.next,
        })
    }
}
