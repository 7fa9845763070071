//! How a service comes by a new version, gives one up, and goes back to the last that did well.

use std::sync::Arc;

use core_state::{State, Tx};
use core_task::Desired;
use core_types::{Dice, Time};

use super::service_settings::breaker;
use super::services::{self, records, tell};
use super::shifts;
use super::{alarms, counted, images};
use crate::rows::service::{Controller, Deployment, Rollout, Service};
use crate::rows::service_history::{DeploymentRecord, RecordStatus, Rollback, ServiceRevision};
use crate::rows::task::{CurrentTasksOf, Task};

/// AWS: nineteen digits.
pub fn number(dice: &mut Dice) -> u64 {
    1_000_000_000_000_000_000 + dice.below(8_000_000_000_000_000_000)
}

/// What the newest deployment brings.
pub fn revision_of<'s>(state: &'s State, row: &Service) -> Option<&'s ServiceRevision> {
    let revision = row.primary()?.revision;
    state.get::<ServiceRevision>(&(row.key.clone(), revision))
}

/// Begin to deploy a revision. What was newest is on its way out from now on.
pub fn begin(tx: &mut Tx<'_>, row: &mut Service, revision: u64) {
    let now = tx.now();
    let record: Arc<str> = tx.dice.base62(21).into();
    let sources = match row.primary().map(|primary| primary.rollout) {
        None => Vec::new(),
        Some(_) => row.deployments.iter().map(|one| one.revision).collect(),
    };
    let deployment = started(tx, revision, record);
    let progress = shifts::begin(tx, row, &deployment.id, &row.configuration);
    supersede(tx, row, now);
    let record = entry(tx, row, &deployment);
    tx.put(DeploymentRecord { sources, progress: progress.map(Box::new), ..record });
    push(row, deployment);
    services::prune(tx, row);
}

/// What a deployment's entry in the history says at its beginning.
fn entry(tx: &Tx<'_>, row: &Service, deployment: &Deployment) -> DeploymentRecord {
    let now = tx.now();
    let (_, threshold) = breaker(row);
    DeploymentRecord {
        key: (row.key.clone(), deployment.record.clone()),
        number: records(tx, &row.key).last().map_or(0, |last| last.number + 1),
        created_at: now,
        updated_at: now,
        finished_at: None,
        stopped_at: None,
        status: RecordStatus::InProgress,
        reason: None,
        sources: Vec::new(),
        target: deployment.revision,
        configuration: row.configuration.clone(),
        triggered: false,
        failed_tasks: 0,
        threshold,
        rollback: None,
        alarms_ignored: !alarms::ringing(tx, row, &row.configuration).is_empty(),
        alarms_triggered: Vec::new(),
        progress: None,
        counted: Vec::new(),
    }
}

/// What somebody else has brought up becomes the service's own deployment, its tasks with it. One
/// that is steady has nothing left to do, and is what later ones go back to.
pub fn take_over(tx: &mut Tx<'_>, row: &mut Service, deployment: Deployment, steady: bool) {
    let now = tx.now();
    let (rollout, status, word) = match steady {
        true => (Rollout::Completed, RecordStatus::Successful, "completed"),
        false => (Rollout::InProgress, RecordStatus::InProgress, "in progress"),
    };
    let deployment = Deployment {
        record: tx.dice.base62(21).into(),
        updated_at: now,
        rollout,
        reason: format!("ECS deployment {} {word}.", deployment.id).into(),
        ..deployment
    };
    let record = entry(tx, row, &deployment);
    tx.put(DeploymentRecord { status, finished_at: steady.then_some(now), ..record });
    row.deployments = vec![deployment];
}

fn push(row: &mut Service, deployment: Deployment) {
    row.deployments.insert(0, deployment);
    row.steady_at = None;
}

/// A deployment at its beginning.
pub fn started(tx: &mut Tx<'_>, revision: u64, record: Arc<str>) -> Deployment {
    let id: Arc<str> = format!("ecs-svc/{}", number(tx.dice)).into();
    let now = tx.now();
    let reason = format!("ECS deployment {id} in progress.").into();
    Deployment {
        id,
        revision,
        record,
        created_at: now,
        updated_at: now,
        rollout: Rollout::InProgress,
        reason,
        failed_tasks: 0,
        failures: 0,
        failed_at: None,
        keeps: 0,
    }
}

