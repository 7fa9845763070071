//! DescribeVpcs: the one that is there.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ec2 as api;

use crate::rules::listing::{Asked, Kind, select};
use crate::rules::vpc::DefaultVpc;
use crate::views;

pub struct DescribeVpcs;

const KIND: Kind<api::Vpc> = Kind {
    list: "DescribeVpcs",
    id: |item| item.vpc_id.as_deref().unwrap_or_default(),
    missing: ("InvalidVpcID.NotFound", "vpc"),
    filters: &[
        "cidr",
        "cidr-block",
        "cidr-block-association.cidr-block",
        "dhcp-options-id",
        "is-default",
        "isDefault",
        "owner-id",
        "state",
        "vpc-id",
    ],
    value,
};

fn value(item: &api::Vpc, filter: &str) -> Vec<String> {
    let one = |text: Option<&str>| text.map(str::to_owned).into_iter().collect::<Vec<_>>();
    match filter {
        "cidr" | "cidr-block" | "cidr-block-association.cidr-block" => {
            one(item.cidr_block.as_deref())
        }
        "dhcp-options-id" => one(item.dhcp_options_id.as_deref()),
        "is-default" | "isDefault" => {
            one(item.is_default.map(|is| if is { "true" } else { "false" }))
        }
        "owner-id" => one(item.owner_id.as_deref()),
        "state" => one(item.state.as_ref().map(AsRef::as_ref)),
        "vpc-id" => one(item.vpc_id.as_deref()),
        _ => Vec::new(),
    }
}

impl ReadAction for DescribeVpcs {
    type Op = api::ops::DescribeVpcs;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ec2:DescribeVpcs").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let all = DefaultVpc::find(view, call.scope())
            .map_or_else(Vec::new, |vpc| vec![views::vpc(&vpc)]);
        let asked = Asked {
            ids: input.vpc_ids.as_deref(),
            filters: input.filters.as_deref(),
            max_results: input.max_results,
            next_token: input.next_token.as_deref(),
            dry_run: input.dry_run,
        };
        let page = select(&KIND, &asked, all)?;
        Ok(api::DescribeVpcsResult { vpcs: Some(page.items), next_token: page.next })
    }
}
