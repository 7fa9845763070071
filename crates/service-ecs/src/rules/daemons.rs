//! How daemons are named and found, how a deployment begins and ends, and what is forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::{State, Tx};
use core_step::{Call, Demand};
use core_types::{Arn, Time};
use model_ecs::{self as api, errors};

use super::{alarms, clusters, tags};
use crate::rows::cluster::{self, ClusterKey};
use crate::rows::container_instance::Awaits;
use crate::rows::daemon::{Daemon, DaemonKey, DaemonStatus, DaemonsOn, Good};
use crate::rows::daemon_history::{
    DaemonDeployment, DaemonDeploymentStatus, DaemonDeploymentsInOrder, DaemonRevision,
    DaemonRollback,
};
use crate::rows::task::{CurrentTasksOfDaemon, TasksOfDaemon};

/// Deployments of a daemon that are kept.
const RECORDS: usize = 50;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// The daemon that an ARN names, of whatever account.
fn parts(given: &str) -> Option<(Arn<'_>, &str, &str)> {
    let arn = Arn::parse(given).ok().filter(|arn| arn.service == "ecs")?;
    let (cluster, name) = arn.resource_of("daemon")?.split_once('/')?;
    (!cluster.is_empty() && !name.is_empty() && !name.contains('/')).then_some((arn, cluster, name))
}

/// The daemon that a call names, where it stands or is on its way out.
pub fn look_up<'s>(state: &'s State, call: &Call, given: &str) -> Option<&'s Daemon> {
    let (arn, cluster, name) = parts(given)?;
    let scope = call.scope();
    let here = arn.account.parse() == Ok(scope.account) && arn.region.parse() == Ok(scope.region);
    let key: DaemonKey = ((scope, cluster.into()), name.into());
    state.get::<Daemon>(&key).filter(|row| here && row.status != DaemonStatus::Deleted)
}

/// The same, or AWS's error.
pub fn find<'s>(
    state: &'s State,
    call: &Call,
    given: Option<&str>,
) -> Result<&'s Daemon, ApiError> {
    let given = given.unwrap_or_default();
    if given.is_empty() {
        return Err(invalid("Daemon ARN can not be blank."));
    }
    let (_, cluster, _) = parts(given)
        .ok_or_else(|| invalid("Invalid identifier: The identifier is not a daemon."))?;
    if let Some(row) = look_up(state, call, given) {
        return Ok(row);
    }
    clusters::find_cluster(state, call, Some(cluster))?;
    Err(missing())
}

pub fn missing() -> ApiError {
    errors::daemon_not_found_exception("Daemon not found.")
}

/// The permission for an action on a daemon.
pub fn demand(state: &State, call: &Call, action: &'static str, given: Option<&str>) -> Demand {
    let given = given.unwrap_or_default();
    let demand = Demand::on(action, given);
    let demand = match parts(given) {
        Some((_, cluster, _)) => demand.with("ecs:cluster", cluster::arn_of(call.scope(), cluster)),
        None => demand,
    };
    let there = look_up(state, call, given).map(|row| row.tags.as_slice());
    demand.resource_tags(tags::pairs(there.unwrap_or_default()))
}

/// The permissions to describe what lies beside a daemon: on it, and on the daemon itself.
pub fn demands_beside(
    state: &State,
    call: &Call,
    action: &'static str,
    (given, of): (&str, Option<&DaemonKey>),
) -> Vec<Demand> {
    let Some(key) = of else { return vec![Demand::on(action, given)] };
    let arn = crate::rows::daemon::arn_of(key);
    let demand = Demand::on(action, given)
        .with("ecs:cluster", cluster::arn_of(key.0.0, &key.0.1))
        .with("ecs:daemon", arn.clone());
    vec![self::demand(state, call, action, Some(&arn)), demand]
}

/// A daemon's deployments, the oldest first.
pub fn records<'s>(
    state: &'s State,
    key: &DaemonKey,
) -> impl Iterator<Item = &'s DaemonDeployment> {
    let of = key.clone();
    let rows = state.by_range::<DaemonDeploymentsInOrder>((key.clone(), 0));
    rows.take_while(move |(at, _)| at.0 == of).map(|(_, row)| row)
}

