//! StopServiceDeployment: gives the newest deployment up, and goes back where that is asked for.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::service::{Service, ServiceStatus};
use crate::rows::service_history::{DeploymentRecord, RecordStatus};
use crate::rules::deployments::{self, Why};
use crate::rules::{histories, lists};

pub struct StopServiceDeployment;

const KIND: &str = "service-deployment";

fn by_the_user(back: bool) -> Why {
    let status = match back {
        true => "Service deployment rolled back because it was stopped by the user.",
        false => "Service deployment stopped by the user.",
    };
    Why {
        reason: "Service deployment stopped by the user.".to_owned(),
        back: "Service deployment stopped by the user: rolling back to deploymentId".to_owned(),
        event: "deployment stopped by the user.".to_owned(),
        status: status.to_owned(),
    }
}

impl WriteAction for StopServiceDeployment {
    type Op = api::ops::StopServiceDeployment;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = input.service_deployment_arn.clone().unwrap_or_default();
        histories::demand_beside(call, "ecs:StopServiceDeployment", &arn, KIND).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let arn = input.service_deployment_arn.unwrap_or_default();
        // AWS: going back is what is meant where nothing is said.
        let back = match input.stop_type.as_ref().map(|kind| kind.as_str()) {
            None | Some("ROLLBACK") => true,
            Some("ABORT") => false,
            Some(other) => return Err(lists::bad_value("stopType", other)),
        };
        let missing =
            || errors::service_deployment_not_found_exception("Service deployment not found.");
        let (key, id) = histories::child_of(call, &arn, KIND).ok_or_else(missing)?;
        let id = id.as_str().into();
        let record = tx.get::<DeploymentRecord>(&(key.clone(), id)).ok_or_else(missing)?;
        // AWS: one that goes back already goes on with that.
        if record.status == RecordStatus::RollbackInProgress && back {
            return Ok(api::StopServiceDeploymentResponse { service_deployment_arn: Some(arn) });
        }
        let over = record.status.is_over() || record.rollback.is_some();
        let row = tx.get::<Service>(&key).filter(|row| row.status == ServiceStatus::Active);
        let newest = row.filter(|row| row.primary().is_some_and(|one| one.record == record.key.1));
        let Some(mut row) = newest.filter(|_| !over).cloned() else {
            let text = "The service deployment is not in a state in which it can be stopped.";
            return Err(errors::conflict_exception(text));
        };
        deployments::give_up(tx, &mut row, &by_the_user(back), back);
        tx.put(row);
        Ok(api::StopServiceDeploymentResponse { service_deployment_arn: Some(arn) })
    }
}
