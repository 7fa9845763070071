//! ListTasks: of a cluster, by what is wanted of them and by whose they are.

use aws_protocol::ApiError;
use core_state::State;
use core_step::page::page;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use core_types::{Arn, Id128};
use model_ecs::{self as api, errors};

use crate::rows::cluster::ClusterKey;
use crate::rows::daemon::{Daemon, DaemonStatus};
use crate::rows::service::Service;
use crate::rows::task::{Launch, Task, TasksIn, TasksOfDaemon, TasksOfService, TasksOn};
use crate::rules::{clusters, daemons, instances, lists, tasks};

pub struct ListTasks;

const LIST: &str = "ListTasks";

impl ReadAction for ListTasks {
    type Op = api::ops::ListTasks;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        // AWS: the resource of this permission is a container instance, named or any.
        let key = clusters::key_of(call, input.cluster.as_deref());
        let named = input.container_instance.as_deref().unwrap_or("*");
        Demand::on("ecs:ListTasks", instances::told_arn(call, &key, named))
            .with("ecs:cluster", clusters::demanded_arn(call, input.cluster.as_deref()))
            .into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(view, call, input.cluster.as_deref())?.key.clone();
        let size = lists::size(input.max_results)?;
        let after = lists::after(LIST, input.next_token.as_deref())?;
        let after: Id128 = after.parse().unwrap_or_default();
        let desired = input.desired_status.as_ref().map_or("RUNNING", |status| status.as_str());
        if !api::DesiredStatus::VALUES.contains(&desired) {
            return Err(lists::bad_value("desiredStatus", desired));
        }
        let launch = input.launch_type.as_ref().map(|launch| launch.as_str());
        if let Some(other) = launch.filter(|launch| !api::LaunchType::VALUES.contains(launch)) {
            return Err(lists::bad_value("launchType", other));
        }
        let rows = rows(call, view.state(), &cluster, &input, desired == "RUNNING", after)?;
        // AWS: PENDING is a value, but no task ever wants to be so.
        let rows = rows.filter(|_| desired != "PENDING");
        let rows = rows.filter(|row| row.cluster == cluster);
        let rows = rows.filter(|row| row.desired_status.as_str() == desired);
        let rows = rows.filter(|row| {
            launch.is_none_or(|launch| tasks::launch_type(view, row).as_str() == launch)
        });
        let by = input.started_by.as_deref();
        let rows = rows.filter(|row| by.is_none() || row.started_by.as_deref() == by);
        let family = input.family.as_deref();
        let rows = rows.filter(|row| family.is_none_or(|family| *row.family == *family));
        let service = input.service_name.as_deref().map(service_name);
        let rows = rows.filter(|row| service.is_none() || row.service.as_deref() == service);
        let daemon = input.daemon_name.as_deref();
        let rows =
            rows.filter(|row| daemon.is_none() || row.daemon().map(|of| &*of.name) == daemon);
        let page = page(LIST, size, rows, |row: &&Task| row.id.to_string());
        Ok(api::ListTasksResponse {
            task_arns: Some(page.items.iter().map(|row| row.arn()).collect()),
            next_token: page.next,
        })
    }
}

/// The shortest index that holds everything asked for.
fn rows<'s>(
    call: &Call,
    state: &'s State,
    cluster: &ClusterKey,
    input: &Input<api::ops::ListTasks>,
    running: bool,
    after: Id128,
) -> Result<Box<dyn Iterator<Item = &'s Task> + 's>, ApiError> {
    if let Some(given) = &input.container_instance {
        let host = instances::find(state, call, cluster, given)?.id;
        // AWS: where a Fargate task runs is nobody's to know.
        let rows = state.by_after::<TasksOn>(&host, &after);
        return Ok(Box::new(rows.filter(|row| row.launch != Launch::Fargate)));
    }
    if let Some(given) = &input.daemon_name {
        let key = (cluster.clone(), given.as_str().into());
        let there = state.get::<Daemon>(&key);
        if there.is_none_or(|row| row.status == DaemonStatus::Deleted) {
            return Err(daemons::missing());
        }
        return Ok(Box::new(state.by_after::<TasksOfDaemon>(&key, &after)));
    }
    if let Some(given) = &input.service_name {
        let key = (cluster.clone(), service_name(given).into());
        if state.get::<Service>(&key).is_none() {
            return Err(errors::service_not_found_exception("Service not found."));
        }
        return Ok(Box::new(state.by_after::<TasksOfService>(&key, &after)));
    }
    Ok(Box::new(state.by_after::<TasksIn>(&(cluster.clone(), running), &after)))
}

/// The name inside a service's ARN, long or short.
fn service_name(given: &str) -> &str {
    let rest = Arn::parse(given).ok().and_then(|arn| arn.resource_of("service"));
    rest.map_or(given, |rest| rest.rsplit('/').next().unwrap_or(rest))
}
