//! ListDaemonDeployments: the history of a daemon, the newest first.

use aws_protocol::ApiError;
use core_step::page::page;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use core_types::Time;
use model_ecs as api;

use crate::rows::daemon_history::DaemonDeployment;
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
        let after = lists::after(LIST, input.next_token.as_deref())?;
        let after: u64 = after.parse().unwrap_or(u64::MAX);
        let wanted = input.status.unwrap_or_default();
        for status in &wanted {
            if !api::DaemonDeploymentStatus::VALUES.contains(&status.as_str()) {
                return Err(lists::bad_value("status", status.as_str()));
            }
        }
        let created = input.created_at.unwrap_or_default();
        let time = |at: Option<aws_protocol::Timestamp>| at.map(|at| Time(at.as_millis()));
        let (from, until) = (time(created.after), time(created.before));
        let mut rows: Vec<&DaemonDeployment> = daemons::records(view, &key).collect();
        rows.reverse();
        let rows = rows.into_iter().filter(|row| row.number < after);
        let rows = rows.filter(|row| {
            wanted.is_empty() || wanted.iter().any(|one| one.as_str() == row.status.as_str())
        });
        let rows = rows.filter(|row| from.is_none_or(|from| row.created_at >= from));
        let rows = rows.filter(|row| until.is_none_or(|until| row.created_at <= until));
        let page = page(LIST, size, rows, |row: &&DaemonDeployment| row.number.to_string());
        let shown = page.items.into_iter().map(views::daemon_deployment_brief);
        Ok(api::ListDaemonDeploymentsResponse {
            daemon_deployments: Some(shown.collect()),
            next_token: page.next,
        })
    }
}