/// A deployment that was under way when the next began has stopped. One that did well keeps what it
/// has until the next takes its tasks' places.
fn supersede(tx: &mut Tx<'_>, row: &mut Service, now: Time) {
    if let Some(primary) = row.primary().filter(|one| one.rollout == Rollout::Completed) {
        let kept = |task: &&Task| {
            let own = task.started_by.as_ref() == Some(&primary.id);
            own && task.desired_status == Desired::Running
        };
        let keeps = tx.by::<CurrentTasksOf>(&row.key).filter(kept).count() as u32;
        row.deployments[0].keeps = keeps;
    }
    let Some(primary) = row.primary().filter(|one| one.rollout == Rollout::InProgress) else {
        return;
    };
    end(tx, row, &primary.record.clone(), RecordStatus::Stopped, now, |record| {
        record.reason = Some("The deployment was superseded by a newer one.".to_owned());
    });
}

/// Scaling out while a deployment is under way. AWS: both versions grow, so that the load is borne
/// also where the newer one never comes up.
pub fn grow(row: &mut Service, before: u32) {
    let more = row.desired_count.saturating_sub(before);
    if let Some(kept) = row.deployments.iter_mut().skip(1).find(|one| one.keeps > 0) {
        kept.keeps = kept.keeps.saturating_add(more);
    }
}

/// An entry of the history comes to its end.
pub fn end(
    tx: &mut Tx<'_>,
    row: &Service,
    record: &Arc<str>,
    status: RecordStatus,
    now: Time,
    more: impl FnOnce(&mut DeploymentRecord),
) {
    tx.edit::<DeploymentRecord>(&(row.key.clone(), record.clone()), |record| {
        if record.status.is_over() {
            return;
        }
        record.status = status;
        record.updated_at = now;
        match status {
            RecordStatus::Stopped => record.stopped_at = Some(now),
            _ if status.is_over() => record.finished_at = Some(now),
            _ => {}
        }
        more(record);
    });
}

/// The newest deployment has all its tasks, and no others are left; or it was to have done no more.
pub fn complete(tx: &mut Tx<'_>, row: &mut Service) {
    let now = tx.now();
    let Some(primary) = row.primary() else { return };
    if primary.rollout != Rollout::InProgress || row.controller == Controller::External {
        return;
    }
    let there = tx.get::<DeploymentRecord>(&(row.key.clone(), primary.record.clone()));
    let back = there.is_some_and(|there| there.rollback.is_some());
    let revisions = there.map(|there| std::iter::once(&there.target).chain(&there.sources));
    let counted = revisions.into_iter().flatten().map(|of| counted::live(tx, row, *of)).collect();
    let Some(primary) = row.deployments.first_mut() else { return };
    primary.rollout = Rollout::Completed;
    primary.updated_at = now;
    primary.reason = format!("ECS deployment {} completed.", primary.id).into();
    let (id, record) = (primary.id.clone(), primary.record.clone());
    let status = if back { RecordStatus::RollbackSuccessful } else { RecordStatus::Successful };
    end(tx, row, &record, status, now, |record| record.counted = counted);
    row.deployments.iter_mut().for_each(|one| one.keeps = 0);
    tell(tx, row, &format!("(deployment {id}) deployment completed."));
}

/// The breaker and the alarms look at the newest deployment.
pub fn judge(tx: &mut Tx<'_>, row: &mut Service) {
    if row.controller == Controller::External {
        return;
    }
    if shifts::governing(tx, row).is_some_and(|(_, progress)| shifts::is_decided(progress)) {
        return;
    }
    listen(tx, row);
    let (enabled, threshold) = breaker(row);
    let Some(primary) = row.primary().filter(|one| one.rollout == Rollout::InProgress) else {
        return;
    };
    let failed = primary.failed_tasks;
    let key = (row.key.clone(), primary.record.clone());
    tx.edit::<DeploymentRecord>(&key, |record| {
        // What opened it is what is shown, also while the way back is under way.
        if !record.triggered {
            (record.failed_tasks, record.threshold) = (failed, threshold);
        }
    });
    // AWS: a version whose images cannot be told apart fails, too; without the breaker it goes on.
    let unknown = images::give_up(tx, row);
    if !enabled || !(unknown || core_rollout::Breaker { failed }.is_open(threshold)) {
        return;
    }
    tx.edit::<DeploymentRecord>(&key, |record| record.triggered = true);
    let wanted = row.configuration.deployment_circuit_breaker.as_ref();
    let back = wanted.is_some_and(|breaker| breaker.rollback == Some(true));
    let why = Why {
        reason: "ECS deployment circuit breaker: tasks failed to start.".to_owned(),
        back: "ECS deployment circuit breaker: rolling back to deploymentId".to_owned(),
        event: "deployment failed: tasks failed to start.".to_owned(),
        status: match back {
            true => {
                "Service deployment rolled back because the circuit breaker threshold was \
                     exceeded."
            }
            false => {
                "Service deployment stopped because the circuit breaker threshold was \
                      exceeded."
            }
        }
        .to_owned(),
    };
    give_up(tx, row, &why, back);
}

