//! DescribeSubnets: one for each zone.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ec2 as api;

use crate::rules::listing::{Asked, Kind, select};
use crate::rules::vpc::DefaultVpc;
use crate::views;

pub struct DescribeSubnets;

const KIND: Kind<api::Subnet> = Kind {
    list: "DescribeSubnets",
    id: |item| item.subnet_id.as_deref().unwrap_or_default(),
    missing: ("InvalidSubnetID.NotFound", "subnet"),
    filters: &[
        "availability-zone",
        "availability-zone-id",
        "availabilityZone",
        "availabilityZoneId",
        "available-ip-address-count",
        "cidr",
        "cidr-block",
        "cidrBlock",
        "default-for-az",
        "defaultForAz",
        "map-public-ip-on-launch",
        "owner-id",
        "state",
        "subnet-arn",
        "subnet-id",
        "vpc-id",
    ],
    value,
};

fn value(item: &api::Subnet, filter: &str) -> Vec<String> {
    let one = |text: Option<&str>| text.map(str::to_owned).into_iter().collect::<Vec<_>>();
    match filter {
        "availability-zone" | "availabilityZone" => one(item.availability_zone.as_deref()),
        "availability-zone-id" | "availabilityZoneId" => one(item.availability_zone_id.as_deref()),
        "available-ip-address-count" => {
            item.available_ip_address_count.iter().map(i32::to_string).collect()
        }
        "cidr" | "cidr-block" | "cidrBlock" => one(item.cidr_block.as_deref()),
        "default-for-az" | "defaultForAz" => {
            one(item.default_for_az.map(|is| if is { "true" } else { "false" }))
        }
        "map-public-ip-on-launch" => {
            one(item.map_public_ip_on_launch.map(|is| if is { "true" } else { "false" }))
        }
        "owner-id" => one(item.owner_id.as_deref()),
        "state" => one(item.state.as_ref().map(AsRef::as_ref)),
        "subnet-arn" => one(item.subnet_arn.as_deref()),
        "subnet-id" => one(item.subnet_id.as_deref()),
        "vpc-id" => one(item.vpc_id.as_deref()),
        _ => Vec::new(),
    }
}

impl ReadAction for DescribeSubnets {
    type Op = api::ops::DescribeSubnets;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ec2:DescribeSubnets").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let all = DefaultVpc::find(view, call.scope()).map_or_else(Vec::new, |vpc| {
            vpc.subnets().map(|subnet| views::subnet(&vpc, &subnet, view)).collect()
        });
        let asked = Asked {
            ids: input.subnet_ids.as_deref(),
            filters: input.filters.as_deref(),
            max_results: input.max_results,
            next_token: input.next_token.as_deref(),
            dry_run: input.dry_run,
        };
        let page = select(&KIND, &asked, all)?;
        Ok(api::DescribeSubnetsResult { subnets: Some(page.items), next_token: page.next })
    }
}
