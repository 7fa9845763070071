//! ListLogGroups: by a pattern of prefixes and substrings, by class and by tags.

use aws_protocol::ApiError;
use core_step::page::{self, page};
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_logs as api;

use crate::rows::group::LogGroup;
use crate::rules::{groups, permissions};
use crate::views;

pub struct ListLogGroups;

impl ReadAction for ListLogGroups {
    type Op = api::ops::ListLogGroups;

    fn authorize(call: &Call, view: &View<'_>, _: &Input<Self::Op>) -> Demands {
        permissions::on_group(call, view, "logs:ListLogGroups", "").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        const LIST: &str = "ListLogGroups";
        let after = page::open(LIST, input.next_token.as_deref());
        let after = after.map_err(|_| groups::invalid("The specified nextToken is invalid."))?;
        // No group has an index of fields or a data source, which are made by what is not offered.
        let none = input.field_index_names.is_some() || input.data_sources.is_some();
        let scope = call.scope();
        let rows = view.scan::<LogGroup>((scope, after.clone().unwrap_or_default().into()));
        let rows = rows.take_while(|row| row.scope() == scope && !none);
        let rows = rows.filter(|row| after.as_deref() != Some(row.name()));
        let wanted = rows.filter(|row| matches(row, &input));
        let size = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(50);
        let page = page(LIST, size, wanted, |row| row.name().to_owned());
        Ok(api::ListLogGroupsResponse {
            log_groups: Some(page.items.into_iter().map(views::summary).collect()),
            next_token: page.next,
        })
    }
}

fn matches(row: &LogGroup, input: &api::ListLogGroupsRequest) -> bool {
    let name = row.name();
    let of_name = input.log_group_name_pattern.as_deref().is_none_or(|pattern| {
        pattern.split('|').any(|one| match one.strip_prefix('^') {
            Some(prefix) => name.starts_with(prefix),
            None => name.contains(one),
        })
    });
    let of_class = input.log_group_class.as_ref().is_none_or(|class| *class == row.class.as_str());
    let filters = input.log_group_tags.as_deref().unwrap_or_default();
    let of_tags = filters.iter().all(|filter| {
        let value = row.tags.get(filter.key.as_deref().unwrap_or_default());
        let values = filter.values.as_deref().unwrap_or_default();
        value.is_some_and(|value| values.is_empty() || values.contains(value))
    });
    of_name && of_class && of_tags
}
