//! A daemon as AWS shows it, and the history beside it: who has which revision, by provider.

use std::collections::BTreeSet;

use core_state::State;
use core_task::{Desired, TaskStatus};
use model_ecs as api;

use super::timestamp;
use crate::rows::capacity_provider;
use crate::rows::cluster;
use crate::rows::container_instance::{Awaits, ContainerInstance, InstanceStatus, InstancesIn};
use crate::rows::daemon::{self, Daemon, DaemonKey, DaemonStatus};
use crate::rows::daemon_history::{
    DaemonDeployment, DaemonDeploymentStatus, DaemonRevision, deployment_arn, revision_arn,
};
use crate::rows::daemon_task_definition;
use crate::rows::task::{CurrentTasksOfDaemon, Task, TasksOn};
use crate::rules::daemons;
use crate::rules::task_definition::{containers_of, name_of};

fn number(n: usize) -> Option<i32> {
    Some(i32::try_from(n).unwrap_or(i32::MAX))
}

pub fn daemon_status(row: &Daemon) -> Option<api::DaemonStatus> {
    Some(match row.status {
        DaemonStatus::Active => api::DaemonStatus::ACTIVE,
        DaemonStatus::DeleteInProgress | DaemonStatus::Deleted => {
            api::DaemonStatus::DELETE_IN_PROGRESS
        }
    })
}

/// How many hosts of a provider a revision is on, is missing on, and is being put on.
struct Counts {
    arn: String,
    running: usize,
    without: usize,
    draining: usize,
}

/// Counts by provider. AWS: only a daemon that is not critical can be missing on an instance that
/// takes tasks.
fn counts(state: &State, key: &DaemonKey, revision: u64, providers: &[&str]) -> Vec<Counts> {
    let scope = key.0.0;
    let newest = state
        .get::<Daemon>(key)
        .is_some_and(|row| row.revision == revision && row.status == DaemonStatus::Active);
    let bare = state.get::<DaemonRevision>(&(key.clone(), revision));
    let bare = bare.is_some_and(|row| newest && !row.critical);
    let runs = |task: &&Task| {
        task.observed_status == TaskStatus::Running && task.desired_status == Desired::Running
    };
    let provider_of = |task: &Task| task.extras.as_ref()?.capacity_provider.clone();
    let own: Vec<&Task> = state
        .by::<CurrentTasksOfDaemon>(key)
        .filter(runs)
        .filter(|task| task.daemon().is_some_and(|of| of.revision == revision))
        .collect();
    let has = |host: &ContainerInstance| {
        let mut tasks = state.by::<TasksOn>(&host.id).filter(runs);
        tasks.any(|task| task.daemon().is_some_and(|of| of.name == key.1))
    };
    let one = |name: &&str| {
        let hosts: Vec<&ContainerInstance> = state
            .by::<InstancesIn>(&key.0)
            .filter(|host| host.capacity_provider.as_deref() == Some(*name))
            .collect();
        let without = hosts.iter().filter(|host| {
            bare && host.status == InstanceStatus::Active && host.observed_connected && !has(host)
        });
        let draining = hosts.iter().filter(|host| newest && host.awaits == Some(Awaits::Next));
        let mine = own.iter().filter(|task| provider_of(task).as_deref() == Some(*name));
        Counts {
            arn: capacity_provider::arn_of(scope, name),
            running: mine.count(),
            without: without.count(),
            draining: draining.count(),
        }
    };
    providers.iter().map(one).collect()
}

fn sum(counts: &[Counts], of: impl Fn(&Counts) -> usize) -> Option<i32> {
    number(counts.iter().map(of).sum())
}

/// The revision that it is to have, and those that are still there.
pub fn daemon(state: &State, row: &Daemon) -> api::DaemonDetail {
    let (cluster, _) = &row.key;
    let mut others: BTreeSet<u64> = daemons::standing(state, &row.key);
    others.remove(&row.revision);
    let providers: Vec<&str> = row.providers.iter().map(|name| &**name).collect();
    let detail = |revision: u64| {
        let counts = counts(state, &row.key, revision, &providers);
        api::DaemonRevisionDetail {
            arn: Some(revision_arn(&row.key, revision)),
            total_running_count: sum(&counts, |one| one.running),
            total_without_daemon_count: sum(&counts, |one| one.without),
            capacity_providers: Some(
                counts
                    .into_iter()
                    .map(|one| api::DaemonCapacityProvider {
                        arn: Some(one.arn),
                        running_count: number(one.running),
                        without_daemon_count: number(one.without),
                    })
                    .collect(),
            ),
        }
    };
    api::DaemonDetail {
        daemon_arn: Some(row.arn()),
        cluster_arn: Some(cluster::arn_of(cluster.0, &cluster.1)),
        status: daemon_status(row),
        current_revisions: Some([row.revision].into_iter().chain(others).map(detail).collect()),
        deployment_arn: Some(deployment_arn(&row.key, &row.deployment)),
        created_at: timestamp(row.created_at),
        updated_at: timestamp(row.updated_at),
    }
}

/// The same in a list.
pub fn daemon_brief(row: &Daemon) -> api::DaemonSummary {
    api::DaemonSummary {
        daemon_arn: Some(row.arn()),
        status: daemon_status(row),
        created_at: timestamp(row.created_at),
        updated_at: timestamp(row.updated_at),
    }
}

