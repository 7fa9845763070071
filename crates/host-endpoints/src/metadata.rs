//! Metadata and stats of a task and its containers, versions 2 to 4.
//!
//! Version 2 finds the task by the address that asks; 3 and 4 by an id in the path. Version 4 shows
//! everything; what it added is taken out of the answers of the others.

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::reply::{Reply, bytes, json, not_found, says};
use crate::{ContainerMetadata, Found, Host, TaskMetadata, stats};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V2 = 2,
    V3 = 3,
    V4 = 4,
}

/// Members that only version 4 has.
const NEWER_OF_TASK: &[&str] = &[
    "AvailabilityZoneID",
    "EphemeralStorageMetrics",
    "FaultInjectionEnabled",
    "LaunchType",
    "ServiceName",
    "VPCID",
];
const NEWER_OF_CONTAINER: &[&str] = &["LogDriver", "LogOptions", "ContainerARN", "RestartCount"];

pub(crate) async fn answer(host: &dyn Host, from: IpAddr, path: &[&str]) -> Reply {
    match path {
        ["v2", "metadata"] => v2(host, from, |task| of_task(task, Version::V2)),
        ["v2", "metadataWithTags"] => match host.task_at(from) {
            Some(task) => with_tags(host, &task, Version::V2).await,
            None => nobody(from),
        },
        ["v2", "metadata", id] => v2(host, from, |task| match by_runtime_id(task, id) {
            Some(container) => Ok(shown(container, Version::V2)),
            None => Err(format!("Unable to generate metadata for container '{id}'")),
        }),
        ["v2", "stats"] => match host.task_at(from) {
            Some(task) => json(StatusCode::OK, &stats_of_all(host, &task, Version::V2).await),
            None => nobody(from),
        },
        ["v2", "stats", id] => match host.task_at(from) {
            Some(task) => match by_runtime_id(&task, id) {
                Some(own) => stats_of(host, own).await,
                None => no_stats(id),
            },
            None => nobody(from),
        },
        ["v3", id, rest @ ..] => by_id(host, from, Version::V3, id, rest).await,
        ["v4", id, rest @ ..] => by_id(host, from, Version::V4, id, rest).await,
        _ => not_found(),
    }
}

fn nobody(from: IpAddr) -> Reply {
    let text =
        format!("Unable to get task arn from request: unable to associate '{from}' with task");
    says(StatusCode::BAD_REQUEST, text)
}

fn v2(
    host: &dyn Host,
    from: IpAddr,
    show: impl FnOnce(&TaskMetadata) -> Result<Value, String>,
) -> Reply {
    match host.task_at(from).map(|task| show(&task)) {
        None => nobody(from),
        Some(Ok(value)) => json(StatusCode::OK, &value),
        Some(Err(text)) => says(StatusCode::BAD_REQUEST, text),
    }
}

/// Who asks, if the id is known and the address does not belong to another task.
pub(crate) fn find(host: &dyn Host, from: IpAddr, id: &str) -> Option<Found> {
    let found = host.container(id)?;
    match host.task_at(from) {
        Some(asking) if asking.task_arn != found.task.task_arn => None,
        _ => Some(found),
    }
}

async fn by_id(host: &dyn Host, from: IpAddr, version: Version, id: &str, rest: &[&str]) -> Reply {
    let Some(Found { task, container }) = find(host, from, id) else {
        return unknown_id(version, id, rest);
    };
    let own = &task.containers[container];
    match rest {
        [] => json(StatusCode::OK, &shown(own, version)),
        ["task"] => match of_task(&task, version) {
            Ok(value) => json(StatusCode::OK, &value),
            Err(text) => says(StatusCode::INTERNAL_SERVER_ERROR, text),
        },
        ["taskWithTags"] => with_tags(host, &task, version).await,
        ["stats"] => stats_of(host, own).await,
        ["task", "stats"] => json(StatusCode::OK, &stats_of_all(host, &task, version).await),
        ["associations", kind] => {
            let names: Vec<&str> = attached(&task, &own.name, kind).map(|(name, _)| name).collect();
            json(StatusCode::OK, &json!({ "Associations": names }))
        }
        ["associations", kind, name] => {
            match attached(&task, &own.name, kind).find(|(known, _)| known == name) {
                Some((_, content)) => bytes(StatusCode::OK, content.as_bytes().to_vec()),
                None => says(
                    StatusCode::BAD_REQUEST,
                    format!(
                        "V{} container associations handler: there is no {kind} {name}",
                        version as u8
                    ),
                ),
            }
        }
        _ => not_found(),
    }
}

