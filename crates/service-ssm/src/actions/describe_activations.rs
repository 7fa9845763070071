//! DescribeActivations: all of an account and region, without their codes.

use aws_protocol::ApiError;
use core_step::page::{self, page};
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ssm::{self as api, errors};

use crate::rows::activation::{Activation, ActivationsOf};
use crate::views;

pub struct DescribeActivations;

const LIST: &str = "DescribeActivations";
/// AWS: fifty a page.
const PAGE: i32 = 50;

impl ReadAction for DescribeActivations {
    type Op = api::ops::DescribeActivations;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ssm:DescribeActivations").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let filters = input.filters.unwrap_or_default();
        for filter in &filters {
            if filter.filter_key.is_none() || filter.filter_values.is_none() {
                return Err(errors::invalid_filter("A filter has a key and values."));
            }
        }
        let after = page::open(LIST, input.next_token.as_deref());
        let after = after.map_err(|_| errors::invalid_next_token("The token is not valid."))?;
        let size = input.max_results.unwrap_or(PAGE).clamp(1, PAGE) as usize;
        let rows = view.by_after::<ActivationsOf>(&call.scope(), &after.unwrap_or_default().into());
        let rows = rows.filter(|row| filters.iter().all(|filter| holds(filter, row)));
        let page = page(LIST, size, rows, |row| row.id.to_string());
        let all = page.items.iter().map(|row| views::activation(row, view.now()));
        Ok(api::DescribeActivationsResult {
            activation_list: Some(all.collect()),
            next_token: page.next,
        })
    }
}

fn holds(filter: &api::DescribeActivationsFilter, row: &Activation) -> bool {
    let value = match filter.filter_key.as_ref().map(|key| key.as_str()) {
        Some("ActivationIds") => Some(&*row.id),
        Some("DefaultInstanceName") => row.instance_name.as_deref(),
        Some("IamRole") => Some(&*row.role),
        _ => None,
    };
    let wanted = filter.filter_values.iter().flatten();
    value.is_some_and(|value| wanted.into_iter().any(|one| one == value))
}
