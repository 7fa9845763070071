//! CreateCapacityProvider: over an Auto Scaling group, or of managed instances for one cluster.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::capacity_provider::CapacityProvider;
use crate::rules::strategy::BUILT_IN;
use crate::rules::{capacity_providers as providers, clusters, tags};
use crate::views;

pub struct CreateCapacityProvider;

impl WriteAction for CreateCapacityProvider {
    type Op = api::ops::CreateCapacityProvider;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let given = input.tags.as_deref();
        let arn = views::provider_arn(call.scope(), input.name.as_deref().unwrap_or_default());
        let demand = Demand::on("ecs:CreateCapacityProvider", arn.clone());
        let mut demands = vec![demand.request_tags(tags::pairs(given.unwrap_or_default()))];
        if let Some(managed) = &input.managed_instances_provider {
            let template = managed.instance_launch_template.as_ref();
            let to_instances = template.and_then(|it| it.instance_metadata_tags_propagation);
            let demand = demands.swap_remove(0);
            let propagate = managed.propagate_tags.as_ref();
            demands.push(providers::with_propagation(demand, propagate, to_instances));
            demands.push(providers::pass_role(managed.infrastructure_role_arn.as_deref()));
        }
        demands.extend(tags::demand_on_create(view, call, "CreateCapacityProvider", arn, given));
        demands.into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let name = input.name.unwrap_or_default();
        let key = (call.scope(), name.as_str().into());
        let there = tx.get::<CapacityProvider>(&key).is_some_and(|row| row.active);
        if there || BUILT_IN.contains(&name.as_str()) {
            return Err(errors::client_exception(
                "The specified capacity provider already exists. To change the configuration of \
                 an existing capacity provider, update the capacity provider.",
            ));
        }
        providers::check_name(&name)?;
        let given_tags = input.tags.unwrap_or_default();
        tags::check_tags(&given_tags)?;
        let mut row = CapacityProvider {
            key: key.clone(),
            active: true,
            update_status: None,
            auto_scaling_group: None,
            managed_instances: None,
            cluster: None,
            tags: given_tags,
            forget_at: None,
        };
        match (input.auto_scaling_group_provider, input.managed_instances_provider) {
            (Some(group), None) => {
                if input.cluster.is_some() {
                    return Err(errors::invalid_parameter_exception(
                        "Cluster cannot be specified for a capacity provider that uses an Auto \
                         Scaling group.",
                    ));
                }
                row.auto_scaling_group = Some(providers::group_provider(group)?);
            }
            (None, Some(managed)) => {
                let Some(cluster) = input.cluster.as_deref().filter(|name| !name.is_empty()) else {
                    return Err(errors::invalid_parameter_exception(
                        "Cluster must be specified for a capacity provider of managed instances.",
                    ));
                };
                let cluster = clusters::find_cluster(tx, call, Some(cluster))?;
                row.cluster = Some(cluster.key.1.clone());
                row.managed_instances = Some(providers::managed_provider(managed)?);
                row.update_status = Some(api::CapacityProviderUpdateStatus::CREATE_COMPLETE);
            }
            _ => {
                return Err(errors::invalid_parameter_exception(
                    "Exactly one of autoScalingGroupProvider and managedInstancesProvider must \
                     be specified.",
                ));
            }
        }
        let shown = views::capacity_provider(&row, true);
        tx.put(row);
        Ok(api::CreateCapacityProviderResponse { capacity_provider: Some(shown) })
    }
}
