//! DescribeDaemonRevisions: what each deployment brought.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs::{self as api, errors};

use crate::rows::daemon_history::DaemonRevision;
use crate::rules::{daemons, services};
use crate::views;

pub struct DescribeDaemonRevisions;

/// AWS: twenty a call.
const MOST: usize = 20;
const KIND: &str = "daemon-revision";

impl ReadAction for DescribeDaemonRevisions {
    type Op = api::ops::DescribeDaemonRevisions;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let action = "ecs:DescribeDaemonRevisions";
        let arns = input.daemon_revision_arns.as_deref().unwrap_or_default();
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
        let arns = input.daemon_revision_arns.unwrap_or_default();
        if arns.is_empty() || arns.len() > MOST {
            return Err(errors::invalid_parameter_exception(
                "daemonRevisionArns must have between 1 and 20 elements.",
            ));
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in arns {
            let child = services::child_of(call, &arn, KIND);
            let key = child.and_then(|(key, number)| Some((key, number.parse().ok()?)));
            match key.and_then(|key| view.get::<DaemonRevision>(&key)) {
                Some(row) => found.push(views::daemon_revision(row)),
                None => failures.push(api::Failure {
                    arn: Some(arn),
                    reason: Some("MISSING".to_owned()),
                    ..Default::default()
                }),
            }
        }
        Ok(api::DescribeDaemonRevisionsResponse {
            daemon_revisions: Some(found),
            failures: Some(failures),
        })
    }
}
