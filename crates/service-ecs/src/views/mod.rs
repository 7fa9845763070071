//! Rows as AWS shows them: the only place that knows both.

mod daemon;
mod service;
mod task;
mod task_set;

use aws_protocol::Timestamp;
use core_state::State;
use core_types::{Scope, Time};
use model_ecs as api;

use crate::rows::capacity_provider::{self, CapacityProvider};
use crate::rows::cluster::Cluster;
use crate::rows::container_instance::{ClusterInstances, ContainerInstance};
use crate::rows::daemon_task_definition::DaemonTaskDefinition;
use crate::rows::service::ClusterServices;
use crate::rows::task::{ClusterTasks, Count, HostLoad, Launch};
use crate::rows::task_definition::TaskDefinition;
use crate::rules::resources;
use crate::rules::strategy::{self, BUILT_IN};

pub use daemon::{
    daemon, daemon_brief, daemon_deployment, daemon_deployment_brief, daemon_revision,
    daemon_status,
};
pub use service::{deployment_record, record_brief, service, service_revision};
pub use task::{container_arn, task};
pub use task_set::task_set;

const LAUNCHES: [(Launch, &str); 3] =
    [(Launch::Ec2, "EC2"), (Launch::Fargate, "Fargate"), (Launch::External, "External")];

/// Which optional members `DescribeClusters` was asked to include.
#[derive(Clone, Copy, Default)]
pub struct Include {
    pub attachments: bool,
    pub configurations: bool,
    pub settings: bool,
    pub statistics: bool,
    pub tags: bool,
}

impl Include {
    /// What the writing actions return.
    pub const WRITTEN: Include = Include {
        attachments: false,
        configurations: true,
        settings: true,
        statistics: false,
        tags: true,
    };
}

fn count(number: i64) -> Option<i32> {
    Some(i32::try_from(number).unwrap_or(i32::MAX))
}

pub fn cluster(state: &State, row: &Cluster, include: Include) -> api::Cluster {
    let tasks = |launch, count| state.sum::<ClusterTasks>(&(row.key.clone(), launch)).of(count);
    let services =
        |launch, draining| state.sum::<ClusterServices>(&(row.key.clone(), launch, draining));
    let all =
        |of| [Launch::Ec2, Launch::Fargate, Launch::External].map(|l| tasks(l, of)).iter().sum();
    api::Cluster {
        cluster_arn: Some(row.arn()),
        cluster_name: Some(row.name().to_owned()),
        status: Some(row.status.as_str().to_owned()),
        registered_container_instances_count: count(state.sum::<ClusterInstances>(&row.key)),
        running_tasks_count: count(all(Count::Running)),
        pending_tasks_count: count(all(Count::Pending)),
        active_services_count: count(
            LAUNCHES.into_iter().map(|(launch, _)| services(launch, false)).sum(),
        ),
        statistics: Some(if include.statistics { statistics(tasks, services) } else { Vec::new() }),
        tags: Some(if include.tags { row.tags.clone() } else { Vec::new() }),
        settings: Some(if include.settings { row.settings.clone() } else { Vec::new() }),
        configuration: row.configuration.clone().filter(|_| include.configurations),
        capacity_providers: Some(row.capacity_providers.clone()),
        default_capacity_provider_strategy: Some(row.default_strategy.clone()),
        service_connect_defaults: row.service_connect.clone(),
        attachments: include.attachments.then(Vec::new),
        ..Default::default()
    }
}

/// AWS: tasks and services by launch type, as texts.
fn statistics(
    tasks: impl Fn(Launch, Count) -> i64,
    services: impl Fn(Launch, bool) -> i64,
) -> Vec<api::KeyValuePair> {
    let pair = |name: String, value: i64| api::KeyValuePair {
        name: Some(name),
        value: Some(value.to_string()),
    };
    let mut pairs = Vec::new();
    for (launch, word) in LAUNCHES {
        for (of, state) in [(Count::Running, "running"), (Count::Pending, "pending")] {
            pairs.push(pair(format!("{state}{word}TasksCount"), tasks(launch, of)));
        }
    }
    for (state, draining) in [("active", false), ("draining", true)] {
        for (launch, word) in LAUNCHES {
            pairs.push(pair(format!("{state}{word}ServiceCount"), services(launch, draining)));
        }
    }
    pairs
}

pub fn task_definition(row: &TaskDefinition) -> api::TaskDefinition {
    api::TaskDefinition { status: Some(row.status.wire()), ..row.definition.clone() }
}

