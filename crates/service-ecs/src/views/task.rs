//! A task as AWS shows it.

use core_state::State;
use core_types::Id128;
use model_ecs as api;

use super::timestamp;
use crate::rows::cluster::{self, ClusterKey};
use crate::rows::container_instance::ContainerInstance;
use crate::rows::daemon_task_definition;
use crate::rows::task::{Bound, Container, Extras, Health, Launch, Task};
use crate::rows::task_definition;
use crate::rules::launch::definition_of;
use crate::rules::overrides;
use crate::rules::task_definition::{containers_of, name_of};
use crate::rules::tasks;

pub fn task(state: &State, row: &Task, tags: bool) -> api::Task {
    let nothing = Extras::default();
    let extras = row.extras.as_deref().unwrap_or(&nothing);
    let host = row.host.and_then(|host| state.get::<ContainerInstance>(&host));
    let attribute = |name: &str| {
        let mut all = host?.attributes();
        all.find(|attribute| attribute.name.as_deref() == Some(name))?.value.clone()
    };
    let connected = host.is_some_and(|host| host.observed_connected);
    let fargate = row.launch == Launch::Fargate;
    let definition = definition_of(state, row);
    api::Task {
        task_arn: Some(row.arn()),
        cluster_arn: Some(cluster::arn_of(row.cluster.0, &row.cluster.1)),
        task_definition_arn: Some(match row.daemon() {
            Some(_) => daemon_task_definition::arn_of(row.cluster.0, &row.family, row.revision),
            None => task_definition::arn_of(row.cluster.0, &row.family, row.revision),
        }),
        container_instance_arn: host.filter(|_| !fargate).map(ContainerInstance::arn),
        capacity_provider_name: extras.capacity_provider.as_ref().map(|name| name.to_string()),
        availability_zone: attribute("ecs.availability-zone"),
        attributes: Some(vec![api::Attribute {
            name: Some("ecs.cpu-architecture".to_owned()),
            value: Some(attribute("ecs.cpu-architecture").unwrap_or_else(|| "x86_64".to_owned())),
            ..Default::default()
        }]),
        attachments: Some(extras.attachments.iter().map(attachment).collect()),
        connectivity: row.connectivity_at.map(|_| match connected {
            true => api::Connectivity::CONNECTED,
            false => api::Connectivity::DISCONNECTED,
        }),
        connectivity_at: row.connectivity_at.and_then(timestamp),
        containers: Some(containers(row, extras, definition)),
        cpu: Some(row.cpu.to_string()),
        memory: Some(row.memory.to_string()),
        created_at: timestamp(row.created_at),
        pull_started_at: row.pull_started_at.and_then(timestamp),
        pull_stopped_at: row.pull_stopped_at.and_then(timestamp),
        started_at: row.started_at.and_then(timestamp),
        stopping_at: row.stopping_at.and_then(timestamp),
        execution_stopped_at: row.execution_stopped_at.and_then(timestamp),
        stopped_at: row.stopped_at.and_then(timestamp),
        desired_status: Some(row.desired_status.as_str().to_owned()),
        last_status: Some(row.observed_status.as_str().to_owned()),
        enable_execute_command: Some(row.exec_enabled),
        group: Some(row.group().to_string()),
        health_status: Some(row.health().wire()),
        inference_accelerators: Some(Vec::new()),
        launch_type: Some(tasks::launch_type(state, row)),
        platform_version: fargate.then(|| platform_version(extras)),
        platform_family: fargate.then(|| "Linux".to_owned()),
        ephemeral_storage: fargate.then(|| storage(extras, definition)),
        overrides: Some(shown_overrides(row, extras)),
        started_by: row.started_by.as_ref().map(|by| by.to_string()),
        stop_code: row.stop_code.map(|code| code.wire()),
        stopped_reason: row.stopped_reason.as_ref().map(|reason| reason.to_string()),
        tags: Some(if tags { extras.tags.clone() } else { Vec::new() }),
        version: i64::try_from(row.version).ok(),
        ..Default::default()
    }
}

/// AWS: the latest platform of Linux is 1.4.0.
fn platform_version(extras: &Extras) -> String {
    let given = extras.platform_version.as_deref().filter(|version| *version != "LATEST");
    given.unwrap_or("1.4.0").to_owned()
}

/// AWS: twenty GiB where nothing else was asked for.
fn storage(extras: &Extras, definition: Option<&api::TaskDefinition>) -> api::EphemeralStorage {
    let over = extras.overrides.as_ref().and_then(|over| over.ephemeral_storage.clone());
    let own = || definition.and_then(|definition| definition.ephemeral_storage.clone());
    over.or_else(own).unwrap_or(api::EphemeralStorage { size_in_gib: Some(20) })
}

fn attachment(row: &crate::rows::task::Attachment) -> api::Attachment {
    let pair = |(name, value): &(std::sync::Arc<str>, String)| api::KeyValuePair {
        name: Some(name.to_string()),
        value: Some(value.clone()),
    };
    api::Attachment {
        id: Some(row.id.dashed()),
        r#type: Some(row.kind.to_string()),
        status: Some(row.observed_status.as_str().to_owned()),
        details: Some(row.details.iter().map(pair).collect()),
    }
}

