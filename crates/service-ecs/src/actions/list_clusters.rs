//! ListClusters: ARNs of the ACTIVE ones, by name.

use aws_protocol::{ApiError, token};
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs::{self as api, errors};

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
        let size = lists::page_size(input.max_results)?;
        let scope = call.scope();
        let after = lists::open("ListClusters", input.next_token.as_deref())?;
        let after = after.as_deref().unwrap_or_default();
        let mut rows = view.by_after::<ActiveClusters>(&scope, &(scope, after.into()));
        let page: Vec<_> = rows.by_ref().take(size).collect();
        let next = page.last().filter(|_| rows.next().is_some());
        let next_token = next.map(|last| lists::seal("ListClusters", last.name()));
        let _ = (token::seal, errors::client_exception::<String>);
        Ok(api::ListClustersResponse {
            cluster_arns: Some(page.iter().map(|row| row.arn()).collect()),
            next_token,
        })
    }
}
