//! DescribeInstances: the hosts of this machine, each in a reservation of its own.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ec2 as api;

use crate::rows::host::HostsOf;
use crate::rules::listing::{Asked, Kind, select};
use crate::rules::vpc::DefaultVpc;
use crate::views;

pub struct DescribeInstances;

const KIND: Kind<api::Instance> = Kind {
    list: "DescribeInstances",
    id: |item| item.instance_id.as_deref().unwrap_or_default(),
    missing: ("InvalidInstanceID.NotFound", "instance"),
    filters: &[
        "availability-zone",
        "instance-id",
        "instance-state-code",
        "instance-state-name",
        "instance-type",
        "private-dns-name",
        "private-ip-address",
        "subnet-id",
        "vpc-id",
    ],
    value,
};

fn value(item: &api::Instance, filter: &str) -> Vec<String> {
    let one = |text: Option<&str>| text.map(str::to_owned).into_iter().collect::<Vec<_>>();
    let state = item.state.as_ref();
    match filter {
        "availability-zone" => one(item
            .placement
            .as_ref()
            .and_then(|placement| placement.availability_zone.as_deref())),
        "instance-id" => one(item.instance_id.as_deref()),
        "instance-state-code" => state.and_then(|s| s.code).iter().map(i32::to_string).collect(),
        "instance-state-name" => one(state.and_then(|s| s.name.as_ref()).map(AsRef::as_ref)),
        "instance-type" => one(item.instance_type.as_ref().map(AsRef::as_ref)),
        "private-dns-name" => one(item.private_dns_name.as_deref()),
        "private-ip-address" => one(item.private_ip_address.as_deref()),
        "subnet-id" => one(item.subnet_id.as_deref()),
        "vpc-id" => one(item.vpc_id.as_deref()),
        _ => Vec::new(),
    }
}

impl ReadAction for DescribeInstances {
    type Op = api::ops::DescribeInstances;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ec2:DescribeInstances").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let all = DefaultVpc::find(view, call.scope()).map_or_else(Vec::new, |vpc| {
            view.by::<HostsOf>(&vpc.scope).map(|row| views::instance(&vpc, row)).collect()
        });
        let asked = Asked {
            ids: input.instance_ids.as_deref(),
            filters: input.filters.as_deref(),
            max_results: input.max_results,
            next_token: input.next_token.as_deref(),
            dry_run: input.dry_run,
        };
        let page = select(&KIND, &asked, all)?;
        let owner = call.account().to_string();
        let reservations = page.items.into_iter().map(|instance| api::Reservation {
            owner_id: Some(owner.clone()),
            // The same digits as the instance's: it is the only one in it.
            reservation_id: instance.instance_id.as_ref().map(|id| id.replacen("i-", "r-", 1)),
            instances: Some(vec![instance]),
            ..Default::default()
        });
        Ok(api::DescribeInstancesResult {
            reservations: Some(reservations.collect()),
            next_token: page.next,
        })
    }
}
