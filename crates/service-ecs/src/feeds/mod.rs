//! What hosts are told, read from rows: which tasks they have, what is wanted of them, and each
//! task in full. Nothing here is remembered; whoever serves the agents asks again after a change.

use aws_agent::acs::TaskIdentifier;
use aws_agent::task::ElasticNetworkInterface;
use aws_protocol::ApiError;
use core_state::{Change, State};
use core_step::{Call, Demand, Demands};
use core_task::Desired;
use core_types::{AccountId, Arn, Id128, Region, Scope};
use model_ecs::errors;

use crate::rows::cluster;
use crate::rows::container_instance::{ContainerInstance, InstanceStatus};
use crate::rows::task::{Task, TasksOn, arn_of};
use crate::rules::{clusters, instances, interfaces};

mod docker;
pub mod events;
pub mod exec;
mod hook_events;
pub mod hooks;
mod payload;

pub use crate::rules::roles::may_lend;
pub use payload::{RoleAsked, RoleKind, payload, roles};

pub type InstanceKey = Id128;

/// A task that a host has, and what is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub task: Id128,
    pub arn: String,
    pub cluster_arn: String,
    pub desired: Desired,
    /// What the host has acknowledged so far.
    pub acknowledged: Option<Desired>,
}

impl Assignment {
    pub fn is_acknowledged(&self) -> bool {
        self.acknowledged == Some(self.desired)
    }

    /// As a manifest names it.
    pub fn identifier(&self) -> TaskIdentifier {
        TaskIdentifier {
            task_arn: self.arn.clone(),
            task_cluster_arn: self.cluster_arn.clone(),
            desired_status: self.desired.as_str().to_owned(),
        }
    }
}

/// The instance that an agent says it is. `cluster` is a name or an ARN, as the agent has it.
///
/// AWS: a deregistered instance is told so, and its agent then stays away for an hour.
pub fn find_instance(
    state: &State,
    account: AccountId,
    region: Region,
    cluster: &str,
    arn: &str,
) -> Result<InstanceKey, ApiError> {
    let missing = || errors::invalid_parameter_exception("The container instance was not found.");
    let scope = Scope::new(account, region);
    let parsed = Arn::parse(arn).ok().filter(|arn| arn.service == "ecs").ok_or_else(missing)?;
    let here = parsed.account.parse() == Ok(account) && parsed.region.parse() == Ok(region);
    let rest = parsed.resource_of("container-instance").filter(|_| here).ok_or_else(missing)?;
    let id = rest.rsplit('/').next().unwrap_or(rest).parse().map_err(|()| missing())?;
    let row = state.get::<ContainerInstance>(&id).ok_or_else(missing)?;
    let named = clusters::name_of(Some(cluster));
    if row.cluster.0 != scope || *row.cluster.1 != *named {
        return Err(missing());
    }
    Ok(id)
}

/// Whether an instance was deregistered: its agent is told so instead of being served.
pub fn is_inactive(state: &State, instance: InstanceKey) -> bool {
    let row = state.get::<ContainerInstance>(&instance);
    row.is_none_or(|row| row.status == InstanceStatus::Inactive)
}

/// What a caller needs to hold an instance's connection: the permission to poll, and to be whoever
/// registered it.
pub fn demands(state: &State, call: &Call, instance: InstanceKey, action: &'static str) -> Demands {
    let Some(row) = state.get::<ContainerInstance>(&instance) else {
        return Demand::anywhere(action).into();
    };
    let cluster_arn = cluster::arn_of(row.cluster.0, &row.cluster.1);
    let mut demands = vec![Demand::on(action, row.arn()).with("ecs:cluster", cluster_arn)];
    demands.extend(instances::on_behalf(call, row));
    demands.into()
}

/// Every task that the host is to be told of: those that run there or shall, those that it has not
/// stopped yet, and those that were given up with it and that it may still run.
pub fn assignments(state: &State, instance: InstanceKey) -> Vec<Assignment> {
    let tasks = state.by::<TasksOn>(&instance).filter(|task| !task.is_settled());
    let assignment = |task: &Task| Assignment {
        task: task.id,
        arn: task.arn(),
        cluster_arn: cluster::arn_of(task.cluster.0, &task.cluster.1),
        desired: task.desired_status,
        acknowledged: task.observed_acknowledged,
    };
    tasks.map(assignment).collect()
}

/// Which of the tasks that an agent runs, and its manifest does not have, it shall really stop:
/// those that are not known, are on another host, or are to be stopped.
pub fn stops(
    state: &State,
    instance: InstanceKey,
    candidates: &[TaskIdentifier],
) -> Vec<TaskIdentifier> {
    let runs = |one: &&TaskIdentifier| {
        let task = task_of(state, &one.task_arn).and_then(|id| state.get::<Task>(&id));
        task.is_some_and(|task| {
            task.host == Some(instance)
                && !task.is_stopped()
                && task.desired_status == Desired::Running
        })
    };
    candidates.iter().filter(|one| !runs(one)).cloned().collect()
}

/// The network interfaces that a task's host has not said yet to be there.
///
/// AWS: an agent is told of each before the task, and reports it when it sees it.
pub fn attaching(state: &State, task: &Task) -> Vec<ElasticNetworkInterface> {
    interfaces::attaching(state, task)
}

/// The task that an ARN names.
pub fn task_of(state: &State, arn: &str) -> Option<Id128> {
    let parsed = Arn::parse(arn).ok().filter(|arn| arn.service == "ecs")?;
    let id: Id128 = parsed.resource_of("task")?.rsplit('/').next()?.parse().ok()?;
    let row = state.get::<Task>(&id)?;
    (arn_of(&row.cluster, id) == arn).then_some(id)
}

/// Tells whose assignments a change may have changed.
pub fn touched(change: &Change, add: &mut dyn FnMut(InstanceKey)) {
    if let Some((before, after)) = change.of::<Task>() {
        let hosts = [before, after].map(|row| row.and_then(|row| row.host));
        if let Some(host) = hosts[0] {
            add(host);
        }
        if let Some(host) = hosts[1].filter(|_| hosts[0] != hosts[1]) {
            add(host);
        }
    }
    if let Some(row) = change.row::<ContainerInstance>() {
        add(row.id);
    }
}

/// The next number of a connection, a payload or a manifest: a leader's numbers are above all that
/// an earlier leader gave.
pub fn sequence(term: u32, counter: u32) -> i64 {
    i64::from(term) << 32 | i64::from(counter)
}

/// Where an instance is, for payloads: its ARN and its cluster's.
pub fn place_of(state: &State, instance: InstanceKey) -> Option<(String, String)> {
    let row = state.get::<ContainerInstance>(&instance)?;
    Some((row.arn(), cluster::arn_of(row.cluster.0, &row.cluster.1)))
}