/// AWS: every container is named among the overrides, changed or not.
fn shown_overrides(row: &Task, extras: &Extras) -> api::TaskOverride {
    let given = extras.overrides.as_ref();
    let of = |container: &Container| {
        let own = overrides::of(given, &container.name).cloned();
        own.unwrap_or_else(|| api::ContainerOverride {
            name: Some(container.name.to_string()),
            ..Default::default()
        })
    };
    let all = match row.waiting() {
        // It has no containers yet.
        Some(_) => given.and_then(|given| given.container_overrides.clone()).unwrap_or_default(),
        None => row.containers.iter().map(of).collect(),
    };
    api::TaskOverride {
        container_overrides: Some(all),
        inference_accelerator_overrides: Some(Vec::new()),
        ..given.cloned().unwrap_or_default()
    }
}

fn containers(
    row: &Task,
    extras: &Extras,
    definition: Option<&api::TaskDefinition>,
) -> Vec<api::Container> {
    let all = definition.map(containers_of).unwrap_or_default();
    let shown = row.containers.iter().map(|container| {
        let defined = all.iter().find(|defined| name_of(defined) == &*container.name);
        let over = overrides::of(extras.overrides.as_ref(), &container.name);
        let defined = defined.map(|defined| overrides::effective(defined, over));
        shown_container(row, extras, container, defined.unwrap_or_default())
    });
    shown.collect()
}

fn shown_container(
    row: &Task,
    extras: &Extras,
    container: &Container,
    defined: api::ContainerDefinition,
) -> api::Container {
    let text = |text: &Option<std::sync::Arc<str>>| text.as_ref().map(|text| text.to_string());
    let bindings = container.bindings.iter().flatten().map(binding);
    let gpus = extras.gpus.iter().find(|(name, _)| *name == container.name);
    let interfaces =
        extras.attachments.iter().filter(|one| &*one.kind == "ElasticNetworkInterface");
    api::Container {
        container_arn: Some(container_arn(&row.cluster, row.id, container.id)),
        task_arn: Some(row.arn()),
        name: Some(container.name.to_string()),
        image: defined.image,
        image_digest: text(&container.image_digest),
        runtime_id: text(&container.runtime_id),
        last_status: Some(container.observed_status.as_str().to_owned()),
        exit_code: container.exit_code,
        reason: text(&container.reason),
        network_bindings: Some(bindings.collect()),
        network_interfaces: Some(interfaces.map(interface).collect()),
        health_status: Some(container.observed_health.map_or(Health::Unknown, |h| h.0).wire()),
        managed_agents: exec_agents(extras, container),
        cpu: Some(defined.cpu.unwrap_or_default().to_string()),
        memory: defined.memory.map(|memory| memory.to_string()),
        memory_reservation: defined.memory_reservation.map(|memory| memory.to_string()),
        gpu_ids: gpus.map(|(_, ids)| ids.iter().map(|id| id.to_string()).collect()),
        ..Default::default()
    }
}

pub fn container_arn(cluster: &ClusterKey, task: Id128, id: Id128) -> String {
    let (scope, name) = cluster;
    scope.arn("ecs", format_args!("container/{name}/{task}/{}", id.dashed()))
}

fn binding(bound: &Bound) -> api::NetworkBinding {
    let (container, host) = bound.ranges.as_deref().cloned().unzip();
    api::NetworkBinding {
        bind_ip: Some(bound.address.to_string()),
        container_port: bound.container.map(Into::into),
        host_port: bound.host.map(Into::into),
        container_port_range: container,
        host_port_range: host,
        protocol: Some(match bound.udp {
            true => api::TransportProtocol::UDP,
            false => api::TransportProtocol::TCP,
        }),
    }
}

fn interface(attachment: &crate::rows::task::Attachment) -> api::NetworkInterface {
    let detail = |name: &str| {
        let found = attachment.details.iter().find(|(key, _)| &**key == name);
        found.map(|(_, value)| value.clone())
    };
    api::NetworkInterface {
        attachment_id: Some(attachment.id.dashed()),
        private_ipv4_address: detail("privateIPv4Address"),
        ipv6_address: detail("ipv6Address"),
    }
}

fn exec_agents(extras: &Extras, container: &Container) -> Option<Vec<api::ManagedAgent>> {
    let own = extras.exec_agents.iter().filter(|agent| agent.container == container.name);
    let shown = own.map(|agent| api::ManagedAgent {
        name: Some(api::ManagedAgentName::EXECUTE_COMMAND_AGENT),
        last_status: Some(agent.observed_status.as_str().to_owned()),
        last_started_at: agent.started_at.and_then(timestamp),
        reason: agent.reason.clone(),
    });
    let shown: Vec<_> = shown.collect();
    (!shown.is_empty()).then_some(shown)
}
