//! How calls find container instances, and what the query language asks of them.

use aws_protocol::ApiError;
use core_state::State;
use core_step::{Call, Demand};
use core_types::{Arn, Id128, Time};
use model_ecs::{self as api, errors};

use super::query::{self, Facts, Query};
use super::{clusters, tags};
use crate::rows::cluster::ClusterKey;
use crate::rows::container_instance::{ContainerInstance, InstanceStatus, arn_of};
use crate::rows::task::{Count, HostLoad, Task, TasksOn};

/// The id inside an instance's ARN, long or short, or the id itself.
pub fn id_of(call: &Call, cluster: &ClusterKey, given: &str) -> Option<Id128> {
    let Ok(arn) = Arn::parse(given) else { return given.parse().ok() };
    let scope = call.scope();
    let here = arn.account.parse() == Ok(scope.account) && arn.region.parse() == Ok(scope.region);
    let rest = arn.resource_of("container-instance").filter(|_| here && arn.service == "ecs")?;
    match rest.split_once('/') {
        None => rest.parse().ok(),
        Some((name, id)) => id.parse().ok().filter(|_| *name == *cluster.1),
    }
}

/// An instance of a cluster, whatever its status.
pub fn look_up<'s>(
    state: &'s State,
    call: &Call,
    cluster: &ClusterKey,
    given: &str,
) -> Option<&'s ContainerInstance> {
    let row = state.get::<ContainerInstance>(&id_of(call, cluster, given)?)?;
    (row.cluster == *cluster).then_some(row)
}

/// One that is registered, or AWS's error.
pub fn find<'s>(
    state: &'s State,
    call: &Call,
    cluster: &ClusterKey,
    given: &str,
) -> Result<&'s ContainerInstance, ApiError> {
    let row = look_up(state, call, cluster, given);
    row.filter(|row| row.status != InstanceStatus::Inactive).ok_or_else(|| {
        errors::invalid_parameter_exception(format!(
            "Referenced container instance {given} not found."
        ))
    })
}

/// The ARN that a permission or a failure is told with, whether it exists or not.
pub fn told_arn(call: &Call, cluster: &ClusterKey, given: &str) -> String {
    match id_of(call, cluster, given) {
        _ if given.starts_with("arn:") => given.to_owned(),
        Some(id) => arn_of(cluster, id),
        None => cluster.0.arn("ecs", format_args!("container-instance/{}/{given}", cluster.1)),
    }
}

pub fn missing(call: &Call, cluster: &ClusterKey, given: &str) -> api::Failure {
    api::Failure {
        arn: Some(told_arn(call, cluster, given)),
        reason: Some("MISSING".to_owned()),
        ..Default::default()
    }
}

/// The permission for an action on an instance.
pub fn demand(
    state: &State,
    call: &Call,
    action: &'static str,
    cluster: Option<&str>,
    given: &str,
) -> Demand {
    let key = clusters::key_of(call, cluster);
    let row = look_up(state, call, &key, given);
    let there = row.map(|row| row.tags.as_slice()).unwrap_or_default();
    Demand::on(action, told_arn(call, &key, given))
        .with("ecs:cluster", clusters::demanded_arn(call, cluster))
        .resource_tags(tags::pairs(there))
}

pub fn parse_filter(given: Option<&str>) -> Result<Option<Query>, ApiError> {
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    let bad = |_| errors::invalid_parameter_exception("The filter expression is invalid.");
    query::parse(text).map(Some).map_err(bad)
}

/// An instance with the tasks on it.
pub struct Asked<'s> {
    pub state: &'s State,
    pub row: &'s ContainerInstance,
}

impl Facts for Asked<'_> {
    fn agent_connected(&self) -> bool {
        self.row.observed_connected
    }

    fn agent_version(&self) -> Option<&str> {
        self.row.version_info.as_ref()?.agent_version.as_deref()
    }

    fn attribute(&self, name: &str) -> Option<Option<&str>> {
        let mut all = self.row.attributes();
        let found = all.find(|attribute| attribute.name.as_deref() == Some(name))?;
        Some(found.value.as_deref())
    }

    fn ec2_instance_id(&self) -> Option<&str> {
        self.row.ec2_instance_id.as_deref()
    }

    fn registered_at(&self) -> Time {
        self.row.registered_at
    }

    fn running_tasks(&self) -> i64 {
        self.state.sum::<HostLoad>(&self.row.id).tasks.of(Count::Running)
    }

    fn any_task_group(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        let tasks = self.state.by::<TasksOn>(&self.row.id).filter(|task| !task.is_stopped());
        tasks.map(Task::group).any(|group| test(&group))
    }
}

/// The further permission that a caller needs who speaks for an instance that another registered.
/// None but administrators have it: no policy names it, so only one that grants all actions does.
pub fn on_behalf(call: &Call, row: &ContainerInstance) -> Option<Demand> {
    let owner = row.registered_by.as_deref()?;
    (owner != &*call.caller.arn).then(|| Demand::on("wharf:SpeakForContainerInstance", row.arn()))
}