pub fn daemon_task_definition(row: &DaemonTaskDefinition, now: Time) -> api::DaemonTaskDefinition {
    api::DaemonTaskDefinition { status: Some(row.status(now)), ..row.definition.clone() }
}

pub fn timestamp(time: Time) -> Option<Timestamp> {
    Some(Timestamp::from_millis(time.millis()))
}

/// The ARN of a provider that a call names.
pub fn provider_arn(scope: Scope, given: &str) -> String {
    capacity_provider::arn_of(scope, strategy::provider_name(given))
}

pub fn capacity_provider(row: &CapacityProvider, tags: bool) -> api::CapacityProvider {
    let managed = row.managed_instances.is_some();
    let kind = match managed {
        true => api::CapacityProviderType::MANAGED_INSTANCES,
        false => api::CapacityProviderType::EC2_AUTOSCALING,
    };
    api::CapacityProvider {
        capacity_provider_arn: Some(row.arn()),
        name: Some(row.name().to_owned()),
        status: Some(match row.active {
            true => api::CapacityProviderStatus::ACTIVE,
            false => api::CapacityProviderStatus::INACTIVE,
        }),
        r#type: Some(kind),
        auto_scaling_group_provider: row.auto_scaling_group.clone(),
        managed_instances_provider: row.managed_instances.clone(),
        cluster: row.cluster.as_ref().map(|name| name.to_string()),
        update_status: row.update_status.clone(),
        tags: Some(if tags { row.tags.clone() } else { Vec::new() }),
        ..Default::default()
    }
}

/// FARGATE and FARGATE_SPOT as every account has them.
pub fn built_in_provider(scope: Scope, name: &str) -> Option<api::CapacityProvider> {
    let name = BUILT_IN.into_iter().find(|one| *one == name)?;
    Some(api::CapacityProvider {
        capacity_provider_arn: Some(capacity_provider::arn_of(scope, name)),
        name: Some(name.to_owned()),
        status: Some(api::CapacityProviderStatus::ACTIVE),
        r#type: Some(name.into()),
        tags: Some(Vec::new()),
        ..Default::default()
    })
}

pub fn container_instance(
    state: &State,
    row: &ContainerInstance,
    tags: bool,
    health: bool,
) -> api::ContainerInstance {
    let load = state.sum::<HostLoad>(&row.id);
    let tasks = |of| count(load.tasks.of(of));
    api::ContainerInstance {
        container_instance_arn: Some(row.arn()),
        ec2_instance_id: row.ec2_instance_id.as_ref().map(|id| id.to_string()),
        capacity_provider_name: row.capacity_provider.as_ref().map(|name| name.to_string()),
        version: i64::try_from(row.version).ok(),
        version_info: Some(row.version_info.clone().unwrap_or_default()),
        registered_resources: Some(row.resources.clone()),
        remaining_resources: Some(resources::remaining(state, row)),
        status: Some(row.shown_status().to_owned()),
        agent_connected: Some(row.observed_connected),
        agent_update_status: row.agent_update.as_ref().map(|status| status.to_string().into()),
        running_tasks_count: tasks(Count::Running),
        pending_tasks_count: tasks(Count::Pending),
        attributes: Some(row.attributes().cloned().collect()),
        registered_at: timestamp(row.registered_at),
        attachments: Some(Vec::new()),
        tags: Some(if tags { row.tags.clone() } else { Vec::new() }),
        health_status: health.then(|| instance_health(row)),
        ..Default::default()
    }
}

/// AWS: the worst of the checks; without any there is nothing to say.
fn instance_health(row: &ContainerInstance) -> api::ContainerInstanceHealthStatus {
    let details = row.observed_checks.iter().map(|check| api::InstanceHealthCheckResult {
        r#type: Some(match check.name.as_str() {
            "ContainerRuntime" => api::InstanceHealthCheckType::CONTAINER_RUNTIME,
            other => other.into(),
        }),
        status: Some(check.status.as_str().into()),
        last_updated: timestamp(check.at),
        last_status_change: timestamp(check.since),
        ..Default::default()
    });
    let details: Vec<_> = details.collect();
    let is = |wanted: &str| row.observed_checks.iter().any(|check| check.status == wanted);
    let overall = match (details.is_empty(), is("IMPAIRED"), is("OK")) {
        (true, ..) => api::InstanceHealthCheckState::INSUFFICIENT_DATA,
        (_, true, _) => api::InstanceHealthCheckState::IMPAIRED,
        (_, _, true) => api::InstanceHealthCheckState::OK,
        _ => api::InstanceHealthCheckState::INITIALIZING,
    };
    api::ContainerInstanceHealthStatus { overall_status: Some(overall), details: Some(details) }
}
