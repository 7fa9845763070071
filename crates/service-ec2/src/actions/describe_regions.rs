//! DescribeRegions: AWS's, all of which are served alike.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ec2 as api;

use crate::rules::listing::{check_dry_run, check_filter, invalid, matches};
use crate::rules::zones::REGIONS;

pub struct DescribeRegions;

const OPT_IN: &str = "opt-in-not-required";

impl ReadAction for DescribeRegions {
    type Op = api::ops::DescribeRegions;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ec2:DescribeRegions").into()
    }

    fn run(_: &Call, _: &View<'_>, input: Input<Self::Op>) -> Result<Output<Self::Op>, ApiError> {
        // `AllRegions` adds those that wait for an opt-in; here none does.
        check_dry_run(input.dry_run)?;
        let (names, filters) =
            (input.region_names.unwrap_or_default(), input.filters.unwrap_or_default());
        for filter in &filters {
            check_filter(filter, &["endpoint", "opt-in-status", "region-name"])?;
        }
        if let Some(unknown) = names.iter().find(|name| !REGIONS.contains(&name.as_str())) {
            return Err(invalid(format!("Invalid region provided: {unknown}")));
        }
        let asked =
            REGIONS.iter().filter(|region| names.is_empty() || names.iter().any(|n| n == *region));
        let regions = asked
            .map(|region| api::Region {
                endpoint: Some(format!("ec2.{region}.amazonaws.com")),
                opt_in_status: Some(OPT_IN.to_owned()),
                region_name: Some((*region).to_owned()),
                ..Default::default()
            })
            .filter(|region| {
                filters.iter().all(|filter| {
                    let value = match filter.name.as_deref() {
                        Some("endpoint") => region.endpoint.clone(),
                        Some("opt-in-status") => region.opt_in_status.clone(),
                        Some("region-name") => region.region_name.clone(),
                        _ => None,
                    };
                    matches(filter, value.as_slice())
                })
            });
        Ok(api::DescribeRegionsResult { regions: Some(regions.collect()) })
    }
}
