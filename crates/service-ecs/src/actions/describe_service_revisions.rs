//! DescribeServiceRevisions: what each deployment brought.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs::{self as api, errors};

use crate::rows::cluster;
use crate::rows::service_history::ServiceRevision;
use crate::rules::services;
use crate::views;

pub struct DescribeServiceRevisions;

/// AWS: twenty a call.
const MOST: usize = 20;

impl ReadAction for DescribeServiceRevisions {
    type Op = api::ops::DescribeServiceRevisions;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arns = input.service_revision_arns.as_deref().unwrap_or_default();
        let demand = |arn: &String| {
            let demand = Demand::on("ecs:DescribeServiceRevisions", arn.clone());
            match services::child_of(call, arn, "service-revision") {
                Some((((scope, name), service), _)) => demand
                    .with("ecs:cluster", cluster::arn_of(scope, &name))
                    .with("ecs:service", services::told_arn(&(scope, name), &service)),
                None => demand,
            }
        };
        match arns {
            [] => Demand::anywhere("ecs:DescribeServiceRevisions").into(),
            _ => arns.iter().take(MOST).map(demand).collect::<Vec<_>>().into(),
        }
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let arns = input.service_revision_arns.unwrap_or_default();
        if arns.is_empty() || arns.len() > MOST {
            return Err(errors::invalid_parameter_exception(
                "serviceRevisionArns must have between 1 and 20 elements.",
            ));
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in arns {
            let child = services::child_of(call, &arn, "service-revision");
            let key = child.and_then(|(key, number)| Some((key, number.parse().ok()?)));
            match key.and_then(|key| view.get::<ServiceRevision>(&key)) {
                Some(row) => found.push(views::service_revision(view, row)),
                None => failures.push(api::Failure {
                    arn: Some(arn),
                    reason: Some("MISSING".to_owned()),
                    ..Default::default()
                }),
            }
        }
        Ok(api::DescribeServiceRevisionsResponse {
            service_revisions: Some(found),
            failures: Some(failures),
        })
    }
}
