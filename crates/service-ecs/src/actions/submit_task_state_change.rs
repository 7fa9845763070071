//! SubmitTaskStateChange: an agent tells how a task and its containers stand.

use aws_protocol::{ApiError, Timestamp};
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use core_task::{TaskReport, TaskStatus};
use core_types::Time;
use model_ecs::{self as api, errors};

use super::submit_attachment_state_changes::take_attachments;
use crate::reports;
use crate::rows::task::ExecStatus;
use crate::rules::changes;

pub struct SubmitTaskStateChange;

impl WriteAction for SubmitTaskStateChange {
    type Op = api::ops::SubmitTaskStateChange;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let (cluster, task) = (input.cluster.as_deref(), input.task.as_deref());
        changes::demands(view, call, "ecs:SubmitTaskStateChange", cluster, task).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let (cluster, task) = (input.cluster.as_deref(), input.task.as_deref());
        let id = changes::find_task(tx, call, cluster, task)?.id;
        let given = input.containers.unwrap_or_default();
        let time = |at: Option<Timestamp>| at.map(|at| Time(at.as_millis()));
        let report = TaskReport {
            status: status(input.status.as_deref())?,
            reason: input.reason.as_deref().map(changes::cut),
            containers: changes::containers(&given)?,
            pull_started_at: time(input.pull_started_at),
            pull_stopped_at: time(input.pull_stopped_at),
            execution_stopped_at: time(input.execution_stopped_at),
        };
        take_attachments(tx, Some(id), &input.attachments.unwrap_or_default())?;
        for agent in input.managed_agents.unwrap_or_default() {
            let status = match agent.status.as_deref() {
                Some("RUNNING") => ExecStatus::Running,
                Some("STOPPED") => ExecStatus::Stopped,
                _ => ExecStatus::Pending,
            };
            let container = agent.container_name.unwrap_or_default();
            let reason = agent.reason.map(|reason| changes::cut(&reason).to_owned());
            reports::exec_agent(tx, id, &container, status, reason);
        }
        reports::apply(tx, id, &report);
        Ok(api::SubmitTaskStateChangeResponse { acknowledgment: Some("ACCEPT".to_owned()) })
    }
}

/// The agent's word for a task's status. AWS: finer steps on the way there count as PENDING.
fn status(given: Option<&str>) -> Result<Option<TaskStatus>, ApiError> {
    match given.unwrap_or_default() {
        "" | "NONE" => Ok(None),
        "MANIFEST_PULLED" | "PULLED" | "CREATED" => Ok(Some(TaskStatus::Pending)),
        other => match TaskStatus::parse(other) {
            Some(status) => Ok(Some(status)),
            None => {
                Err(errors::invalid_parameter_exception(format!("Invalid task status: {other}")))
            }
        },
    }
}
