//! ListTaskDefinitionFamilies: names by status and prefix.

use aws_protocol::ApiError;
use core_step::page::page;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rows::task_definition::{FamiliesBy, Status};
use crate::rules::lists;

pub struct ListTaskDefinitionFamilies;

const LIST: &str = "ListTaskDefinitionFamilies";

impl ReadAction for ListTaskDefinitionFamilies {
    type Op = api::ops::ListTaskDefinitionFamilies;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ecs:ListTaskDefinitionFamilies").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let size = lists::size(input.max_results)?;
        // AWS: with no status, ACTIVE and INACTIVE families are listed.
        let status = match input.status.as_ref().map(|status| status.as_str()) {
            None | Some("ALL") => None,
            Some("ACTIVE") => Some(Status::Active),
            Some("INACTIVE") => Some(Status::Inactive),
            Some(other) => return Err(lists::bad_value("status", other)),
        };
        let prefix = input.family_prefix.unwrap_or_default();
        let after = lists::after(LIST, input.next_token.as_deref())?;
        let scope = call.scope();
        // What begins with the prefix stands behind the prefix itself, which is a name too.
        let exact =
            view.get::<crate::rows::task_definition::Family>(&(scope, prefix.as_str().into()));
        let exact = exact.filter(|_| after.is_empty() && !prefix.is_empty());
        let exact = exact.filter(|family| {
            let mut is = false;
            <FamiliesBy as core_state::Index>::keys(family, &mut |key| is |= key.1 == status);
            is
        });
        let first = if after.is_empty() { prefix.as_str() } else { after.as_str() };
        let rows = view.by_after::<FamiliesBy>(&(scope, status), &(scope, first.into()));
        let rows = exact.into_iter().chain(rows).take_while(|row| row.key.1.starts_with(&prefix));
        let page = page(LIST, size, rows, |row| row.key.1.to_string());
        Ok(api::ListTaskDefinitionFamiliesResponse {
            families: Some(page.items.iter().map(|row| row.key.1.to_string()).collect()),
            next_token: page.next,
        })
    }
}
