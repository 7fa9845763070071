//! DescribeCapacityProviders: those named, or all, the built-in ones among them.

use aws_protocol::ApiError;
use core_step::page::page;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs::{self as api, errors};

use crate::rows::capacity_provider::{CapacityProvider, ProvidersOf};
use crate::rules::strategy::{BUILT_IN, provider_name};
use crate::rules::task_definition::check_enum;
use crate::rules::{capacity_providers as providers, clusters, lists};
use crate::views;

pub struct DescribeCapacityProviders;

const LIST: &str = "DescribeCapacityProviders";
/// AWS: a hundred names a call, ten providers a page.
const MOST: usize = 100;
const PAGE: usize = 10;

impl ReadAction for DescribeCapacityProviders {
    type Op = api::ops::DescribeCapacityProviders;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let action = "ecs:DescribeCapacityProviders";
        match input.capacity_providers.as_deref() {
            None | Some([]) => Demand::anywhere(action).into(),
            Some(names) => {
                let names = names.iter().take(MOST);
                let demands = names.map(|name| providers::demand(view, call, action, name));
                demands.collect::<Vec<_>>().into()
            }
        }
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let include = input.include.unwrap_or_default();
        for field in &include {
            check_enum("include", Some(field.as_str()), api::CapacityProviderField::VALUES)?;
        }
        let tags = !include.is_empty();
        let names = input.capacity_providers.unwrap_or_default();
        if names.len() > MOST {
            return Err(errors::invalid_parameter_exception(
                "capacityProviders cannot have more than 100 elements.",
            ));
        }
        let scope = call.scope();
        if !names.is_empty() {
            let (mut found, mut failures) = (Vec::new(), Vec::new());
            for given in &names {
                let name = provider_name(given);
                let row = view.get::<CapacityProvider>(&(scope, name.into()));
                let shown = row.map(|row| views::capacity_provider(row, tags));
                match shown.or_else(|| views::built_in_provider(scope, name)) {
                    Some(shown) => found.push(shown),
                    None => failures.push(api::Failure {
                        arn: Some(views::provider_arn(scope, given)),
                        reason: Some("MISSING".to_owned()),
                        ..Default::default()
                    }),
                }
            }
            return Ok(api::DescribeCapacityProvidersResponse {
                capacity_providers: Some(found),
                failures: Some(failures),
                next_token: None,
            });
        }
        let size = lists::size_up_to(input.max_results, PAGE)?;
        let after = lists::after(LIST, input.next_token.as_deref())?;
        let cluster = match input.cluster.as_deref() {
            None => None,
            given => Some(clusters::find_cluster(view, call, given)?.key.1.clone()),
        };
        // The built-in ones come first; `!` sorts before every letter of a name.
        let built_in = BUILT_IN.into_iter().filter(|_| cluster.is_none());
        let built_in =
            built_in.map(|name| (format!("!{name}"), views::built_in_provider(scope, name)));
        let built_in = built_in.filter(|(cursor, _)| *cursor > after);
        let behind = if after.starts_with('!') { "" } else { after.as_str() };
        let first = (scope, behind.into());
        let rows = view.by_after::<ProvidersOf>(&(scope, cluster.clone()), &first);
        let rows =
            rows.map(|row| (row.name().to_owned(), Some(views::capacity_provider(row, tags))));
        let page = page(LIST, size, built_in.chain(rows), |(cursor, _)| cursor.clone());
        Ok(api::DescribeCapacityProvidersResponse {
            capacity_providers: Some(
                page.items.into_iter().filter_map(|(_, shown)| shown).collect(),
            ),
            failures: Some(Vec::new()),
            next_token: page.next,
        })
    }
}
