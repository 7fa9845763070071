//! A service as AWS shows it, with its deployments, and the history beside it.

use std::cmp::Reverse;

use core_state::State;
use model_ecs as api;

use super::task_set::task_set;
use super::timestamp;
use crate::rows::alarm::watched;
use crate::rows::cluster;
use crate::rows::progress::Hook;
use crate::rows::service::{Deployment, Service, ServiceKey, ServiceStatus};
use crate::rows::service_history::{
    DeploymentRecord, RecordStatus, ServiceRevision, record_arn, revision_arn,
};
use crate::rows::task::{Count, DeploymentTasks, Launch};
use crate::rows::task_definition::{self, TaskDefinition};
use crate::rows::task_set::TaskSet;
use crate::rules::counted;
use crate::rules::deployments::revision_of;
use crate::rules::images;
use crate::rules::services;
use crate::rules::shifts;
use crate::rules::task_definition::{containers_of, name_of};
use crate::rules::task_sets;

pub fn number(n: u32) -> Option<i32> {
    Some(i32::try_from(n).unwrap_or(i32::MAX))
}

/// Tasks by the deployment that started them.
pub fn tasks(state: &State, key: &ServiceKey, id: &str, of: Count) -> Option<i32> {
    let sum = state.sum::<DeploymentTasks>(&(key.clone(), id.into()));
    Some(i32::try_from(sum.of(of)).unwrap_or(i32::MAX))
}

/// All tasks of a service.
fn all_tasks(state: &State, key: &ServiceKey, of: Count) -> Option<i32> {
    let first = (key.clone(), "".into());
    let sums = state.sums::<DeploymentTasks>(first).take_while(|((at, _), _)| at == key);
    let sum: i64 = sums.map(|(_, sum)| sum.of(of)).sum();
    Some(i32::try_from(sum).unwrap_or(i32::MAX))
}

pub fn service(state: &State, row: &Service, tags: bool) -> api::Service {
    let (cluster, name) = &row.key;
    let sets: Vec<&TaskSet> = task_sets::all(state, &row.key).collect();
    let primary = sets.iter().find(|set| set.primary).map(|set| set.deployment.revision);
    let of_set = |revision| state.get::<ServiceRevision>(&(row.key.clone(), revision));
    let revision = revision_of(state, row).or_else(|| of_set(primary?));
    let gone = row.status == ServiceStatus::Inactive;
    let has_sets = row.controller.has_task_sets();
    let last = services::records(state, &row.key).last();
    // AWS: a service that was ECS's once goes on to show deployments.
    let shows_sets = has_sets && last.is_none();
    let last = last.filter(|_| !gone && !has_sets);
    let fargate = revision.is_some_and(|revision| revision.launch == Launch::Fargate);
    api::Service {
        service_arn: Some(row.arn()),
        service_name: Some(name.to_string()),
        cluster_arn: Some(cluster::arn_of(cluster.0, &cluster.1)),
        status: Some(row.status.as_str().to_owned()),
        desired_count: number(row.desired_count),
        running_count: all_tasks(state, &row.key, Count::Running),
        pending_count: all_tasks(state, &row.key, Count::Pending),
        launch_type: revision.and_then(launch_type),
        capacity_provider_strategy: revision.and_then(providers),
        platform_version: revision.filter(|_| fargate).map(platform_version),
        platform_family: fargate.then(|| "Linux".to_owned()),
        task_definition: revision.map(definition_arn),
        deployment_configuration: Some(row.configuration.clone()),
        deployments: Some(match shows_sets {
            _ if !has_sets => deployments(state, row),
            true => Vec::new(),
            false => as_deployments(state, row, &sets),
        }),
        task_sets: shows_sets.then(|| sets.iter().map(|set| task_set(state, set, tags)).collect()),
        role_arn: row.role_arn.clone(),
        events: Some(services::events(state, &row.key).map(event).collect()),
        created_at: timestamp(row.created_at),
        created_by: Some(row.created_by.to_string()),
        current_service_deployment: last.map(DeploymentRecord::arn),
        current_service_revisions: Some(current_revisions(state, row)),
        placement_constraints: Some(row.constraints.clone()),
        placement_strategy: Some(row.strategy.clone()),
        network_configuration: revision.and_then(|revision| revision.network.clone()),
        health_check_grace_period_seconds: row.grace_seconds.and_then(number),
        scheduling_strategy: Some(match row.daemon {
            true => api::SchedulingStrategy::DAEMON,
            false => api::SchedulingStrategy::REPLICA,
        }),
        deployment_controller: Some(api::DeploymentController {
            r#type: Some(row.controller.wire()),
        }),
        tags: tags.then(|| row.tags.clone()),
        enable_ecs_managed_tags: Some(row.managed_tags),
        propagate_tags: Some(row.propagate.wire()),
        enable_execute_command: Some(row.exec_enabled),
        availability_zone_rebalancing: Some(match row.rebalancing {
            true => api::AvailabilityZoneRebalancing::ENABLED,
            false => api::AvailabilityZoneRebalancing::DISABLED,
        }),
        resource_management_type: Some(api::ResourceManagementType::CUSTOMER),
        load_balancers: Some(Vec::new()),
        service_registries: Some(Vec::new()),
    }
}

