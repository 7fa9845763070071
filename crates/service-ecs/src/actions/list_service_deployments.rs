//! ListServiceDeployments: the history of a service, the newest first.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rules::histories::Asked;
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
        let statuses = input.status.unwrap_or_default();
        let asked = Asked {
            list: LIST,
            size,
            next_token: input.next_token,
            statuses: statuses.iter().map(|status| status.as_str().to_owned()).collect(),
            created: input.created_at,
        };
        let known = api::ServiceDeploymentStatus::VALUES;
        let page = asked.page(known, services::records(view, &key), |row| {
            (row.number, row.status.as_str(), row.created_at)
        })?;
        Ok(api::ListServiceDeploymentsResponse {
            service_deployments: Some(page.items.into_iter().map(views::record_brief).collect()),
            next_token: page.next,
        })
    }
}
