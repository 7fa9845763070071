//! ListClusters: ARNs of the ACTIVE ones, by name.

use aws_protocol::ApiError;
use core_step::page::page;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rows::cluster::ActiveClusters;
use crate::rules::lists;

pub struct ListClusters;

impl ReadAction for ListClusters {
    type Op = api::ops::ListClusters;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ecs:ListClusters").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let size = lists::size(input.max_results)?;
        let after = lists::after("ListClusters", input.next_token.as_deref())?;
        let scope = call.scope();
        let rows = view.by_after::<ActiveClusters>(&scope, &(scope, after.into()));
        let page = page("ListClusters", size, rows, |row| row.name().to_owned());
        Ok(api::ListClustersResponse {
            cluster_arns: Some(page.items.iter().map(|row| row.arn()).collect()),
            next_token: page.next,
        })
    }
}
