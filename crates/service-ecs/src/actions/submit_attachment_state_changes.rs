//! SubmitAttachmentStateChanges: an agent tells where network interfaces and volumes stand.

use aws_protocol::ApiError;
use core_state::{State, Tx};
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use core_types::Id128;
use model_ecs::{self as api, errors};

use crate::reports;
use crate::rows::container_instance::ContainerInstance;
use crate::rows::task::{AttachmentStatus, Task, TaskOfAttachment};
use crate::rules::{changes, clusters, instances};

pub struct SubmitAttachmentStateChanges;

/// More attachments than an agent has to tell of.
const MOST: usize = 100;

impl WriteAction for SubmitAttachmentStateChanges {
    type Op = api::ops::SubmitAttachmentStateChanges;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let action = "ecs:SubmitAttachmentStateChanges";
        let mut demands = vec![clusters::demand(view, call, action, input.cluster.as_deref())];
        for change in input.attachments.iter().flatten().take(MOST) {
            let id = changes::attachment_of(change.attachment_arn.as_deref());
            let task = id.and_then(|id| task_of(view, call, id));
            let host = task.and_then(|task| view.get::<ContainerInstance>(&task.host?));
            demands.extend(host.and_then(|host| instances::on_behalf(call, host)));
        }
        demands.into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        clusters::find_cluster(tx, call, input.cluster.as_deref())?;
        let given = input.attachments.unwrap_or_default();
        for change in &given {
            let id = changes::attachment_of(change.attachment_arn.as_deref());
            let task = id.and_then(|id| Some(task_of(tx, call, id)?.id));
            take_attachments(tx, task, std::slice::from_ref(change))?;
        }
        Ok(api::SubmitAttachmentStateChangesResponse { acknowledgment: Some("ACCEPT".to_owned()) })
    }
}

fn task_of<'s>(state: &'s State, call: &Call, attachment: Id128) -> Option<&'s Task> {
    let row = state.by::<TaskOfAttachment>(&attachment).next()?;
    (row.cluster.0 == call.scope()).then_some(row)
}

/// Take the changes of a task's attachments. One that is not known (any more) is nobody's loss.
pub fn take_attachments(
    tx: &mut Tx<'_>,
    task: Option<Id128>,
    given: &[api::AttachmentStateChange],
) -> Result<(), ApiError> {
    if given.len() > MOST {
        return Err(errors::invalid_parameter_exception("Too many attachments."));
    }
    for change in given {
        let text = change.status.as_deref().unwrap_or_default();
        let Some(status) = AttachmentStatus::parse(text) else {
            return Err(errors::invalid_parameter_exception(format!(
                "Invalid attachment status: {text}"
            )));
        };
        let id = changes::attachment_of(change.attachment_arn.as_deref());
        if let (Some(task), Some(id)) = (task, id) {
            reports::attachment(tx, task, id, status);
        }
    }
    Ok(())
}
