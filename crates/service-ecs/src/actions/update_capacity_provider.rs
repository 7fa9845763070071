//! UpdateCapacityProvider: members that are not given stay as they are.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::capacity_provider::CapacityProvider;
use crate::rules::capacity_providers as providers;
use crate::views;

pub struct UpdateCapacityProvider;

impl WriteAction for UpdateCapacityProvider {
    type Op = api::ops::UpdateCapacityProvider;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.name.as_deref().unwrap_or_default();
        let demand = providers::demand(view, call, "ecs:UpdateCapacityProvider", name);
        let Some(managed) = &input.managed_instances_provider else { return demand.into() };
        let template = managed.instance_launch_template.as_ref();
        let to_instances = template.and_then(|it| it.instance_metadata_tags_propagation);
        let propagate = managed.propagate_tags.as_ref();
        let demand = providers::with_propagation(demand, propagate, to_instances);
        vec![demand, providers::pass_role(managed.infrastructure_role_arn.as_deref())].into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let name = input.name.as_deref().unwrap_or_default();
        let mut row: CapacityProvider = providers::find(tx, call.scope(), name)?.clone();
        let wrong_kind = || {
            errors::invalid_parameter_exception(
                "The specified configuration is not of the capacity provider's type.",
            )
        };
        if let Some(given) = input.auto_scaling_group_provider {
            let there = row.auto_scaling_group.take().ok_or_else(wrong_kind)?;
            row.auto_scaling_group = Some(providers::updated_group(there, given)?);
        }
        if let Some(given) = input.managed_instances_provider {
            let there = row.managed_instances.take().ok_or_else(wrong_kind)?;
            row.managed_instances = Some(providers::updated_managed(there, given)?);
        }
        row.update_status = Some(api::CapacityProviderUpdateStatus::UPDATE_COMPLETE);
        let shown = views::capacity_provider(&row, true);
        tx.put(row);
        Ok(api::UpdateCapacityProviderResponse { capacity_provider: Some(shown) })
    }
}
