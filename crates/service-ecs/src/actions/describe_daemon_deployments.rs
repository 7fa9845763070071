//! DescribeDaemonDeployments: the history in full.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs::{self as api, errors};

use crate::rows::daemon_history::DaemonDeployment;
use crate::rules::{daemons, services};
use crate::views;

pub struct DescribeDaemonDeployments;

/// AWS: twenty a call.
const MOST: usize = 20;
const KIND: &str = "daemon-deployment";

impl ReadAction for DescribeDaemonDeployments {
    type Op = api::ops::DescribeDaemonDeployments;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let action = "ecs:DescribeDaemonDeployments";
        let arns = input.daemon_deployment_arns.as_deref().unwrap_or_default();
        let demands = arns.iter().take(MOST).flat_map(|arn| {
            let of = services::child_of(call, arn, KIND).map(|(key, _)| key);
            daemons::demands_beside(view, call, action, (arn, of.as_ref()))
        });
        match arns {
            [] => Demand::anywhere(action).into(),
            _ => demands.collect::<Vec<_>>().into(),
        }
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let arns = input.daemon_deployment_arns.unwrap_or_default();
        if arns.is_empty() || arns.len() > MOST {
            return Err(errors::invalid_parameter_exception(
                "daemonDeploymentArns must have between 1 and 20 elements.",
            ));
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in arns {
            let child = services::child_of(call, &arn, KIND);
            let key = child.map(|(key, id)| (key, id.as_str().into()));
            match key.and_then(|key| view.get::<DaemonDeployment>(&key)) {
                Some(row) => found.push(views::daemon_deployment(view, row)),
                None => failures.push(api::Failure {
                    arn: Some(arn),
                    reason: Some("MISSING".to_owned()),
                    ..Default::default()
                }),
            }
        }
        Ok(api::DescribeDaemonDeploymentsResponse {
            daemon_deployments: Some(found),
            failures: Some(failures),
        })
    }
}
