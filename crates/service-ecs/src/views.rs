//! Rows as AWS shows them: the only place that knows both.

use core_state::State;
use model_ecs as api;

use crate::rows::cluster::{Cluster, ClusterStatus};
use crate::rows::task_definition::TaskDefinition;

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
    pub const ALL: Include = Include {
        attachments: true,
        configurations: true,
        settings: true,
        statistics: true,
        tags: true,
    };
}

pub fn cluster(_state: &State, row: &Cluster, include: Include) -> api::Cluster {
    let _ = ClusterStatus::Active;
    api::Cluster {
        cluster_arn: Some(row.arn()),
        cluster_name: Some(row.name().to_owned()),
        status: Some(row.status.as_str().to_owned()),
        registered_container_instances_count: Some(0),
        running_tasks_count: Some(0),
        pending_tasks_count: Some(0),
        active_services_count: Some(0),
        statistics: Some(Vec::new()),
        tags: Some(if include.tags { row.tags.clone() } else { Vec::new() }),
        settings: Some(if include.settings { row.settings.clone() } else { Vec::new() }),
        configuration: row.configuration.clone().filter(|_| include.configurations),
        capacity_providers: Some(row.capacity_providers.clone()),
        default_capacity_provider_strategy: Some(row.default_strategy.clone()),
        service_connect_defaults: row.service_connect.clone(),
        ..Default::default()
    }
}

pub fn task_definition(row: &TaskDefinition) -> api::TaskDefinition {
    api::TaskDefinition { status: Some(row.status.wire()), ..row.definition.clone() }
}
