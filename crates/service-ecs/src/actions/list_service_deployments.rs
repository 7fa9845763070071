//! ListServiceDeployments: the history of a service, the newest first.

use aws_protocol::ApiError;
use core_step::page::page;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use core_types::Time;
use model_ecs as api;

use crate::rows::service_history::DeploymentRecord;
use crate::rules::{clusters, lists, services};
use crate::views;

pub struct ListServiceDeployments;

const LIST: &str = "ListServiceDeployments";
/// AWS: where nothing else is asked for.
const PAGE: i32 = 20;

impl ReadAction for ListServiceDeployments {
    type Op = api::ops::ListServiceDeployments;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let (cluster, service) = (input.cluster.as_deref(), input.service.as_deref());
        services::demand(view, call, "ecs:ListServiceDeployments", cluster, service).into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(view, call, input.cluster.as_deref())?.key.clone();
        let key = services::find(view, call, &cluster, input.service.as_deref())?.key.clone();
        let size = lists::size(input.max_results.or(Some(PAGE)))?;
        let after = lists::after(LIST, input.next_token.as_deref())?;
        let after: u64 = after.parse().unwrap_or(u64::MAX);
        let wanted = input.status.unwrap_or_default();
        for status in &wanted {
            if !api::ServiceDeploymentStatus::VALUES.contains(&status.as_str()) {
                return Err(lists::bad_value("status", status.as_str()));
            }
        }
        let created = input.created_at.unwrap_or_default();
        let time = |at: Option<aws_protocol::Timestamp>| at.map(|at| Time(at.as_millis()));
        let (from, until) = (time(created.after), time(created.before));
        let mut rows: Vec<&DeploymentRecord> = services::records(view, &key).collect();
        rows.reverse();
        let rows = rows.into_iter().filter(|row| row.number < after);
        let rows = rows.filter(|row| {
            wanted.is_empty() || wanted.iter().any(|one| one.as_str() == row.status.as_str())
        });
        let rows = rows.filter(|row| from.is_none_or(|from| row.created_at >= from));
        let rows = rows.filter(|row| until.is_none_or(|until| row.created_at <= until));
        let page = page(LIST, size, rows, |row: &&DeploymentRecord| row.number.to_string());
        Ok(api::ListServiceDeploymentsResponse {
            service_deployments: Some(page.items.into_iter().map(views::record_brief).collect()),
            next_token: page.next,
        })
    }
}
