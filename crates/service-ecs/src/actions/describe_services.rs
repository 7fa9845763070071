//! DescribeServices: deleted ones too, for a while.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs::{self as api, errors};

use crate::rules::{clusters, lists, services};
use crate::views;

pub struct DescribeServices;

/// AWS: ten a call.
const MOST: usize = 10;

impl ReadAction for DescribeServices {
    type Op = api::ops::DescribeServices;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let action = "ecs:DescribeServices";
        let cluster = input.cluster.as_deref();
        let names = input.services.as_deref().unwrap_or_default();
        match names {
            [] => services::demand(view, call, action, cluster, Some("*")).into(),
            _ => {
                let names = names.iter().take(MOST);
                let demands =
                    names.map(|name| services::demand(view, call, action, cluster, Some(name)));
                demands.collect::<Vec<_>>().into()
            }
        }
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let mut tags = false;
        for field in input.include.unwrap_or_default() {
            match field.as_str() {
                "TAGS" => tags = true,
                other => return Err(lists::bad_value("include", other)),
            }
        }
        let cluster = clusters::find_cluster(view, call, input.cluster.as_deref())?.key.clone();
        let names = input.services.unwrap_or_default();
        if names.is_empty() {
            return Err(errors::invalid_parameter_exception("Services cannot be empty."));
        }
        if names.len() > MOST {
            return Err(errors::invalid_parameter_exception(
                "Services cannot have more than 10 elements.",
            ));
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in &names {
            match services::look_up(view, call, &cluster, name)? {
                Some(row) => found.push(views::service(view, row, tags)),
                None => failures.push(services::missing(&cluster, name)),
            }
        }
        Ok(api::DescribeServicesResponse { services: Some(found), failures: Some(failures) })
    }
}
