//! ListDaemons: of all clusters or of one, by the capacity providers that they are on.

use aws_protocol::ApiError;
use core_step::page::page;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rows::daemon::{Daemon, DaemonStatus};
use crate::rules::strategy::provider_name;
use crate::rules::{clusters, lists};
use crate::views;

pub struct ListDaemons;

const LIST: &str = "ListDaemons";

impl ReadAction for ListDaemons {
    type Op = api::ops::ListDaemons;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        // AWS: this action knows no resources, only the cluster as a condition.
        let demand = Demand::anywhere("ecs:ListDaemons");
        match input.cluster_arn.as_deref() {
            Some(given) => demand.with("ecs:cluster", clusters::demanded_arn(call, Some(given))),
            None => demand,
        }
        .into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = match input.cluster_arn.as_deref().filter(|given| !given.is_empty()) {
            Some(given) => Some(clusters::find_cluster(view, call, Some(given))?.key.clone()),
            None => None,
        };
        let size = lists::size(input.max_results)?;
        let after = lists::after(LIST, input.next_token.as_deref())?;
        let scope = call.scope();
        let (in_cluster, name) = after.split_once('/').unwrap_or_default();
        let place = ((scope, in_cluster.into()), name.into());
        let first = match &cluster {
            Some(key) if in_cluster.is_empty() => (key.clone(), "".into()),
            _ => place.clone(),
        };
        let providers = input.capacity_provider_arns.unwrap_or_default();
        let names: Vec<&str> = providers.iter().map(|given| provider_name(given)).collect();
        let rows = view.scan::<Daemon>(first).skip_while(|row| row.key == place);
        let rows = rows.take_while(|row| match &cluster {
            Some(key) => row.key.0 == *key,
            None => row.key.0.0 == scope,
        });
        let rows = rows.filter(|row| row.status != DaemonStatus::Deleted);
        let rows = rows.filter(|row| {
            names.is_empty() || row.providers.iter().any(|on| names.contains(&&**on))
        });
        let page = page(LIST, size, rows, |row: &&Daemon| format!("{}/{}", row.key.0.1, row.key.1));
        Ok(api::ListDaemonsResponse {
            daemon_summaries_list: Some(page.items.into_iter().map(views::daemon_brief).collect()),
            next_token: page.next,
        })
    }
}
