//! DeleteAttributes: users' own attributes only; one that is not there is no error.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use super::put_attributes::demands;
use crate::rows::container_instance::{ContainerInstance, PROVIDER};
use crate::rules::{attributes, clusters};

pub struct DeleteAttributes;

impl WriteAction for DeleteAttributes {
    type Op = api::ops::DeleteAttributes;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let given = input.attributes.as_deref().unwrap_or_default();
        demands(call, view, "ecs:DeleteAttributes", input.cluster.as_deref(), given)
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
            // AWS: a value that is given must be the one that is there.
            let meant = |there: &api::Attribute| {
                there.name == attribute.name
                    && (attribute.value.is_none() || attribute.value == there.value)
            };
            tx.edit::<ContainerInstance>(&id, |row| {
                // Also what the agent told of its configuration: it will not tell it again.
                let all = [&mut row.agent_attributes, &mut row.custom_attributes];
                let mut gone = false;
                for attributes in all {
                    let had = attributes.len();
                    attributes.retain(|one| !meant(one));
                    gone |= attributes.len() < had;
                }
                if gone && attribute.name.as_deref() == Some(PROVIDER) {
                    row.capacity_provider = None;
                }
            });
            let row = tx.get::<ContainerInstance>(&id).expect("it was just found");
            shown.push(attributes::shown(row, &attribute));
        }
        Ok(api::DeleteAttributesResponse { attributes: Some(shown) })
    }
}
