//! DiscoverPollEndpoint: where an agent opens its connections.

use aws_agent::paths;
use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rules::{clusters, instances};

pub struct DiscoverPollEndpoint;

impl ReadAction for DiscoverPollEndpoint {
    type Op = api::ops::DiscoverPollEndpoint;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let mut demands = vec![Demand::anywhere("ecs:DiscoverPollEndpoint")];
        let key = clusters::key_of(call, input.cluster.as_deref());
        let given = input.container_instance.as_deref().unwrap_or_default();
        let row = instances::look_up(view, call, &key, given);
        demands.extend(row.and_then(|row| instances::on_behalf(call, row)));
        demands.into()
    }

    fn run(call: &Call, _: &View<'_>, _: Input<Self::Op>) -> Result<Output<Self::Op>, ApiError> {
        // A host is told to come by the way that it came: the same server may have other names on
        // other networks.
        let here = call.origin.endpoint.trim_end_matches('/');
        Ok(api::DiscoverPollEndpointResponse {
            endpoint: Some(format!("{here}{}", paths::ACS)),
            telemetry_endpoint: Some(format!("{here}{}", paths::TCS)),
            service_connect_endpoint: Some(here.to_owned()),
        })
    }
}
