//! DescribeDaemonRevisions: what each deployment brought.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rows::daemon_history::DaemonRevision;
use crate::rules::{daemons, histories};
use crate::views;

pub struct DescribeDaemonRevisions;

const ACTION: &str = "ecs:DescribeDaemonRevisions";
const KIND: &str = "daemon-revision";

impl ReadAction for DescribeDaemonRevisions {
    type Op = api::ops::DescribeDaemonRevisions;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let beside = |arn: &str| {
            let of = histories::child_of(call, arn, KIND).map(|(key, _)| key);
            daemons::demands_beside(view, call, ACTION, (arn, of.as_ref()))
        };
        histories::demands(ACTION, input.daemon_revision_arns.as_deref(), beside)
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let arns = input.daemon_revision_arns;
        let (found, failures) =
            histories::find(call, ("daemonRevisionArns", KIND), arns, |key, last| {
                let row = view.get::<DaemonRevision>(&(key, last.parse().ok()?))?;
                Some(views::daemon_revision(row))
            })?;
        Ok(api::DescribeDaemonRevisionsResponse {
            daemon_revisions: Some(found),
            failures: Some(failures),
        })
    }
}
