//! ListServices: of a cluster, by name.

use aws_protocol::ApiError;
use core_step::page::page;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rows::service::{Service, ServicesIn};
use crate::rules::deployments::revision_of;
use crate::rules::{clusters, lists, service_settings as settings};

pub struct ListServices;

const LIST: &str = "ListServices";
/// AWS: where nothing else is asked for.
const PAGE: i32 = 10;

impl ReadAction for ListServices {
    type Op = api::ops::ListServices;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        // AWS: this action knows no resources, only the cluster as a condition.
        Demand::anywhere("ecs:ListServices")
            .with("ecs:cluster", clusters::demanded_arn(call, input.cluster.as_deref()))
            .into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(view, call, input.cluster.as_deref())?.key.clone();
        let size = lists::size(input.max_results.or(Some(PAGE)))?;
        let after = lists::after(LIST, input.next_token.as_deref())?;
        let launch = input.launch_type.as_ref().map(|launch| launch.as_str());
        if launch.is_some_and(|launch| !api::LaunchType::VALUES.contains(&launch)) {
            return Err(lists::bad_value("launchType", launch.unwrap_or_default()));
        }
        let daemon = match &input.scheduling_strategy {
            None => None,
            given => Some(settings::scheduling(given.as_ref())?),
        };
        let managed = input.resource_management_type.as_ref().map(|kind| kind.as_str());
        if managed.is_some_and(|kind| !api::ResourceManagementType::VALUES.contains(&kind)) {
            return Err(lists::bad_value("resourceManagementType", managed.unwrap_or_default()));
        }
        // AWS: a service by a strategy has no launch type.
        let launched = |row: &&Service| {
            let by_strategy = revision_of(view, row).is_some_and(|r| !r.providers.is_empty());
            launch.is_none_or(|launch| !by_strategy && row.launch.wire().as_str() == launch)
        };
        let rows = view.state().by_after::<ServicesIn>(&cluster, &(cluster.clone(), after.into()));
        let rows = rows.filter(|row| daemon.is_none_or(|daemon| row.daemon == daemon));
        // Every service here is its user's own.
        let rows = rows.filter(|_| managed.is_none_or(|kind| kind == "CUSTOMER"));
        let page = page(LIST, size, rows.filter(launched), |row: &&Service| row.name().to_owned());
        Ok(api::ListServicesResponse {
            service_arns: Some(page.items.iter().map(|row| row.arn()).collect()),
            next_token: page.next,
        })
    }
}
