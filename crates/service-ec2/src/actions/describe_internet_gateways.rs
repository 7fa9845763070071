//! DescribeInternetGateways: the VPC's way out.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ec2 as api;

use crate::rules::listing::{Asked, Kind, select};
use crate::rules::vpc::DefaultVpc;
use crate::views;

pub struct DescribeInternetGateways;

const KIND: Kind<api::InternetGateway> = Kind {
    list: "DescribeInternetGateways",
    id: |item| item.internet_gateway_id.as_deref().unwrap_or_default(),
    missing: ("InvalidInternetGatewayID.NotFound", "internetGateway"),
    filters: &["attachment.state", "attachment.vpc-id", "internet-gateway-id", "owner-id"],
    value,
};

fn value(item: &api::InternetGateway, filter: &str) -> Vec<String> {
    let one = |text: Option<&str>| text.map(str::to_owned).into_iter().collect::<Vec<_>>();
    match filter {
        "attachment.state" => {
            attached(item).filter_map(|a| a.state.as_ref().map(|s| s.to_string())).collect()
        }
        "attachment.vpc-id" => attached(item).filter_map(|a| a.vpc_id.clone()).collect(),
        "internet-gateway-id" => one(item.internet_gateway_id.as_deref()),
        "owner-id" => one(item.owner_id.as_deref()),
        _ => Vec::new(),
    }
}

fn attached(item: &api::InternetGateway) -> impl Iterator<Item = &api::InternetGatewayAttachment> {
    item.attachments.iter().flatten()
}

impl ReadAction for DescribeInternetGateways {
    type Op = api::ops::DescribeInternetGateways;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ec2:DescribeInternetGateways").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let all = DefaultVpc::find(view, call.scope())
            .map_or_else(Vec::new, |vpc| vec![views::internet_gateway(&vpc)]);
        let asked = Asked {
            ids: input.internet_gateway_ids.as_deref(),
            filters: input.filters.as_deref(),
            max_results: input.max_results,
            next_token: input.next_token.as_deref(),
            dry_run: input.dry_run,
        };
        let page = select(&KIND, &asked, all)?;
        Ok(api::DescribeInternetGatewaysResult {
            internet_gateways: Some(page.items),
            next_token: page.next,
        })
    }
}
