//! UpdateContainerInstancesState: ACTIVE takes tasks, DRAINING takes no new ones.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::container_instance::{Awaits, ContainerInstance, InstanceStatus};
use crate::rules::{clusters, instances};
use crate::views;

pub struct UpdateContainerInstancesState;

/// AWS: ten a call.
const MOST: usize = 10;

impl WriteAction for UpdateContainerInstancesState {
    type Op = api::ops::UpdateContainerInstancesState;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let action = "ecs:UpdateContainerInstancesState";
        let names = input.container_instances.as_deref().unwrap_or_default();
        let cluster = input.cluster.as_deref();
        match names {
            [] => clusters::demand(view, call, action, cluster).into(),
            _ => {
                let names = names.iter().take(MOST);
                let demands = names.map(|n| instances::demand(view, call, action, cluster, n));
                demands.collect::<Vec<_>>().into()
            }
        }
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(tx, call, input.cluster.as_deref())?.key.clone();
        let status = match input.status.as_ref().map(|status| status.as_str()) {
            Some("ACTIVE") => InstanceStatus::Active,
            Some("DRAINING") => InstanceStatus::Draining,
            _ => {
                return Err(errors::invalid_parameter_exception(
                    "Container instance status should be one of [ACTIVE, DRAINING]",
                ));
            }
        };
        let names = input.container_instances.unwrap_or_default();
        if names.is_empty() {
            return Err(errors::invalid_parameter_exception(
                "Container instances cannot be empty.",
            ));
        }
        if names.len() > MOST {
            return Err(errors::invalid_parameter_exception(
                "Container instances cannot have more than 10 elements.",
            ));
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in &names {
            let Some(row) = instances::look_up(tx, call, &cluster, name) else {
                failures.push(instances::missing(call, &cluster, name));
                continue;
            };
            if row.status == InstanceStatus::Inactive {
                failures.push(api::Failure {
                    arn: Some(row.arn()),
                    reason: Some("INACTIVE".to_owned()),
                    ..Default::default()
                });
                continue;
            }
            let id = row.id;
            tx.edit::<ContainerInstance>(&id, |row| {
                if row.status != status {
                    row.status = status;
                    row.version += 1;
                }
                // What the caller says holds over what daemons' loops have made of it.
                if row.awaits.is_some_and(|awaits| awaits != Awaits::First) {
                    row.awaits = None;
                    row.version += 1;
                }
            });
            let row = tx.get::<ContainerInstance>(&id).expect("it was just found");
            found.push(views::container_instance(tx, row, true, false));
        }
        Ok(api::UpdateContainerInstancesStateResponse {
            container_instances: Some(found),
            failures: Some(failures),
        })
    }
}
