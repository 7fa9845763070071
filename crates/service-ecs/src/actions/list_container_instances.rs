//! ListContainerInstances: by status, and by an expression of the query language.

use aws_protocol::ApiError;
use core_step::page::page;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use core_types::Id128;
use model_ecs as api;

use crate::rows::container_instance::{ContainerInstance, InstancesIn};
use crate::rules::instances::Asked;
use crate::rules::{clusters, instances, lists};

pub struct ListContainerInstances;

const LIST: &str = "ListContainerInstances";

impl ReadAction for ListContainerInstances {
    type Op = api::ops::ListContainerInstances;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        clusters::demand(view, call, "ecs:ListContainerInstances", input.cluster.as_deref()).into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(view, call, input.cluster.as_deref())?.key.clone();
        let size = lists::size(input.max_results)?;
        let after = lists::after(LIST, input.next_token.as_deref())?;
        let after: Id128 = after.parse().unwrap_or_default();
        let status = input.status.as_ref().map(|status| status.as_str());
        if let Some(status) = status.filter(|s| !api::ContainerInstanceStatus::VALUES.contains(s)) {
            return Err(lists::bad_value("status", status));
        }
        let filter = instances::parse_filter(input.filter.as_deref())?;
        let state = view.state();
        let rows = state.by_after::<InstancesIn>(&cluster, &after);
        let rows = rows.filter(|row| status.is_none_or(|status| row.shown_status() == status));
        let rows =
            rows.filter(|row| filter.as_ref().is_none_or(|f| f.holds(&Asked { state, row })));
        let page = page(LIST, size, rows, |row: &&ContainerInstance| row.id.to_string());
        Ok(api::ListContainerInstancesResponse {
            container_instance_arns: Some(page.items.iter().map(|row| row.arn()).collect()),
            next_token: page.next,
        })
    }
}