pub fn revisions<'s>(
    state: &'s State,
    key: &DaemonKey,
) -> impl Iterator<Item = &'s DaemonRevision> {
    let of = key.clone();
    let rows = state.scan::<DaemonRevision>((key.clone(), 0));
    rows.take_while(move |row| row.key.0 == of)
}

/// What every host shall have.
pub fn revision_of<'s>(state: &'s State, row: &Daemon) -> Option<&'s DaemonRevision> {
    state.get::<DaemonRevision>(&(row.key.clone(), row.revision))
}

/// The newest deployment.
pub fn deployment_of<'s>(state: &'s State, row: &Daemon) -> Option<&'s DaemonDeployment> {
    state.get::<DaemonDeployment>(&(row.key.clone(), row.deployment.clone()))
}

/// Revisions that tasks have now.
pub fn standing(state: &State, key: &DaemonKey) -> BTreeSet<u64> {
    let tasks = state.by::<CurrentTasksOfDaemon>(key).filter(|task| !task.is_stopped());
    tasks.filter_map(|task| Some(task.daemon()?.revision)).collect()
}

/// Begin a deployment: of the revision that the row names by now, or, without a target, of none.
pub fn begin(
    tx: &mut Tx<'_>,
    row: &mut Daemon,
    target: Option<u64>,
    configuration: api::DaemonDeploymentConfiguration,
) {
    let now = tx.now();
    end(tx, row, DaemonDeploymentStatus::Stopped, now, |record| {
        record.reason = Some("The deployment was replaced by a newer one.".to_owned());
    });
    let mut sources = standing(tx, &row.key);
    sources.extend(row.good.as_ref().map(|good| good.revision));
    sources.retain(|revision| Some(*revision) != target);
    let id: Arc<str> = tx.dice.base62(21).into();
    let number = records(tx, &row.key).last().map_or(0, |last| last.number + 1);
    tx.put(DaemonDeployment {
        key: (row.key.clone(), id.clone()),
        number,
        created_at: now,
        started_at: None,
        finished_at: None,
        stopped_at: None,
        status: DaemonDeploymentStatus::Pending,
        reason: None,
        sources: sources.into_iter().collect(),
        target,
        providers: row.providers.clone(),
        configuration,
        failed_tasks: 0,
        threshold: core_rollout::threshold(0),
        triggered: false,
        ignored_alarms: Vec::new(),
        triggered_alarms: Vec::new(),
        rollback: None,
        baking_since: None,
    });
    let key = (row.key.clone(), id.clone());
    let rings = tx.get::<DaemonDeployment>(&key).map(|record| ringing(tx, record));
    tx.edit::<DaemonDeployment>(&key, |record| record.ignored_alarms = rings.unwrap_or_default());
    row.deployment = id;
    fresh(row);
    prune(tx, row);
}

/// The alarms that end a deployment now.
pub fn ringing(state: &State, record: &DaemonDeployment) -> Vec<String> {
    let scope = record.key.0.0.0;
    record.watched().filter(|name| alarms::rings(state, scope, name)).cloned().collect()
}

/// Nothing has failed yet.
fn fresh(row: &mut Daemon) {
    (row.given_up, row.failed_tasks) = (false, 0);
    (row.failures, row.failed_at, row.short_at) = (0, None, None);
}

/// The newest deployment comes to its end, unless it has.
pub fn end(
    tx: &mut Tx<'_>,
    row: &Daemon,
    status: DaemonDeploymentStatus,
    now: Time,
    more: impl FnOnce(&mut DaemonDeployment),
) {
    tx.edit::<DaemonDeployment>(&(row.key.clone(), row.deployment.clone()), |record| {
        if record.status.is_over() {
            return;
        }
        record.status = status;
        match status {
            DaemonDeploymentStatus::Stopped => record.stopped_at = Some(now),
            _ if status.is_over() => record.finished_at = Some(now),
            _ => {}
        }
        more(record);
    });
}

/// Every host has what the newest deployment brings, and has had it for long enough.
pub fn complete(tx: &mut Tx<'_>, row: &mut Daemon) {
    let now = tx.now();
    let back = deployment_of(tx, row).is_some_and(|record| record.rollback.is_some());
    let (status, reason) = match back {
        true => (DaemonDeploymentStatus::RollbackSuccessful, "Rollback completed successfully."),
        false => (DaemonDeploymentStatus::Successful, "Deployment completed successfully."),
    };
    end(tx, row, status, now, |record| record.reason = Some(reason.to_owned()));
    row.good = Some(Good { revision: row.revision, providers: row.providers.clone() });
}

