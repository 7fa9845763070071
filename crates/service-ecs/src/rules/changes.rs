//! What agents submit, as reports that the rows take.

use aws_protocol::ApiError;
use core_state::State;
use core_step::{Call, Demand};
use core_task::{Binding, ContainerReport, ContainerStatus, Ports};
use core_types::{Arn, Id128};
use model_ecs::{self as api, errors};

use super::{clusters, instances, tasks};
use crate::rows::cluster::ClusterKey;
use crate::rows::container_instance::ContainerInstance;
use crate::rows::task::Task;

/// More containers, bindings or attachments than any task has.
const MOST: usize = 100;
/// AWS keeps reasons short; longer ones are cut.
const LONGEST_REASON: usize = 1024;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// The permissions to tell of a task: for the cluster, and to speak for its host.
pub fn demands(
    state: &State,
    call: &Call,
    action: &'static str,
    cluster: Option<&str>,
    task: Option<&str>,
) -> Vec<Demand> {
    let key = told_cluster(call, cluster, task);
    let mut demands = vec![clusters::demand(state, call, action, cluster)];
    let task = task.and_then(|task| tasks::look_up(state, call, &key, task).ok().flatten());
    let host = task.and_then(|task| state.get::<ContainerInstance>(&task.host?));
    demands.extend(host.and_then(|host| instances::on_behalf(call, host)));
    demands
}

/// The cluster of a task: the one in its ARN, since a host of Fargate's pool runs tasks of other
/// clusters than its own.
pub fn told_cluster(call: &Call, cluster: Option<&str>, task: Option<&str>) -> ClusterKey {
    let arn = task.and_then(|task| Arn::parse(task).ok());
    match arn.and_then(|arn| arn.resource_of("task")?.split_once('/')) {
        Some((name, _)) => (call.scope(), name.into()),
        None => clusters::key_of(call, cluster),
    }
}

/// The task that a report is about. AWS: an agent drops what is refused so, instead of repeating
/// it for a day.
pub fn find_task<'s>(
    state: &'s State,
    call: &Call,
    cluster: Option<&str>,
    task: Option<&str>,
) -> Result<&'s Task, ApiError> {
    let key = told_cluster(call, cluster, task);
    tasks::find(state, call, &key, task)
}

/// Containers as reported; a status that is none is refused.
pub fn containers(
    given: &[api::ContainerStateChange],
) -> Result<Vec<ContainerReport<'_>>, ApiError> {
    if given.len() > MOST {
        return Err(invalid("Too many containers."));
    }
    given
        .iter()
        .map(|one| {
            container(
                one.container_name.as_deref(),
                one.status.as_deref(),
                one.network_bindings.as_deref(),
                ContainerReport {
                    exit_code: one.exit_code,
                    reason: one.reason.as_deref().map(cut),
                    runtime_id: one.runtime_id.as_deref(),
                    image_digest: one.image_digest.as_deref(),
                    ..Default::default()
                },
            )
        })
        .collect()
}

pub fn container<'a>(
    name: Option<&'a str>,
    status: Option<&str>,
    bindings: Option<&[api::NetworkBinding]>,
    rest: ContainerReport<'a>,
) -> Result<ContainerReport<'a>, ApiError> {
    let status = status.unwrap_or_default();
    let status = ContainerStatus::from_agent(status)
        .ok_or_else(|| invalid(format!("Invalid container status: {status}")))?;
    let given = bindings.unwrap_or_default();
    if given.len() > MOST {
        return Err(invalid("Too many network bindings."));
    }
    let bindings = given.iter().map(binding).collect::<Result<_, _>>()?;
    Ok(ContainerReport { name: name.unwrap_or_default(), status, bindings, ..rest })
}

fn binding(given: &api::NetworkBinding) -> Result<Binding, ApiError> {
    let port = |port: Option<i32>| {
        let port = port.and_then(|port| u16::try_from(port).ok());
        port.ok_or_else(|| invalid("A network binding has a port that is none."))
    };
    let ports = match (&given.container_port_range, &given.host_port_range) {
        (Some(container), Some(host)) if container.len() <= 11 && host.len() <= 11 => {
            Ports::Range { container: container.clone(), host: host.clone() }
        }
        _ => Ports::One { container: port(given.container_port)?, host: port(given.host_port)? },
    };
    let address = given.bind_ip.clone().unwrap_or_default();
    if address.len() > 45 {
        return Err(invalid("A network binding has an address that is none."));
    }
    let udp = given.protocol.as_ref().is_some_and(|protocol| protocol.as_str() == "udp");
    Ok(Binding { address, udp, ports })
}

pub fn cut(reason: &str) -> &str {
    match reason.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => &reason[..end],
        None => reason,
    }
}

/// The attachment inside an ARN (`…:attachment/<id>`), in its plain or dashed form.
pub fn attachment_of(arn: Option<&str>) -> Option<Id128> {
    let arn = Arn::parse(arn?).ok()?;
    arn.resource_of("attachment")?.rsplit('/').next()?.parse().ok()
}
