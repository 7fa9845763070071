//! DescribeLogGroups. How many bytes a group has only the store knows.

use aws_protocol::ApiError;
use core_step::page::{self, Page, page};
use core_step::{Call, DataAction, Demands, Input, Output, View};
use core_types::Id128;
use model_logs as api;

use crate::rows::group::LogGroup;
use crate::rules::{groups, permissions};
use crate::views;

pub struct DescribeLogGroups;

/// A page of groups, without their bytes.
pub struct Job(Page<LogGroup>);

impl DataAction for DescribeLogGroups {
    type Op = api::ops::DescribeLogGroups;
    type Job = Job;

    fn authorize(call: &Call, view: &View<'_>, _: &Input<Self::Op>) -> Demands {
        permissions::on_group(call, view, "logs:DescribeLogGroups", "").into()
    }

    fn prepare(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Result<Job, ApiError> {
        const LIST: &str = "DescribeLogGroups";
        if input.log_group_name_prefix.is_some() && input.log_group_name_pattern.is_some() {
            return Err(groups::invalid(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
            ));
        }
        let after = page::open(LIST, input.next_token.as_deref());
        let after = after.map_err(|_| groups::invalid("The specified nextToken is invalid."))?;
        let scope = call.scope();
        let prefix = input.log_group_name_prefix.as_deref().unwrap_or_default();
        let first = after.as_deref().unwrap_or_default().max(prefix);
        // AWS: without linked accounts there is only the caller's own.
        let rows = view.scan::<LogGroup>((scope, first.into()));
        let rows = rows.take_while(|row| row.scope() == scope && row.name().starts_with(prefix));
        let rows = rows.filter(|row| after.as_deref() != Some(row.name()));
        let rows = rows.filter(|row| matches(row, &input)).cloned();
        let size = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(50);
        Ok(Job(page(LIST, size, rows, |row| row.name().to_owned())))
    }
}

fn matches(row: &LogGroup, input: &api::DescribeLogGroupsRequest) -> bool {
    let pattern = input.log_group_name_pattern.as_deref();
    let of_name = pattern.is_none_or(|pattern| row.name().contains(pattern));
    // AWS: asked for one of these two classes it shows both.
    let cheap = ["INFREQUENT_ACCESS", "ESSENTIALS"];
    let of_class = input.log_group_class.as_ref().is_none_or(|class| {
        *class == row.class.as_str()
            || cheap.contains(&class.as_str()) && cheap.contains(&row.class.as_str())
    });
    let listed = input.log_group_identifiers.as_deref().is_none_or(|identifiers| {
        identifiers.iter().any(|identifier| groups::name_in(identifier) == row.name())
    });
    of_name && of_class && listed
}

impl Job {
    pub fn finish(self, bytes: impl Fn(Id128) -> u64) -> Output<api::ops::DescribeLogGroups> {
        let groups = self.0.items.iter().map(|row| views::group(row, bytes(row.id)));
        api::DescribeLogGroupsResponse {
            log_groups: Some(groups.collect()),
            next_token: self.0.next,
        }
    }
}