/// Give the newest deployment up, and go back to what last did well.
pub fn give_up(tx: &mut Tx<'_>, row: &mut Daemon, reason: &str) {
    let now = tx.now();
    let Some(record) = deployment_of(tx, row) else { return };
    // AWS: a way back that fails is the end.
    if record.rollback.is_some() {
        row.given_up = true;
        let status = DaemonDeploymentStatus::RollbackFailed;
        return end(tx, row, status, now, |record| record.reason = Some(reason.to_owned()));
    }
    let failed = row.revision;
    let Some(good) = row.good.clone().filter(|good| good.revision != failed) else {
        row.given_up = true;
        let status = DaemonDeploymentStatus::Stopped;
        return end(tx, row, status, now, |record| record.reason = Some(reason.to_owned()));
    };
    end(tx, row, DaemonDeploymentStatus::RollbackInProgress, now, |record| {
        record.reason = Some(reason.to_owned());
        record.baking_since = None;
        record.rollback = Some(DaemonRollback {
            reason: reason.to_owned(),
            started_at: now,
            revision: good.revision,
            providers: good.providers.clone(),
        });
    });
    (row.revision, row.providers) = (good.revision, good.providers);
    fresh(row);
}

/// Forget the oldest of too many deployments, and the revisions that nothing shows any more.
fn prune(tx: &mut Tx<'_>, row: &Daemon) {
    let all: Vec<Arc<str>> = records(tx, &row.key).map(|r| r.key.1.clone()).collect();
    let over = all.len().saturating_sub(RECORDS);
    for id in all.iter().take(over).filter(|id| **id != row.deployment) {
        tx.delete::<DaemonDeployment>(&(row.key.clone(), id.clone()));
    }
    if over == 0 {
        return;
    }
    let mut shown: BTreeSet<u64> = [row.revision].into();
    shown.extend(row.good.as_ref().map(|good| good.revision));
    let tasks = tx.by::<TasksOfDaemon>(&row.key);
    shown.extend(tasks.filter_map(|task| Some(task.daemon()?.revision)));
    for record in records(tx, &row.key) {
        shown.extend(record.target);
        shown.extend(&record.sources);
        shown.extend(record.rollback.iter().map(|rollback| rollback.revision));
    }
    let old: Vec<u64> = revisions(tx, &row.key).map(|r| r.key.1).collect();
    for revision in old.into_iter().filter(|revision| !shown.contains(revision)) {
        tx.delete::<DaemonRevision>(&(row.key.clone(), revision));
    }
}

/// Everything that lies beside a daemon goes with it.
pub fn forget(tx: &mut Tx<'_>, key: &DaemonKey) {
    let ids: Vec<Arc<str>> = records(tx, key).map(|record| record.key.1.clone()).collect();
    for id in ids {
        tx.delete::<DaemonDeployment>(&(key.clone(), id));
    }
    let numbers: Vec<u64> = revisions(tx, key).map(|revision| revision.key.1).collect();
    for number in numbers {
        tx.delete::<DaemonRevision>(&(key.clone(), number));
    }
    tx.delete::<Daemon>(key);
}

/// Daemons without which the hosts of a provider take no tasks.
pub fn critical<'s>(
    state: &'s State,
    cluster: &ClusterKey,
    provider: &Arc<str>,
) -> impl Iterator<Item = &'s Daemon> {
    let on = state.by::<DaemonsOn>(&(cluster.clone(), provider.clone()));
    on.filter(|row| row.is_active() && !row.given_up)
        .filter(|row| revision_of(state, row).is_some_and(|revision| revision.critical))
}

/// What a host waits for as it registers.
///
/// AWS: a critical daemon's task that does not start keeps its instance from becoming active.
pub fn first_wait(
    state: &State,
    cluster: &ClusterKey,
    provider: Option<&Arc<str>>,
) -> Option<Awaits> {
    critical(state, cluster, provider?).next().map(|_| Awaits::First)
}
