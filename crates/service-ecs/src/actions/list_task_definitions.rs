//! ListTaskDefinitions: ARNs by family and revision, either way round.

use aws_protocol::ApiError;
use core_step::page::page;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rows::task_definition::{Down, NewestFirst, Status, TaskDefinition, TaskDefinitionsBy};
use crate::rules::lists;

pub struct ListTaskDefinitions;

const LIST: &str = "ListTaskDefinitions";

impl ReadAction for ListTaskDefinitions {
    type Op = api::ops::ListTaskDefinitions;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ecs:ListTaskDefinitions").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let size = lists::size(input.max_results)?;
        let status = match input.status.as_ref().map(|status| status.as_str()) {
            None | Some("ACTIVE") => Status::Active,
            Some("INACTIVE") => Status::Inactive,
            Some("DELETE_IN_PROGRESS") => Status::DeleteInProgress,
            Some(other) => return Err(lists::bad_value("status", other)),
        };
        let down = match input.sort.as_ref().map(|sort| sort.as_str()) {
            None | Some("ASC") => false,
            Some("DESC") => true,
            Some(other) => return Err(lists::bad_value("sort", other)),
        };
        // AWS: a "prefix" in name alone; it is the whole name of one family.
        let family = input.family_prefix.filter(|family| !family.is_empty());
        let after = lists::after_revision(LIST, input.next_token.as_deref())?;
        let scope = call.scope();
        let cursor = |row: &&TaskDefinition| format!("{}:{}", row.key.1, row.key.2);
        let mine = |row: &&TaskDefinition| family.as_deref().is_none_or(|f| &*row.key.1 == f);
        let page = if down {
            let first = match (&after, &family) {
                (Some((family, revision)), _) => Down::At(family.as_str().into(), *revision),
                (None, Some(family)) => Down::At(family.as_str().into(), u32::MAX),
                (None, None) => Down::Top,
            };
            let rows = view
                .by_range::<NewestFirst>((scope, status, first))
                .take_while(|(key, _)| key.0 == scope && key.1 == status)
                .map(|(_, row)| row)
                .filter(|row| {
                    let last = after.as_ref();
                    last.is_none_or(|last| (&*row.key.1, row.key.2) != (last.0.as_str(), last.1))
                })
                .take_while(mine);
            page(LIST, size, rows, cursor)
        } else {
            let first = after.unwrap_or_else(|| (family.clone().unwrap_or_default(), 0));
            let key = (scope, first.0.as_str().into(), first.1);
            let rows = view.by_after::<TaskDefinitionsBy>(&(scope, status), &key);
            page(LIST, size, rows.take_while(mine), cursor)
        };
        Ok(api::ListTaskDefinitionsResponse {
            task_definition_arns: Some(page.items.iter().map(|row| row.arn()).collect()),
            next_token: page.next,
        })
    }
}