/// Alarms that ring end the newest deployment.
fn listen(tx: &mut Tx<'_>, row: &mut Service) {
    let Some(primary) = row.primary().filter(|one| one.rollout == Rollout::InProgress) else {
        return;
    };
    let key = (row.key.clone(), primary.record.clone());
    let Some(record) = tx.get::<DeploymentRecord>(&key) else { return };
    if record.status != RecordStatus::InProgress {
        return;
    }
    let ringing = alarms::triggered(tx, row, record);
    if ringing.is_empty() {
        return;
    }
    let wanted = record.configuration.alarms.as_ref();
    let back = wanted.is_some_and(|alarms| alarms.rollback == Some(true));
    tx.edit::<DeploymentRecord>(&key, |record| record.alarms_triggered = ringing);
    give_up(tx, row, &alarms::why(back), back);
}

/// AWS's word for a rollback of the first deployment.
const NOWHERE: &str = "No rollback candidate was found to run the rollback.";

/// Words for a deployment that is given up.
pub struct Why {
    /// What the deployment says that is given up.
    pub reason: String,
    /// What the deployment says that takes its place; its id follows.
    pub back: String,
    pub event: String,
    /// What its entry in the history says.
    pub status: String,
}

/// Give the newest deployment up; where asked for, go back to the last that completed.
pub fn give_up(tx: &mut Tx<'_>, row: &mut Service, why: &Why, back: bool) {
    let now = tx.now();
    let Some(primary) = row.deployments.first_mut() else { return };
    primary.rollout = Rollout::Failed;
    primary.updated_at = now;
    primary.reason = why.reason.as_str().into();
    let (id, record) = (primary.id.clone(), primary.record.clone());
    let failed = primary.revision;
    tell(tx, row, &format!("(deployment {id}) {}", why.event));
    // AWS: a way back that fails is the end.
    let returning = tx.get::<DeploymentRecord>(&(row.key.clone(), record.clone()));
    let returning = returning.is_some_and(|there| there.rollback.is_some());
    let target = match back && !returning {
        true => last_good(tx, row, failed),
        false => None,
    };
    shifts::turn(tx, row, &record, target.is_some());
    let Some(target) = target else {
        let (status, reason) = match back {
            true => (RecordStatus::RollbackFailed, NOWHERE),
            false => (RecordStatus::Stopped, &*why.status),
        };
        end(tx, row, &record, status, now, |record| record.reason = Some(reason.to_owned()));
        return;
    };
    end(tx, row, &record, RecordStatus::RollbackInProgress, now, |record| {
        record.reason = Some(why.status.clone());
        record.rollback =
            Some(Rollback { reason: why.status.clone(), started_at: now, revision: target });
    });
    // AWS: where the older deployment is still there, it is the newest again.
    let there = row.deployments.iter().position(|one| one.revision == target);
    match there {
        Some(place) => {
            let mut older = row.deployments.remove(place);
            older.record = record;
            older.rollout = Rollout::InProgress;
            older.updated_at = now;
            (older.failed_tasks, older.failures, older.failed_at) = (0, 0, None);
            older.keeps = 0;
            row.deployments.insert(0, older);
            row.steady_at = None;
        }
        None => {
            let deployment = started(tx, target, record);
            push(row, deployment);
        }
    }
    let primary = row.deployments.first_mut().expect("it was just put there");
    let id = primary.id.clone();
    primary.reason = format!("{} {id}.", why.back).into();
    if let Some(revision) = revision_of(tx, row) {
        row.launch = revision.launch;
    }
    tell(tx, row, &format!("rolling back to deployment {id}."));
}

/// The revision of the last deployment that completed, other than the one that failed.
fn last_good(state: &State, row: &Service, failed: u64) -> Option<u64> {
    // Where one kept its tasks all the while, there is no question.
    let kept = shifts::governing(state, row).map(|(_, progress)| progress);
    if let Some(progress) = kept {
        return progress.older_revision;
    }
    let standing = row.deployments.iter().skip(1);
    let standing = standing.filter(|one| one.rollout == Rollout::Completed);
    let mut standing = standing.map(|one| one.revision).filter(|revision| *revision != failed);
    standing.next().or_else(|| {
        let done = |record: &&DeploymentRecord| record.status == RecordStatus::Successful;
        let good = records(state, &row.key).filter(done).map(|record| record.target);
        good.filter(|revision| *revision != failed).last()
    })
}
