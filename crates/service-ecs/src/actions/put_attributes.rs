//! PutAttributes: users' own attributes on container instances.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::container_instance::ContainerInstance;
use crate::rules::{attributes, capacity_providers, clusters, instances};

pub struct PutAttributes;

impl WriteAction for PutAttributes {
    type Op = api::ops::PutAttributes;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let given = input.attributes.as_deref().unwrap_or_default();
        demands(call, view, "ecs:PutAttributes", input.cluster.as_deref(), given)
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(tx, call, input.cluster.as_deref())?.key.clone();
        let given = input.attributes.unwrap_or_default();
        if given.is_empty() {
            return Err(errors::invalid_parameter_exception("attributes can not be empty"));
        }
        if given.len() > attributes::MOST {
            return Err(errors::invalid_parameter_exception(
                "attributes cannot have more than 10 elements.",
            ));
        }
        let mut shown = Vec::new();
        for attribute in given {
            attributes::check(&attribute)?;
            let id = attributes::target(tx, call, &cluster, &attribute)?;
            let new = api::Attribute {
                name: attribute.name,
                value: attribute.value,
                ..Default::default()
            };
            let provider = capacity_providers::of_machine(std::slice::from_ref(&new))?;
            tx.edit::<ContainerInstance>(&id, |row| {
                row.capacity_provider = provider.or(row.capacity_provider.take());
                match row.custom_attributes.iter_mut().find(|there| there.name == new.name) {
                    Some(there) => *there = new.clone(),
                    None => row.custom_attributes.push(new.clone()),
                }
            });
            let row = tx.get::<ContainerInstance>(&id).expect("it was just found");
            if row.custom_attributes.len() > attributes::MOST {
                return Err(errors::attribute_limit_exceeded_exception(
                    "You can apply up to 10 custom attributes for each resource.",
                ));
            }
            shown.push(attributes::shown(row, &new));
        }
        Ok(api::PutAttributesResponse { attributes: Some(shown) })
    }
}

/// Permissions on the instances that attributes are for.
pub fn demands(
    call: &Call,
    view: &View<'_>,
    action: &'static str,
    cluster: Option<&str>,
    given: &[api::Attribute],
) -> Demands {
    match given {
        [] => clusters::demand(view, call, action, cluster).into(),
        _ => {
            let demand = |attribute: &api::Attribute| {
                let target = attribute.target_id.as_deref().unwrap_or_default();
                instances::demand(view, call, action, cluster, target)
            };
            given.iter().take(attributes::MOST).map(demand).collect::<Vec<_>>().into()
        }
    }
}
