//! ListAttributes: what the instances of a cluster have, the agents' attributes among them.

use aws_protocol::ApiError;
use core_step::page::page;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use core_types::Id128;
use model_ecs::{self as api, errors};

use crate::rows::container_instance::{ContainerInstance, InstancesIn};
use crate::rules::{attributes, clusters, lists};

pub struct ListAttributes;

const LIST: &str = "ListAttributes";

impl ReadAction for ListAttributes {
    type Op = api::ops::ListAttributes;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        clusters::demand(view, call, "ecs:ListAttributes", input.cluster.as_deref()).into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(view, call, input.cluster.as_deref())?.key.clone();
        if input.target_type.is_none() {
            return Err(errors::invalid_parameter_exception("targetType can not be empty"));
        }
        attributes::check_target_type(input.target_type.as_ref())?;
        let size = lists::size(input.max_results)?;
        let cursor = lists::after(LIST, input.next_token.as_deref())?;
        // A cursor is an instance and how many of its attributes were shown.
        let (first, skip) = cursor.split_once(':').unwrap_or((&cursor, "0"));
        let first: Id128 = first.parse().unwrap_or_default();
        let skip: usize = skip.parse().unwrap_or_default();
        let wanted = |attribute: &api::Attribute| {
            input.attribute_name.as_ref().is_none_or(|n| attribute.name.as_ref() == Some(n))
                && input
                    .attribute_value
                    .as_ref()
                    .is_none_or(|v| attribute.value.as_ref() == Some(v))
        };
        let started = view.get::<ContainerInstance>(&first).filter(|row| row.cluster == cluster);
        let rows = started.into_iter().chain(view.by_after::<InstancesIn>(&cluster, &first));
        let all = rows.flat_map(|row| {
            row.attributes().enumerate().map(move |(nth, attribute)| (row, nth, attribute))
        });
        let all = all.filter(|(row, nth, _)| row.id != first || *nth >= skip);
        let all = all.filter(|(_, _, attribute)| wanted(attribute));
        let page = page(LIST, size, all, |(row, nth, _)| format!("{}:{}", row.id, nth + 1));
        let shown = page.items.iter().map(|(row, _, a)| attributes::shown(row, a)).collect();
        Ok(api::ListAttributesResponse { attributes: Some(shown), next_token: page.next })
    }
}
