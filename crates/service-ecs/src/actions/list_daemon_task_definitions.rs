//! ListDaemonTaskDefinitions: summaries, by family, prefix and status, either way round.

use aws_protocol::ApiError;
use core_step::page::page;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rows::daemon_task_definition::{
    DaemonFamily, DaemonTaskDefinition, DaemonsBy, NewestDaemons,
};
use crate::rows::task_definition::Down;
use crate::rules::lists;
use crate::views;

pub struct ListDaemonTaskDefinitions;

const LIST: &str = "ListDaemonTaskDefinitions";

impl ReadAction for ListDaemonTaskDefinitions {
    type Op = api::ops::ListDaemonTaskDefinitions;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ecs:ListDaemonTaskDefinitions").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let size = lists::size(input.max_results)?;
        let active = match input.status.as_ref().map(|status| status.as_str()) {
            None | Some("ACTIVE") => Some(true),
            Some("DELETE_IN_PROGRESS") => Some(false),
            Some("ALL") => None,
            Some(other) => return Err(lists::bad_value("status", other)),
        };
        let down = match input.sort.as_ref().map(|sort| sort.as_str()) {
            None | Some("ASC") => false,
            Some("DESC") => true,
            Some(other) => return Err(lists::bad_value("sort", other)),
        };
        let last_only = match input.revision.as_ref().map(|revision| revision.as_str()) {
            None => false,
            Some("LAST_REGISTERED") => true,
            Some(other) => return Err(lists::bad_value("revision", other)),
        };
        let after = lists::after_revision(LIST, input.next_token.as_deref())?;
        let scope = call.scope();
        let wanted = |row: &&DaemonTaskDefinition| {
            let (_, family, revision) = &row.key;
            let deleted = row.status(view.now()) == api::DaemonTaskDefinitionStatus::DELETED;
            let last = || view.get::<DaemonFamily>(&(scope, family.clone()));
            !(deleted && active == Some(false))
                && input.family.as_deref().is_none_or(|name| **family == *name)
                && input.family_prefix.as_deref().is_none_or(|prefix| family.starts_with(prefix))
                && (!last_only || last().is_some_and(|last| last.last_revision == *revision))
        };
        let cursor = |row: &&DaemonTaskDefinition| format!("{}:{}", row.key.1, row.key.2);
        let page = if down {
            let first = match &after {
                None => Down::Top,
                Some((family, revision)) => Down::At(family.as_str().into(), *revision),
            };
            let rows = view
                .by_range::<NewestDaemons>((scope, active, first))
                .take_while(|(key, _)| key.0 == scope && key.1 == active)
                .map(|(_, row)| row)
                .filter(|row| {
                    let place = after.as_ref();
                    place.is_none_or(|(f, n)| (&*row.key.1, row.key.2) != (f.as_str(), *n))
                });
            page(LIST, size, rows.filter(wanted), cursor)
        } else {
            let (family, revision) = after.unwrap_or_default();
            let key = (scope, family.into(), revision);
            let rows = view.by_after::<DaemonsBy>(&(scope, active), &key);
            page(LIST, size, rows.filter(wanted), cursor)
        };
        let shown = page.items.into_iter().map(|row| {
            let whole = views::daemon_task_definition(row, view.now());
            api::DaemonTaskDefinitionSummary {
                arn: whole.daemon_task_definition_arn,
                delete_requested_at: whole.delete_requested_at,
                registered_at: whole.registered_at,
                registered_by: whole.registered_by,
                status: whole.status,
            }
        });
        Ok(api::ListDaemonTaskDefinitionsResponse {
            daemon_task_definitions: Some(shown.collect()),
            next_token: page.next,
        })
    }
}
