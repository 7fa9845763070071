//! DescribeAvailabilityZones: those that hosts can be in.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ec2 as api;

use crate::rows::network::ZONES;
use crate::rules::listing::{check_dry_run, check_filter, invalid, matches};
use crate::rules::zones::zone_id;

pub struct DescribeAvailabilityZones;

const FILTERS: &[&str] = &[
    "group-name",
    "message",
    "opt-in-status",
    "parent-zone-id",
    "parent-zone-name",
    "region-name",
    "state",
    "zone-id",
    "zone-name",
    "zone-type",
];

impl ReadAction for DescribeAvailabilityZones {
    type Op = api::ops::DescribeAvailabilityZones;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ec2:DescribeAvailabilityZones").into()
    }

    fn run(
        call: &Call,
        _: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        // `AllAvailabilityZones` adds those that wait for an opt-in; here none does.
        check_dry_run(input.dry_run)?;
        let filters = input.filters.unwrap_or_default();
        for filter in &filters {
            check_filter(filter, FILTERS)?;
        }
        let mut all: Vec<_> = (0..ZONES.len()).map(|zone| zone_of(call, zone)).collect();
        let (names, ids) =
            (input.zone_names.unwrap_or_default(), input.zone_ids.unwrap_or_default());
        let (known_names, known_ids): (Vec<_>, Vec<_>) =
            all.iter().map(|zone| (zone.zone_name.clone(), zone.zone_id.clone())).unzip();
        for (asked, known) in [(&names, &known_names), (&ids, &known_ids)] {
            if let Some(unknown) =
                asked.iter().find(|asked| !known.contains(&Some((*asked).clone())))
            {
                return Err(invalid(format!("Invalid availability zone: [{unknown}]")));
            }
        }
        let fits = |asked: &[String], value: &Option<String>| {
            asked.is_empty() || value.as_ref().is_some_and(|value| asked.contains(value))
        };
        all.retain(|zone| fits(&names, &zone.zone_name) && fits(&ids, &zone.zone_id));
        all.retain(|zone| filters.iter().all(|filter| matches(filter, &value(zone, filter))));
        Ok(api::DescribeAvailabilityZonesResult { availability_zones: Some(all) })
    }
}

fn zone_of(call: &Call, zone: usize) -> api::AvailabilityZone {
    let region = call.region;
    api::AvailabilityZone {
        group_name: Some(format!("{region}-zg-1")),
        network_border_group: Some(region.to_string()),
        opt_in_status: Some(api::AvailabilityZoneOptInStatus::OPT_IN_NOT_REQUIRED),
        region_name: Some(region.to_string()),
        state: Some(api::AvailabilityZoneState::AVAILABLE),
        zone_id: Some(zone_id(region.as_str(), zone)),
        zone_name: Some(format!("{region}{}", ZONES[zone])),
        zone_type: Some("availability-zone".to_owned()),
        ..Default::default()
    }
}

fn value(zone: &api::AvailabilityZone, filter: &api::Filter) -> Vec<String> {
    let value = match filter.name.as_deref().unwrap_or_default() {
        "group-name" => zone.group_name.clone(),
        "opt-in-status" => zone.opt_in_status.as_ref().map(ToString::to_string),
        "region-name" => zone.region_name.clone(),
        "state" => zone.state.as_ref().map(ToString::to_string),
        "zone-id" => zone.zone_id.clone(),
        "zone-name" => zone.zone_name.clone(),
        "zone-type" => zone.zone_type.clone(),
        _ => None,
    };
    value.into_iter().collect()
}
