//! DeleteService, with its refusals. The service drains until its tasks are gone.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::service::{Service, ServiceStatus};
use crate::rules::{clusters, services, shifts};
use crate::views;

pub struct DeleteService;

impl WriteAction for DeleteService {
    type Op = api::ops::DeleteService;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let (cluster, service) = (input.cluster.as_deref(), input.service.as_deref());
        services::demand(view, call, "ecs:DeleteService", cluster, service).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(tx, call, input.cluster.as_deref())?.key.clone();
        let row = services::find(tx, call, &cluster, input.service.as_deref())?;
        let key = row.key.clone();
        if row.status == ServiceStatus::Active {
            check_idle(row, input.force == Some(true))?;
            let row = row.clone();
            shifts::forsake(tx, &row);
            tx.edit::<Service>(&key, |row| {
                row.status = ServiceStatus::Draining;
                row.desired_count = 0;
            });
        }
        let row = tx.get::<Service>(&key).expect("it was just found");
        Ok(api::DeleteServiceResponse { service: Some(views::service(tx, row, true)) })
    }
}

/// AWS: DeleteService fails while desiredCount is above 0 unless forced. A daemon has no count
/// that could be set to 0.
fn check_idle(row: &Service, force: bool) -> Result<(), ApiError> {
    if force || row.daemon {
        return Ok(());
    }
    if row.desired_count > 0 {
        return Err(errors::invalid_parameter_exception(
            "The service cannot be stopped while it is scaled above 0.",
        ));
    }
    if row.deployments.len() > 1 {
        return Err(errors::invalid_parameter_exception(
            "The service cannot be stopped while deployments are active.",
        ));
    }
    Ok(())
}