pub fn definition_arn(revision: &ServiceRevision) -> String {
    let scope = revision.key.0.0.0;
    task_definition::arn_of(scope, &revision.family, revision.revision)
}

/// AWS: a service has a launch type or a strategy, not both.
pub fn launch_type(revision: &ServiceRevision) -> Option<api::LaunchType> {
    revision.providers.is_empty().then(|| revision.launch.wire())
}

pub fn providers(revision: &ServiceRevision) -> Option<Vec<api::CapacityProviderStrategyItem>> {
    (!revision.providers.is_empty()).then(|| revision.providers.clone())
}

pub fn platform_version(revision: &ServiceRevision) -> String {
    let given = revision.platform_version.as_deref();
    given.unwrap_or("LATEST").to_owned()
}

fn event(row: &crate::rows::service_history::ServiceEvent) -> api::ServiceEvent {
    api::ServiceEvent {
        id: Some(row.id.dashed()),
        created_at: timestamp(row.at),
        message: Some(row.text.clone()),
    }
}

fn deployments(state: &State, row: &Service) -> Vec<api::Deployment> {
    let all = row.deployments.iter().enumerate();
    let all = all.map(|(place, one)| {
        let shown = deployment(state, row, one, counted::wanted(state, row, one, place == 0));
        api::Deployment {
            status: Some(if place == 0 { "PRIMARY" } else { "ACTIVE" }.to_owned()),
            rollout_state: Some(one.rollout.wire()),
            rollout_state_reason: Some(one.reason.to_string()),
            ..shown
        }
    });
    all.collect()
}

/// Task sets in the shape of deployments, the PRIMARY one first.
fn as_deployments(state: &State, row: &Service, sets: &[&TaskSet]) -> Vec<api::Deployment> {
    let mut sets = sets.to_vec();
    sets.sort_by_key(|set| (!set.primary, Reverse(set.created_at)));
    let all = sets.into_iter().map(|set| api::Deployment {
        status: Some(if set.primary { "PRIMARY" } else { "ACTIVE" }.to_owned()),
        updated_at: timestamp(set.updated_at),
        ..deployment(state, row, &set.deployment, set.desired(row.desired_count))
    });
    all.collect()
}

fn deployment(state: &State, row: &Service, one: &Deployment, wanted: u32) -> api::Deployment {
    let revision = state.get::<ServiceRevision>(&(row.key.clone(), one.revision));
    let fargate = revision.filter(|revision| revision.launch == Launch::Fargate);
    api::Deployment {
        id: Some(one.id.to_string()),
        task_definition: revision.map(definition_arn),
        desired_count: number(wanted),
        pending_count: tasks(state, &row.key, &one.id, Count::Pending),
        running_count: tasks(state, &row.key, &one.id, Count::Running),
        failed_tasks: number(one.failed_tasks),
        created_at: timestamp(one.created_at),
        updated_at: timestamp(one.updated_at),
        launch_type: revision.and_then(launch_type),
        capacity_provider_strategy: revision.and_then(providers),
        platform_version: fargate.map(platform_version),
        platform_family: fargate.map(|_| "Linux".to_owned()),
        network_configuration: revision.and_then(|revision| revision.network.clone()),
        service_connect_configuration: revision.and_then(|revision| revision.connect.clone()),
        ..Default::default()
    }
}