pub fn daemon_revision(row: &DaemonRevision) -> api::DaemonRevision {
    let (cluster, _) = &row.key.0;
    let images = containers_of(&row.definition).iter().map(|container| api::DaemonContainerImage {
        container_name: Some(name_of(container).to_owned()),
        image: container.image.clone(),
        ..Default::default()
    });
    api::DaemonRevision {
        daemon_revision_arn: Some(row.arn()),
        daemon_arn: Some(daemon::arn_of(&row.key.0)),
        cluster_arn: Some(cluster::arn_of(cluster.0, &cluster.1)),
        daemon_task_definition_arn: Some(daemon_task_definition::arn_of(
            cluster.0,
            &row.family,
            row.revision,
        )),
        created_at: timestamp(row.created_at),
        container_images: Some(images.collect()),
        propagate_tags: Some(match row.propagate {
            true => api::DaemonPropagateTags::DAEMON,
            false => api::DaemonPropagateTags::NONE,
        }),
        enable_ecs_managed_tags: Some(row.managed_tags),
        enable_execute_command: Some(row.exec_enabled),
        critical: Some(row.critical),
    }
}

/// A deployment in full.
pub fn daemon_deployment(state: &State, row: &DaemonDeployment) -> api::DaemonDeployment {
    let (cluster, _) = &row.key.0;
    let providers: Vec<&str> = row.providers.iter().map(|name| &**name).collect();
    let detail = |revision: u64| revision_detail(state, row, revision, &providers);
    let alarms = row.configuration.alarms.as_ref();
    api::DaemonDeployment {
        daemon_deployment_arn: Some(row.arn()),
        cluster_arn: Some(cluster::arn_of(cluster.0, &cluster.1)),
        status: Some(row.status.as_str().into()),
        status_reason: row.reason.clone(),
        target_daemon_revision: row.target.map(detail),
        source_daemon_revisions: Some(row.sources.iter().copied().map(detail).collect()),
        circuit_breaker: Some(api::DaemonCircuitBreaker {
            failure_count: i32::try_from(row.failed_tasks).ok(),
            status: Some(monitor(row, row.target.is_some(), row.triggered)),
            threshold: i32::try_from(row.threshold).ok(),
        }),
        alarms: Some(api::DaemonDeploymentAlarms {
            alarm_names: Some(alarms.and_then(|a| a.alarm_names.clone()).unwrap_or_default()),
            status: Some(monitor(
                row,
                alarms.is_some_and(|alarms| alarms.enable == Some(true)),
                !row.triggered_alarms.is_empty(),
            )),
            triggered_alarm_names: Some(row.triggered_alarms.clone()),
        }),
        rollback: row.rollback.as_ref().map(|rollback| api::DaemonRollback {
            reason: Some(rollback.reason.clone()),
            started_at: timestamp(rollback.started_at),
            rollback_target_daemon_revision_arn: Some(revision_arn(&row.key.0, rollback.revision)),
            rollback_capacity_providers: Some(
                rollback
                    .providers
                    .iter()
                    .map(|name| capacity_provider::arn_of(cluster.0, name))
                    .collect(),
            ),
        }),
        deployment_configuration: Some(row.configuration.clone()),
        created_at: timestamp(row.created_at),
        started_at: row.started_at.and_then(timestamp),
        finished_at: row.finished_at.and_then(timestamp),
        stopped_at: row.stopped_at.and_then(timestamp),
    }
}

fn monitor(
    row: &DaemonDeployment,
    enabled: bool,
    triggered: bool,
) -> api::DaemonDeploymentRollbackMonitorsStatus {
    use api::DaemonDeploymentRollbackMonitorsStatus as Status;
    let on =
        matches!(row.status, DaemonDeploymentStatus::Pending | DaemonDeploymentStatus::InProgress);
    match (triggered, enabled, on) {
        (true, ..) => Status::TRIGGERED,
        (_, false, _) => Status::DISABLED,
        (_, _, true) => Status::MONITORING,
        _ => Status::MONITORING_COMPLETE,
    }
}

fn revision_detail(
    state: &State,
    row: &DaemonDeployment,
    revision: u64,
    providers: &[&str],
) -> api::DaemonDeploymentRevisionDetail {
    let counts = counts(state, &row.key.0, revision, providers);
    api::DaemonDeploymentRevisionDetail {
        arn: Some(revision_arn(&row.key.0, revision)),
        total_running_instance_count: sum(&counts, |one| one.running),
        total_without_daemon_instance_count: sum(&counts, |one| one.without),
        total_draining_instance_count: sum(&counts, |one| one.draining),
        capacity_providers: Some(
            counts
                .into_iter()
                .map(|one| api::DaemonDeploymentCapacityProvider {
                    arn: Some(one.arn),
                    running_instance_count: number(one.running),
                    without_daemon_instance_count: number(one.without),
                    draining_instance_count: number(one.draining),
                })
                .collect(),
        ),
    }
}

/// The same in a list.
pub fn daemon_deployment_brief(row: &DaemonDeployment) -> api::DaemonDeploymentSummary {
    let (cluster, _) = &row.key.0;
    api::DaemonDeploymentSummary {
        daemon_deployment_arn: Some(row.arn()),
        daemon_arn: Some(daemon::arn_of(&row.key.0)),
        cluster_arn: Some(cluster::arn_of(cluster.0, &cluster.1)),
        status: Some(row.status.as_str().into()),
        status_reason: row.reason.clone(),
        target_daemon_revision_arn: row.target.map(|target| revision_arn(&row.key.0, target)),
        created_at: timestamp(row.created_at),
        started_at: row.started_at.and_then(timestamp),
        finished_at: row.finished_at.and_then(timestamp),
        stopped_at: row.stopped_at.and_then(timestamp),
    }
}
