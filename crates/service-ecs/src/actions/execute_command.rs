//! ExecuteCommand: a session is made here; the bytes of it pass by elsewhere.

use aws_agent::paths;
use aws_protocol::ApiError;
use core_state::{State, Tx};
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use core_task::{ContainerStatus, Desired};
use core_types::Id128;
use model_ecs::{self as api, errors};

use crate::rows::cluster;
use crate::rows::container_instance::ContainerInstance;
use crate::rows::exec_session::ExecSession;
use crate::rows::task::{Container, ExecStatus, Task};
use crate::rules::{clusters, tasks, timing};
use crate::views;

pub struct ExecuteCommand;

const LONGEST_COMMAND: usize = 4096;

const NOT_ENABLED: &str = "The execute command failed because execute command was not enabled when \
                           the task was run or the execute command agent isn't running. Wait and \
                           try again or run a new task with execute command enabled and try again.";

fn invalid(text: &str) -> ApiError {
    errors::invalid_parameter_exception(text)
}

impl WriteAction for ExecuteCommand {
    type Op = api::ops::ExecuteCommand;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let action = "ecs:ExecuteCommand";
        let cluster = input.cluster.as_deref();
        let task = input.task.as_deref().unwrap_or_default();
        let key = clusters::key_of(call, cluster);
        let row = tasks::look_up(view, call, &key, task).ok().flatten();
        let container = row.and_then(|row| chosen(row, input.container.as_deref()).ok());
        let container = container.map(|container| container.name.to_string());
        let container = container.or_else(|| input.container.clone()).unwrap_or_default();
        let arn = tasks::told_arn(call, &key, task);
        // AWS: both the task and its cluster are resources of this permission.
        let demands = [
            tasks::demand(view, call, action, cluster, task),
            clusters::demand(view, call, action, cluster)
                .with("ecs:cluster", clusters::demanded_arn(call, cluster)),
        ];
        let with = |demand: core_step::Demand| {
            demand.with("ecs:container-name", container.clone()).with("ecs:task", arn.clone())
        };
        demands.into_iter().map(with).collect::<Vec<_>>().into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(tx, call, input.cluster.as_deref())?.key.clone();
        let command = input.command.unwrap_or_default();
        if command.is_empty() {
            return Err(invalid("Command cannot be empty."));
        }
        if command.len() > LONGEST_COMMAND {
            return Err(invalid("Command cannot be longer than 4096 characters."));
        }
        // AWS: there are no sessions but interactive ones.
        if input.interactive != Some(true) {
            return Err(invalid("Interactive is the only mode supported currently."));
        }
        let task = tasks::find(tx, call, &cluster, input.task.as_deref())?;
        let container = chosen(task, input.container.as_deref())?;
        let host = check(tx, task, container)?;
        let (task, id, container) = (task.clone(), container.id, container.name.clone());
        let session = ExecSession {
            id: format!("ecs-execute-command-{}", tx.dice.base36(17)).into(),
            scope: call.scope(),
            task: task.id,
            host,
            container: container.clone(),
            command,
            interactive: true,
            token: tx.dice.base62(96).into(),
            created_at: tx.now(),
            opened_at: None,
            forget_at: Some(tx.now() + timing::EXEC_SESSIONS_WAIT),
        };
        let shown = api::Session {
            session_id: Some(session.id.to_string()),
            stream_url: Some(paths::stream_url(&call.origin.endpoint, &session.id)),
            token_value: Some(session.token.to_string()),
        };
        tx.put(session);
        Ok(api::ExecuteCommandResponse {
            cluster_arn: Some(cluster::arn_of(cluster.0, &cluster.1)),
            container_arn: Some(views::container_arn(&cluster, task.id, id)),
            container_name: Some(container.to_string()),
            interactive: Some(true),
            session: Some(shown),
            task_arn: Some(task.arn()),
        })
    }
}

/// The container that is named, or the only one.
fn chosen<'t>(task: &'t Task, given: Option<&str>) -> Result<&'t Container, ApiError> {
    match (given.filter(|name| !name.is_empty()), &*task.containers) {
        (None, [only]) => Ok(only),
        (None, _) => Err(invalid(
            "A container name must be specified for a task with more than one container.",
        )),
        (Some(name), all) => {
            let found = all.iter().find(|container| *container.name == *name);
            found.ok_or_else(|| invalid("The container name is not in the task."))
        }
    }
}

/// Whether a shell can be had in the container now; its host.
fn check(state: &State, task: &Task, container: &Container) -> Result<Id128, ApiError> {
    let mut agents = task.extras.iter().flat_map(|extras| &extras.exec_agents);
    let agent = agents.find(|agent| agent.container == container.name);
    let stopped = agent.is_none_or(|agent| agent.observed_status == ExecStatus::Stopped);
    let runs = container.observed_status == ContainerStatus::Running;
    if !task.exec_enabled || stopped || !runs || task.desired_status == Desired::Stopped {
        return Err(invalid(NOT_ENABLED));
    }
    let host = task.host.and_then(|host| state.get::<ContainerInstance>(&host));
    let host = host.filter(|host| host.observed_connected).map(|host| host.id);
    host.ok_or_else(|| {
        errors::target_not_connected_exception(
            "The execute command failed due to an internal error. Try again later.",
        )
    })
}
