//! DescribeServiceDeployments: the history in full.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs::{self as api, errors};

use crate::rows::cluster;
use crate::rows::service_history::DeploymentRecord;
use crate::rules::services;
use crate::views;

pub struct DescribeServiceDeployments;

/// AWS: twenty a call.
const MOST: usize = 20;

impl ReadAction for DescribeServiceDeployments {
    type Op = api::ops::DescribeServiceDeployments;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arns = input.service_deployment_arns.as_deref().unwrap_or_default();
        let demand = |arn: &String| {
            let demand = Demand::on("ecs:DescribeServiceDeployments", arn.clone());
            match services::child_of(call, arn, "service-deployment") {
                Some((((scope, name), service), _)) => demand
                    .with("ecs:cluster", cluster::arn_of(scope, &name))
                    .with("ecs:service", services::told_arn(&(scope, name), &service)),
                None => demand,
            }
        };
        match arns {
            [] => Demand::anywhere("ecs:DescribeServiceDeployments").into(),
            _ => arns.iter().take(MOST).map(demand).collect::<Vec<_>>().into(),
        }
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let arns = input.service_deployment_arns.unwrap_or_default();
        if arns.is_empty() || arns.len() > MOST {
            return Err(errors::invalid_parameter_exception(
                "serviceDeploymentArns must have between 1 and 20 elements.",
            ));
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in arns {
            let child = services::child_of(call, &arn, "service-deployment");
            let row = child
                .and_then(|(key, id)| view.get::<DeploymentRecord>(&(key, id.as_str().into())));
            match row {
                Some(row) => found.push(views::deployment_record(view, row)),
                None => failures.push(api::Failure {
                    arn: Some(arn),
                    reason: Some("MISSING".to_owned()),
                    ..Default::default()
                }),
            }
        }
        Ok(api::DescribeServiceDeploymentsResponse {
            service_deployments: Some(found),
            failures: Some(failures),
        })
    }
}
