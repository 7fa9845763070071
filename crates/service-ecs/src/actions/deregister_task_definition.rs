//! DeregisterTaskDefinition: INACTIVE from now on, but still described, and still usable by what
//! already names it.

use aws_protocol::{ApiError, Timestamp};
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use crate::rows::task_definition::{Family, Status, TaskDefinition};
use crate::rules::task_definition::refuse;
use crate::rules::task_definitions;
use crate::views;

pub struct DeregisterTaskDefinition;

impl WriteAction for DeregisterTaskDefinition {
    type Op = api::ops::DeregisterTaskDefinition;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ecs:DeregisterTaskDefinition").into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let given = input.task_definition.as_deref().unwrap_or_default();
        let (reference, _) = task_definitions::revision_of(call, given)?;
        let missing = || refuse("Unable to describe task definition.");
        let row = task_definitions::look_up(tx, call, &reference).ok_or_else(missing)?;
        let key = row.key.clone();
        match row.status {
            Status::Active => {}
            // AWS: doing it again is no error and changes nothing.
            Status::Inactive => {
                return Ok(api::DeregisterTaskDefinitionResponse {
                    task_definition: Some(views::task_definition(row)),
                });
            }
            Status::DeleteInProgress => {
                return Err(refuse(
                    "The specified task definition is in DELETE_IN_PROGRESS status. Specify an \
                     ACTIVE task definition and try again.",
                ));
            }
        }
        let now = Timestamp::from_millis(tx.now().millis());
        tx.edit::<TaskDefinition>(&key, |row| {
            row.status = Status::Inactive;
            row.definition.deregistered_at = Some(now);
        });
        tx.edit::<Family>(&(key.0, key.1.clone()), |family| {
            family.active -= 1;
            family.inactive += 1;
        });
        let row = tx.get::<TaskDefinition>(&key).expect("it was just found");
        Ok(api::DeregisterTaskDefinitionResponse {
            task_definition: Some(views::task_definition(row)),
        })
    }
}
