//! DescribeVpcAttribute: one attribute a call.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ec2 as api;

use crate::rules::listing::{check_dry_run, invalid, missing};
use crate::rules::vpc::DefaultVpc;

pub struct DescribeVpcAttribute;

impl ReadAction for DescribeVpcAttribute {
    type Op = api::ops::DescribeVpcAttribute;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ec2:DescribeVpcAttribute").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        check_dry_run(input.dry_run)?;
        let id = input.vpc_id.unwrap_or_default();
        let found = DefaultVpc::find(view, call.scope()).filter(|vpc| vpc.id() == id);
        let vpc = found.ok_or_else(|| missing(("InvalidVpcID.NotFound", "vpc"), &id))?;
        let is = |value| Some(api::AttributeBooleanValue { value: Some(value) });
        let mut result =
            api::DescribeVpcAttributeResult { vpc_id: Some(vpc.id()), ..Default::default() };
        match input.attribute.unwrap_or_default().as_str() {
            "enableDnsSupport" => result.enable_dns_support = is(true),
            // AWS: on in default VPCs.
            "enableDnsHostnames" => result.enable_dns_hostnames = is(true),
            "enableNetworkAddressUsageMetrics" => {
                result.enable_network_address_usage_metrics = is(false);
            }
            other => {
                return Err(invalid(format!("Value ({other}) for parameter attribute is invalid")));
            }
        }
        Ok(result)
    }
}
