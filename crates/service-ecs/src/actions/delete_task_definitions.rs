//! DeleteTaskDefinitions: INACTIVE revisions, up to ten a call, each with its own outcome.

use std::time::Duration;

use aws_protocol::{ApiError, Timestamp};
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::task_definition::{Family, Status, TaskDefinition};
use crate::rules::task_definition::Reference;
use crate::rules::{tags, task_definitions};
use crate::views;

pub struct DeleteTaskDefinitions;

/// AWS: ten a call.
const MOST: usize = 10;
/// AWS: a deleted revision is shown as DELETE_IN_PROGRESS until nothing refers to it, and is gone
/// some time after.
const DESCRIBED_FOR: Duration = Duration::from_secs(60);

impl WriteAction for DeleteTaskDefinitions {
    type Op = api::ops::DeleteTaskDefinitions;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let given = input.task_definitions.as_deref().unwrap_or_default();
        let demand = |name: &String| {
            let reference = Reference::of_call(name, call);
            let row = reference.and_then(|r| task_definitions::look_up(view, call, &r));
            let there = row.map(|row| row.tags.as_slice()).unwrap_or_default();
            let arn = task_definitions::demanded_arn(call, name);
            Demand::on("ecs:DeleteTaskDefinitions", arn).resource_tags(tags::pairs(there))
        };
        match given {
            [] => Demand::anywhere("ecs:DeleteTaskDefinitions").into(),
            names => names.iter().take(MOST).map(demand).collect::<Vec<_>>().into(),
        }
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let given = input.task_definitions.unwrap_or_default();
        if given.is_empty() {
            return Err(errors::invalid_parameter_exception(
                "size of TaskDefinition references list must be greater than 0",
            ));
        }
        if given.len() > MOST {
            return Err(errors::invalid_parameter_exception(
                "Size of TaskDefinition references list cannot exceed 10",
            ));
        }
        let (mut deleted, mut failures) = (Vec::new(), Vec::new());
        for name in &given {
            match delete(call, tx, name) {
                Ok(definition) => deleted.push(definition),
                Err(reason) => failures.push(api::Failure {
                    arn: Some(task_definitions::demanded_arn(call, name)),
                    reason: Some(reason.to_owned()),
                    ..Default::default()
                }),
            }
        }
        Ok(api::DeleteTaskDefinitionsResponse {
            task_definitions: Some(deleted),
            failures: Some(failures),
        })
    }
}

fn delete(call: &Call, tx: &mut Tx<'_>, name: &str) -> Result<api::TaskDefinition, &'static str> {
    let reference = Reference::of_call(name, call).filter(|r| r.revision.is_some());
    let reference = reference.ok_or(
        "The specified task definition identifier is invalid. Specify a valid name or ARN and \
         try again.",
    )?;
    let row = task_definitions::look_up(tx, call, &reference).ok_or(
        "The specified task definition does not exist. Specify a valid account, family, \
         revision and try again.",
    )?;
    let key = row.key.clone();
    match row.status {
        Status::Active => {
            return Err(
                "The specified task definition is still in ACTIVE status. Please deregister the \
                 target and try again.",
            );
        }
        Status::DeleteInProgress => return Ok(views::task_definition(row)),
        Status::Inactive => {}
    }
    let now = tx.now();
    tx.edit::<TaskDefinition>(&key, |row| {
        row.status = Status::DeleteInProgress;
        row.definition.delete_requested_at = Some(Timestamp::from_millis(now.millis()));
        row.forget_at = Some(now + DESCRIBED_FOR);
    });
    tx.edit::<Family>(&(key.0, key.1.clone()), |family| family.inactive -= 1);
    Ok(views::task_definition(tx.get(&key).expect("it was just found")))
}
