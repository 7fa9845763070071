//! ListDaemonDeployments: the history of a daemon, the newest first.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rules::histories::Asked;
use crate::rules::{daemons, lists};
use crate::views;

pub struct ListDaemonDeployments;

const LIST: &str = "ListDaemonDeployments";

impl ReadAction for ListDaemonDeployments {
    type Op = api::ops::ListDaemonDeployments;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = input.daemon_arn.as_deref();
        daemons::demand(view, call, "ecs:ListDaemonDeployments", arn).into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let key = daemons::find(view, call, input.daemon_arn.as_deref())?.key.clone();
        let size = lists::size(input.max_results)?;
        let statuses = input.status.unwrap_or_default();
        let asked = Asked {
            list: LIST,
            size,
            next_token: input.next_token,
            statuses: statuses.iter().map(|status| status.as_str().to_owned()).collect(),
            created: input.created_at,
        };
        let known = api::DaemonDeploymentStatus::VALUES;
        let page = asked.page(known, daemons::records(view, &key), |row| {
            (row.number, row.status.as_str(), row.created_at)
        })?;
        let shown = page.items.into_iter().map(views::daemon_deployment_brief);
        Ok(api::ListDaemonDeploymentsResponse {
            daemon_deployments: Some(shown.collect()),
            next_token: page.next,
        })
    }
}
