//! ContinueServiceDeployment: a deployment that a pause hook holds goes on, or back.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::progress::HookStatus;
use crate::rows::service_history::DeploymentRecord;
use crate::rules::{histories, lists};

pub struct ContinueServiceDeployment;

const KIND: &str = "service-deployment";

fn invalid(text: &str) -> ApiError {
    errors::invalid_parameter_exception(text)
}

impl WriteAction for ContinueServiceDeployment {
    type Op = api::ops::ContinueServiceDeployment;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = input.service_deployment_arn.clone().unwrap_or_default();
        histories::demand_beside(call, "ecs:ContinueServiceDeployment", &arn, KIND).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let arn = input.service_deployment_arn.unwrap_or_default();
        let goes_on = match input.action.as_ref().map(|action| action.as_str()) {
            None | Some("CONTINUE") => true,
            Some("ROLLBACK") => false,
            Some(other) => return Err(lists::bad_value("action", other)),
        };
        let id = input.hook_id.unwrap_or_default();
        let known = |kind: &str| id.strip_prefix(kind).is_some_and(|rest| !rest.is_empty());
        if !known("ecs-pause-") && !known("ecs-lambda-") {
            return Err(invalid(
                "Invalid hookId: hookId must follow the format: ecs-{hookType}-{id}",
            ));
        }
        let missing = || {
            errors::service_deployment_not_found_exception("The service deployment does not exist.")
        };
        let (key, record) = histories::child_of(call, &arn, KIND).ok_or_else(missing)?;
        let key = (key, record.as_str().into());
        let row = tx.get::<DeploymentRecord>(&key).ok_or_else(missing)?;
        if row.status.is_over() {
            return Err(invalid(
                "Continuing a service deployment is not allowed for service deployment in terminal \
                 states.",
            ));
        }
        let open = |row: &DeploymentRecord| {
            let mut hooks = row.progress.iter().flat_map(|progress| &progress.hooks);
            hooks.any(|hook| *hook.id == *id && hook.status == HookStatus::AwaitingAction)
        };
        if !open(row) {
            return Err(invalid(
                "Provided hookId is either completed, unavailable, or not associated with the given \
                 Resource ARN",
            ));
        }
        let now = tx.now();
        tx.edit::<DeploymentRecord>(&key, |row| {
            row.updated_at = now;
            let hooks = row.progress.iter_mut().flat_map(|progress| &mut progress.hooks);
            for hook in hooks.filter(|hook| *hook.id == *id) {
                hook.status = if goes_on { HookStatus::Succeeded } else { HookStatus::Failed };
                let told = || format!("Pause hook {id} was rolled back by the user.");
                hook.reason = (!goes_on).then(told);
            }
        });
        Ok(api::ContinueServiceDeploymentResponse { service_deployment_arn: Some(arn) })
    }
}
