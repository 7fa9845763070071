//! DescribeRouteTables: the VPC's main one.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ec2 as api;

use crate::rules::listing::{Asked, Kind, select};
use crate::rules::vpc::DefaultVpc;
use crate::views;

pub struct DescribeRouteTables;

const KIND: Kind<api::RouteTable> = Kind {
    list: "DescribeRouteTables",
    id: |item| item.route_table_id.as_deref().unwrap_or_default(),
    missing: ("InvalidRouteTableID.NotFound", "routeTable"),
    filters: &[
        "association.gateway-id",
        "association.main",
        "association.route-table-id",
        "association.subnet-id",
        "owner-id",
        "route-table-id",
        "vpc-id",
    ],
    value,
};

fn value(item: &api::RouteTable, filter: &str) -> Vec<String> {
    let one = |text: Option<&str>| text.map(str::to_owned).into_iter().collect::<Vec<_>>();
    match filter {
        "association.main" => one(Some("true")),
        "association.route-table-id" | "route-table-id" => one(item.route_table_id.as_deref()),
        "owner-id" => one(item.owner_id.as_deref()),
        "vpc-id" => one(item.vpc_id.as_deref()),
        _ => Vec::new(),
    }
}

impl ReadAction for DescribeRouteTables {
    type Op = api::ops::DescribeRouteTables;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ec2:DescribeRouteTables").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let all = DefaultVpc::find(view, call.scope())
            .map_or_else(Vec::new, |vpc| vec![views::route_table(&vpc)]);
        let asked = Asked {
            ids: input.route_table_ids.as_deref(),
            filters: input.filters.as_deref(),
            max_results: input.max_results,
            next_token: input.next_token.as_deref(),
            dry_run: input.dry_run,
        };
        let page = select(&KIND, &asked, all)?;
        Ok(api::DescribeRouteTablesResult { route_tables: Some(page.items), next_token: page.next })
    }
}
