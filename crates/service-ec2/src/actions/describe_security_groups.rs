//! DescribeSecurityGroups: the default one.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ec2 as api;

use crate::rules::listing::{Asked, Kind, select};
use crate::rules::vpc::DefaultVpc;
use crate::views;

pub struct DescribeSecurityGroups;

const KIND: Kind<api::SecurityGroup> = Kind {
    list: "DescribeSecurityGroups",
    id: |item| item.group_id.as_deref().unwrap_or_default(),
    missing: ("InvalidGroup.NotFound", "security group"),
    filters: &["description", "group-id", "group-name", "owner-id", "vpc-id"],
    value,
};

fn value(item: &api::SecurityGroup, filter: &str) -> Vec<String> {
    let one = |text: Option<&str>| text.map(str::to_owned).into_iter().collect::<Vec<_>>();
    match filter {
        "description" => one(item.description.as_deref()),
        "group-id" => one(item.group_id.as_deref()),
        "group-name" => one(item.group_name.as_deref()),
        "owner-id" => one(item.owner_id.as_deref()),
        "vpc-id" => one(item.vpc_id.as_deref()),
        _ => Vec::new(),
    }
}

impl ReadAction for DescribeSecurityGroups {
    type Op = api::ops::DescribeSecurityGroups;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ec2:DescribeSecurityGroups").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let all = DefaultVpc::find(view, call.scope())
            .map_or_else(Vec::new, |vpc| vec![views::group(&vpc)]);
        let asked = Asked {
            ids: input.group_ids.as_deref(),
            filters: input.filters.as_deref(),
            max_results: input.max_results,
            next_token: input.next_token.as_deref(),
            dry_run: input.dry_run,
        };
        let names = input.group_names.unwrap_or_default();
        for name in &names {
            if !all.iter().any(|group| group.group_name.as_ref() == Some(name)) {
                let text = format!("The security group '{name}' does not exist in default VPC");
                return Err(ApiError::new("InvalidGroup.NotFound", 400, text));
            }
        }
        let mut page = select(&KIND, &asked, all)?;
        page.items.retain(|group| {
            names.is_empty() || names.iter().any(|n| group.group_name.as_ref() == Some(n))
        });
        Ok(api::DescribeSecurityGroupsResult {
            security_groups: Some(page.items),
            next_token: page.next,
        })
    }
}
