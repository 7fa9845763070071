//! DescribeServiceRevisions: what each deployment brought.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rows::service_history::ServiceRevision;
use crate::rules::histories;
use crate::views;

pub struct DescribeServiceRevisions;

const ACTION: &str = "ecs:DescribeServiceRevisions";
const KIND: &str = "service-revision";

impl ReadAction for DescribeServiceRevisions {
    type Op = api::ops::DescribeServiceRevisions;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let beside = |arn: &str| [histories::demand_beside(call, ACTION, arn, KIND)];
        histories::demands(ACTION, input.service_revision_arns.as_deref(), beside)
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let arns = input.service_revision_arns;
        let (found, failures) =
            histories::find(call, ("serviceRevisionArns", KIND), arns, |key, last| {
                let row = view.get::<ServiceRevision>(&(key, last.parse().ok()?))?;
                Some(views::service_revision(view, row))
            })?;
        Ok(api::DescribeServiceRevisionsResponse {
            service_revisions: Some(found),
            failures: Some(failures),
        })
    }
}
