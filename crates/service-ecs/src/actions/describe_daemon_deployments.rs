//! DescribeDaemonDeployments: the history in full.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rows::daemon_history::DaemonDeployment;
use crate::rules::{daemons, histories};
use crate::views;

pub struct DescribeDaemonDeployments;

const ACTION: &str = "ecs:DescribeDaemonDeployments";
const KIND: &str = "daemon-deployment";

impl ReadAction for DescribeDaemonDeployments {
    type Op = api::ops::DescribeDaemonDeployments;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let beside = |arn: &str| {
            let of = histories::child_of(call, arn, KIND).map(|(key, _)| key);
            daemons::demands_beside(view, call, ACTION, (arn, of.as_ref()))
        };
        histories::demands(ACTION, input.daemon_deployment_arns.as_deref(), beside)
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let arns = input.daemon_deployment_arns;
        let (found, failures) =
            histories::find(call, ("daemonDeploymentArns", KIND), arns, |key, last| {
                let row = view.get::<DaemonDeployment>(&(key, last.into()))?;
                Some(views::daemon_deployment(view, row))
            })?;
        Ok(api::DescribeDaemonDeploymentsResponse {
            daemon_deployments: Some(found),
            failures: Some(failures),
        })
    }
}