fn current_revisions(state: &State, row: &Service) -> Vec<api::ServiceCurrentRevisionSummary> {
    let all = row.deployments.iter().enumerate();
    all.map(|(place, one)| api::ServiceCurrentRevisionSummary {
        arn: Some(revision_arn(&row.key, one.revision)),
        requested_task_count: number(counted::wanted(state, row, one, place == 0)),
        running_task_count: tasks(state, &row.key, &one.id, Count::Running),
        pending_task_count: tasks(state, &row.key, &one.id, Count::Pending),
    })
    .collect()
}

pub fn service_revision(state: &State, row: &ServiceRevision) -> api::ServiceRevision {
    let (cluster, name) = &row.key.0;
    let key = (cluster.0, row.family.clone(), row.revision);
    let definition = state.get::<TaskDefinition>(&key).map(|row| &row.definition);
    let images = definition.map(containers_of).unwrap_or_default().iter();
    let images = images.map(|container| api::ContainerImage {
        container_name: Some(name_of(container).to_owned()),
        image_digest: images::digest_of(row, container).map(str::to_owned),
        image: container.image.clone(),
    });
    let fargate = row.launch == Launch::Fargate;
    api::ServiceRevision {
        service_revision_arn: Some(row.arn()),
        service_arn: Some(crate::rows::service::arn_of(cluster, name)),
        cluster_arn: Some(cluster::arn_of(cluster.0, &cluster.1)),
        task_definition: Some(definition_arn(row)),
        launch_type: launch_type(row),
        capacity_provider_strategy: providers(row),
        platform_version: fargate.then(|| platform_version(row)),
        platform_family: fargate.then(|| "Linux".to_owned()),
        network_configuration: row.network.clone(),
        service_connect_configuration: row.connect.clone(),
        container_images: Some(images.collect()),
        guard_duty_enabled: Some(false),
        created_at: timestamp(row.created_at),
        ..Default::default()
    }
}

fn summary(state: &State, record: &DeploymentRecord, revision: u64) -> api::ServiceRevisionSummary {
    let counted = counted::told(state, record, revision);
    let weights = shifts::weights(record);
    let weight = weights.iter().find(|weight| weight.revision == revision);
    let share = |of: fn(&shifts::Weight) -> f64| {
        (!weights.is_empty()).then(|| weight.map(of).unwrap_or_default())
    };
    api::ServiceRevisionSummary {
        arn: Some(revision_arn(&record.key.0, revision)),
        requested_task_count: number(counted.requested),
        running_task_count: number(counted.running),
        pending_task_count: number(counted.pending),
        requested_test_traffic_weight: share(|weight| weight.test),
        requested_production_traffic_weight: share(|weight| weight.production),
    }
}

