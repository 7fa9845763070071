//! DescribeContainerInstances: deregistered ones too, for a while.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs::{self as api, errors};

use crate::rules::{clusters, instances, lists};
use crate::views;

pub struct DescribeContainerInstances;

/// AWS: a hundred a call.
const MOST: usize = 100;

impl ReadAction for DescribeContainerInstances {
    type Op = api::ops::DescribeContainerInstances;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let action = "ecs:DescribeContainerInstances";
        let names = input.container_instances.as_deref().unwrap_or_default();
        let cluster = input.cluster.as_deref();
        match names {
            [] => clusters::demand(view, call, action, cluster).into(),
            _ => {
                let names = names.iter().take(MOST);
                let demands = names.map(|n| instances::demand(view, call, action, cluster, n));
                demands.collect::<Vec<_>>().into()
            }
        }
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let (mut tags, mut health) = (false, false);
        for field in input.include.unwrap_or_default() {
            match field.as_str() {
                "TAGS" => tags = true,
                "CONTAINER_INSTANCE_HEALTH" => health = true,
                other => return Err(lists::bad_value("include", other)),
            }
        }
        let cluster = clusters::find_cluster(view, call, input.cluster.as_deref())?.key.clone();
        let names = input.container_instances.unwrap_or_default();
        if names.is_empty() {
            return Err(errors::invalid_parameter_exception(
                "Container instances cannot be empty.",
            ));
        }
        if names.len() > MOST {
            return Err(errors::invalid_parameter_exception(
                "Container instances cannot have more than 100 elements.",
            ));
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in &names {
            match instances::look_up(view, call, &cluster, name) {
                Some(row) => found.push(views::container_instance(view, row, tags, health)),
                None => failures.push(instances::missing(call, &cluster, name)),
            }
        }
        Ok(api::DescribeContainerInstancesResponse {
            container_instances: Some(found),
            failures: Some(failures),
        })
    }
}