/// AWS: each version words it in its own way, and with its own status.
fn unknown_id(version: Version, id: &str, rest: &[&str]) -> Reply {
    let v = version as u8;
    let of_task = matches!(rest.first(), Some(&"task" | &"taskWithTags"));
    let what = if of_task { "task" } else { "container" };
    let handler = match rest {
        [] | ["task"] | ["taskWithTags"] => format!("{what} metadata handler"),
        ["stats"] | ["task", "stats"] => format!("{what} stats handler"),
        ["associations", ..] => "container associations handler".to_owned(),
        _ => return not_found(),
    };
    let (missing, found) = match of_task {
        true => ("task arn", "task Arn"),
        false => ("container ID", "docker ID"),
    };
    let status = match (version, rest) {
        (Version::V4, [] | ["task"] | ["taskWithTags"] | ["stats"] | ["task", "stats"]) => {
            StatusCode::NOT_FOUND
        }
        (_, []) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    says(
        status,
        format!(
            "V{v} {handler}: unable to get {missing} from request: \
             unable to get {found} from v3 endpoint ID: {id}"
        ),
    )
}

fn attached<'a>(
    task: &'a TaskMetadata,
    container: &'a str,
    kind: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let ours = move |containers: &[String]| containers.iter().any(|name| name == container);
    let all = task.associations.iter().filter(move |a| a.kind == kind && ours(&a.containers));
    all.map(|association| (association.name.as_str(), association.content.as_str()))
}

fn by_runtime_id<'a>(task: &'a TaskMetadata, id: &str) -> Option<&'a ContainerMetadata> {
    task.containers.iter().find(|container| container.docker_id == id)
}

fn no_stats(id: &str) -> Reply {
    says(StatusCode::BAD_REQUEST, format!("Unable to get container stats for: {id}"))
}

async fn stats_of(host: &dyn Host, container: &ContainerMetadata) -> Reply {
    match host.stats(&container.docker_id).await {
        Some(found) => json(StatusCode::OK, &stats::as_docker(container, &found)),
        None => no_stats(&container.docker_id),
    }
}

/// AWS: a container without figures is null, and an empty object in version 4.
async fn stats_of_all(host: &dyn Host, task: &TaskMetadata, version: Version) -> Value {
    let none = if version == Version::V4 { json!({}) } else { Value::Null };
    let mut all = Map::new();
    for container in &task.containers {
        let found = host.stats(&container.docker_id).await;
        let shown = found.map_or_else(|| none.clone(), |found| stats::as_docker(container, &found));
        all.insert(container.docker_id.clone(), shown);
    }
    Value::Object(all)
}

fn shown(container: &ContainerMetadata, version: Version) -> Value {
    let mut value = serde_json::to_value(container).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        trim_container(members, version);
    }
    value
}

fn trim_container(members: &mut Map<String, Value>, version: Version) {
    if version == Version::V4 {
        return;
    }
    NEWER_OF_CONTAINER.iter().for_each(|name| drop(members.remove(*name)));
    let list = |members: &mut Map<String, Value>, name: &str| match members.remove(name) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    // Older versions show an interface's mode and addresses, and no address that a port is bound to.
    let mut networks = list(members, "Networks");
    for network in networks.iter_mut().filter_map(Value::as_object_mut) {
        network.retain(|name, _| {
            matches!(&name[..], "NetworkMode" | "IPv4Addresses" | "IPv6Addresses")
        });
    }
    let mut ports = list(members, "Ports");
    ports.iter_mut().filter_map(Value::as_object_mut).for_each(|port| drop(port.remove("HostIp")));
    for (name, items) in [("Networks", networks), ("Ports", ports)] {
        if !items.is_empty() {
            members.insert(name.to_owned(), Value::Array(items));
        }
    }
}

fn of_task(task: &TaskMetadata, version: Version) -> Result<Value, String> {
    let mut value = serde_json::to_value(task)
        .map_err(|error| format!("Unable to generate metadata for task: {error}"))?;
    let Some(members) = value.as_object_mut() else { return Ok(value) };
    if version < Version::V4 {
        NEWER_OF_TASK.iter().for_each(|name| drop(members.remove(*name)));
        if let Some(Value::Array(containers)) = members.get_mut("Containers") {
            let each = containers.iter_mut().filter_map(Value::as_object_mut);
            each.for_each(|container| trim_container(container, version));
        }
    }
    Ok(value)
}

/// AWS: what cannot be had is left out; version 4 says so among the errors.
async fn with_tags(host: &dyn Host, task: &Arc<TaskMetadata>, version: Version) -> Reply {
    let Ok(Value::Object(mut members)) = of_task(task, version) else {
        return says(StatusCode::INTERNAL_SERVER_ERROR, "failed to get task metadata");
    };
    let mut errors = Vec::new();
    let instance = host.about().container_instance_arn.unwrap_or_default();
    for (member, arn) in [("ContainerInstanceTags", &instance), ("TaskTags", &task.task_arn)] {
        match host.tags(arn).await {
            Ok(tags) if tags.is_empty() => {}
            Ok(tags) => drop(members.insert(member.to_owned(), json!(tags))),
            Err(refused) => errors.push(json!({
                "ErrorField": member,
                "ErrorCode": refused.code,
                "ErrorMessage": refused.message,
                "StatusCode": refused.status,
                "RequestId": refused.request_id.unwrap_or_default(),
                "ResourceARN": arn,
            })),
        }
    }
    if version == Version::V4 && !errors.is_empty() {
        members.insert("Errors".to_owned(), Value::Array(errors));
    }
    json(StatusCode::OK, &members)
}
