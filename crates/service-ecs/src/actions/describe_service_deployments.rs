//! DescribeServiceDeployments: the history in full.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rows::service_history::DeploymentRecord;
use crate::rules::histories;
use crate::views;

pub struct DescribeServiceDeployments;

const ACTION: &str = "ecs:DescribeServiceDeployments";
const KIND: &str = "service-deployment";

impl ReadAction for DescribeServiceDeployments {
    type Op = api::ops::DescribeServiceDeployments;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let beside = |arn: &str| [histories::demand_beside(call, ACTION, arn, KIND)];
        histories::demands(ACTION, input.service_deployment_arns.as_deref(), beside)
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let arns = input.service_deployment_arns;
        let (found, failures) =
            histories::find(call, ("serviceDeploymentArns", KIND), arns, |key, last| {
                let row = view.get::<DeploymentRecord>(&(key, last.into()))?;
                Some(views::deployment_record(view, row))
            })?;
        Ok(api::DescribeServiceDeploymentsResponse {
            service_deployments: Some(found),
            failures: Some(failures),
        })
    }
}
