//! A task set as AWS shows it.

use core_state::State;
use model_ecs as api;

use super::service::{definition_arn, launch_type, number, platform_version, providers, tasks};
use super::timestamp;
use crate::rows::cluster;
use crate::rows::service::{Service, arn_of};
use crate::rows::service_history::ServiceRevision;
use crate::rows::task::{Count, Launch};
use crate::rows::task_set::TaskSet;

pub fn task_set(state: &State, row: &TaskSet, tags: bool) -> api::TaskSet {
    let service = &row.key.0;
    let (of, name) = service;
    let wanted = state.get::<Service>(service).map_or(0, |row| row.desired_count);
    let revision = state.get::<ServiceRevision>(&(service.clone(), row.deployment.revision));
    let fargate = revision.filter(|revision| revision.launch == Launch::Fargate);
    let status = match (row.draining, row.primary) {
        (true, _) => "DRAINING",
        (false, true) => "PRIMARY",
        (false, false) => "ACTIVE",
    };
    api::TaskSet {
        id: Some(row.key.1.to_string()),
        task_set_arn: Some(row.arn()),
        service_arn: Some(arn_of(of, name)),
        cluster_arn: Some(cluster::arn_of(of.0, &of.1)),
        external_id: row.external_id.as_ref().map(|id| id.to_string()),
        status: Some(status.to_owned()),
        task_definition: revision.map(definition_arn),
        computed_desired_count: number(row.desired(wanted)),
        pending_count: tasks(state, service, &row.key.1, Count::Pending),
        running_count: tasks(state, service, &row.key.1, Count::Running),
        created_at: timestamp(row.created_at),
        updated_at: timestamp(row.updated_at),
        launch_type: revision.and_then(launch_type),
        capacity_provider_strategy: revision.and_then(providers),
        platform_version: fargate.map(platform_version),
        platform_family: fargate.map(|_| "Linux".to_owned()),
        network_configuration: revision.and_then(|revision| revision.network.clone()),
        load_balancers: Some(Vec::new()),
        service_registries: Some(Vec::new()),
        scale: Some(api::Scale { value: Some(row.percent), unit: Some(api::ScaleUnit::PERCENT) }),
        stability_status: Some(match row.steady_at {
            Some(_) => api::StabilityStatus::STEADY_STATE,
            None => api::StabilityStatus::STABILIZING,
        }),
        stability_status_at: timestamp(row.stability_at),
        tags: tags.then(|| row.tags.clone()),
        ..Default::default()
    }
}