/// A deployment of the history, in full.
pub fn deployment_record(state: &State, row: &DeploymentRecord) -> api::ServiceDeployment {
    let (cluster, name) = &row.key.0;
    let live = state.get::<Service>(&row.key.0).filter(|_| !row.status.is_over());
    // What a service asks for later changes nothing of what a deployment was.
    let asked = live.map_or(&row.configuration, |service| &service.configuration);
    let enabled = asked.deployment_circuit_breaker.as_ref().and_then(|breaker| breaker.enable);
    let progress = row.progress.as_deref();
    api::ServiceDeployment {
        service_deployment_arn: Some(record_arn(&row.key.0, &row.key.1)),
        service_arn: Some(crate::rows::service::arn_of(cluster, name)),
        cluster_arn: Some(cluster::arn_of(cluster.0, &cluster.1)),
        created_at: timestamp(row.created_at),
        started_at: timestamp(row.created_at),
        updated_at: timestamp(row.updated_at),
        finished_at: row.finished_at.and_then(timestamp),
        stopped_at: row.stopped_at.and_then(timestamp),
        status: Some(row.status.as_str().into()),
        status_reason: row.reason.clone(),
        source_service_revisions: Some(
            row.sources.iter().map(|source| summary(state, row, *source)).collect(),
        ),
        target_service_revision: Some(summary(state, row, row.target)),
        deployment_configuration: Some(row.configuration.clone()),
        rollback: row.rollback.as_ref().map(|rollback| api::Rollback {
            reason: Some(rollback.reason.clone()),
            started_at: timestamp(rollback.started_at),
            service_revision_arn: Some(revision_arn(&row.key.0, rollback.revision)),
        }),
        deployment_circuit_breaker: Some(api::ServiceDeploymentCircuitBreaker {
            status: Some(breaker_status(row, enabled == Some(true))),
            failure_count: number(row.failed_tasks),
            threshold: number(row.threshold),
        }),
        alarms: Some(alarms(row)),
        lifecycle_stage: progress.map(|progress| progress.at.stage.as_str().into()),
        lifecycle_hook_details: progress.map(|progress| progress.hooks.iter().map(hook).collect()),
    }
}

fn hook(row: &Hook) -> api::DeploymentLifecycleHookDetail {
    api::DeploymentLifecycleHookDetail {
        hook_id: Some(row.id.to_string()),
        target_type: Some(match &row.target {
            Some(_) => api::DeploymentLifecycleHookTargetType::AWS_LAMBDA,
            None => api::DeploymentLifecycleHookTargetType::PAUSE,
        }),
        target_arn: row.target.as_ref().map(|target| target.to_string()),
        status: Some(row.status.as_str().into()),
        expires_at: timestamp(row.expires_at),
        timeout_action: Some(match row.rolls_back {
            true => api::DeploymentLifecycleHookAction::ROLLBACK,
            false => api::DeploymentLifecycleHookAction::CONTINUE,
        }),
    }
}

fn alarms(row: &DeploymentRecord) -> api::ServiceDeploymentAlarms {
    use api::ServiceDeploymentRollbackMonitorsStatus as Status;
    let names = watched(&row.configuration);
    let status = match row.status {
        _ if names.is_empty() || row.alarms_ignored => Status::DISABLED,
        _ if !row.alarms_triggered.is_empty() => Status::TRIGGERED,
        RecordStatus::InProgress => Status::MONITORING,
        _ => Status::MONITORING_COMPLETE,
    };
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    api::ServiceDeploymentAlarms {
        status: Some(status),
        alarm_names: some(names),
        triggered_alarm_names: some(&row.alarms_triggered),
    }
}

fn breaker_status(
    row: &DeploymentRecord,
    enabled: bool,
) -> api::ServiceDeploymentRollbackMonitorsStatus {
    use api::ServiceDeploymentRollbackMonitorsStatus as Status;
    match (row.triggered, enabled, row.status) {
        (true, ..) => Status::TRIGGERED,
        (_, false, _) => Status::DISABLED,
        (_, _, RecordStatus::InProgress) => Status::MONITORING,
        _ => Status::MONITORING_COMPLETE,
    }
}

/// The same in a list.
pub fn record_brief(row: &DeploymentRecord) -> api::ServiceDeploymentBrief {
    let (cluster, name) = &row.key.0;
    api::ServiceDeploymentBrief {
        service_deployment_arn: Some(record_arn(&row.key.0, &row.key.1)),
        service_arn: Some(crate::rows::service::arn_of(cluster, name)),
        cluster_arn: Some(cluster::arn_of(cluster.0, &cluster.1)),
        target_service_revision_arn: Some(revision_arn(&row.key.0, row.target)),
        created_at: timestamp(row.created_at),
        started_at: timestamp(row.created_at),
        finished_at: row.finished_at.and_then(timestamp),
        status: Some(row.status.as_str().into()),
        status_reason: row.reason.clone(),
    }
}
