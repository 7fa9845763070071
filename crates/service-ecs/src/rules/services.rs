//! How services are named and found, and what they tell.

use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::{State, Tx};
use core_step::{Call, Demand};
use core_types::Arn;
use model_ecs::{self as api, errors};

use super::{clusters, tags};
use crate::rows::cluster::ClusterKey;
use crate::rows::service::{Service, ServiceKey, ServiceStatus, arn_of};
use crate::rows::service_history::ServiceRevision;
use crate::rows::service_history::{DeploymentRecord, RecordsInOrder, ServiceEvent};

/// AWS: the hundred newest events are shown.
pub const EVENTS: u64 = 100;
/// AWS keeps the deployments of ninety days; here it is a number.
const RECORDS: usize = 100;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// The name inside a service's name or ARN, long or short, and the cluster that a long one names.
fn parts(given: &str) -> (Option<&str>, &str) {
    let found = Arn::parse(given).ok().filter(|arn| arn.service == "ecs");
    match found.and_then(|arn| arn.resource_of("service")) {
        None => (None, given),
        Some(rest) => match rest.split_once('/') {
            Some((cluster, name)) => (Some(cluster), name),
            None => (None, rest),
        },
    }
}

/// The service that a call names, whatever its status; or AWS's word for an ARN that is not of
/// this cluster.
pub fn look_up<'s>(
    state: &'s State,
    call: &Call,
    cluster: &ClusterKey,
    given: &str,
) -> Result<Option<&'s Service>, ApiError> {
    if let Ok(arn) = Arn::parse(given) {
        if arn.resource_of("service").is_none() {
            return Err(invalid("Invalid identifier: The identifier is not a service."));
        }
        let scope = call.scope();
        if arn.account.parse() != Ok(scope.account) || arn.region.parse() != Ok(scope.region) {
            return Ok(None);
        }
    }
    let (named, name) = parts(given);
    if let Some(named) = named.filter(|named| **named != *cluster.1) {
        return Err(invalid(format!(
            "Invalid identifier: Identifier is for cluster {named}. Your cluster is {}",
            cluster.1
        )));
    }
    Ok(state.get::<Service>(&(cluster.clone(), name.into())))
}

/// A service that is there or drains, or AWS's error.
pub fn find<'s>(
    state: &'s State,
    call: &Call,
    cluster: &ClusterKey,
    given: Option<&str>,
) -> Result<&'s Service, ApiError> {
    let given = given.unwrap_or_default();
    if given.is_empty() {
        return Err(invalid("Service can not be blank."));
    }
    let row = look_up(state, call, cluster, given)?;
    let row = row.filter(|row| row.status != ServiceStatus::Inactive);
    row.ok_or_else(|| errors::service_not_found_exception("Service not found."))
}

/// An ACTIVE service, or AWS's error.
pub fn find_active<'s>(
    state: &'s State,
    call: &Call,
    cluster: &ClusterKey,
    given: Option<&str>,
) -> Result<&'s Service, ApiError> {
    let there = look_up(state, call, cluster, given.unwrap_or_default())?;
    // AWS: one that was deleted has an error of its own.
    if there.is_some_and(|row| row.status != ServiceStatus::Active) {
        return Err(errors::service_not_active_exception("Service was not ACTIVE."));
    }
    find(state, call, cluster, given)
}

/// The ARN that a permission or a failure is told with, whether it exists or not.
pub fn told_arn(cluster: &ClusterKey, given: &str) -> String {
    match given.starts_with("arn:") {
        true => given.to_owned(),
        false => arn_of(cluster, given),
    }
}

/// The permission for an action on a service.
pub fn demand(
    state: &State,
    call: &Call,
    action: &'static str,
    cluster: Option<&str>,
    given: Option<&str>,
) -> Demand {
    let key = clusters::key_of(call, cluster);
    let given = given.unwrap_or_default();
    let row = look_up(state, call, &key, given).ok().flatten();
    Demand::on(action, told_arn(&key, given))
        .with("ecs:cluster", clusters::demanded_arn(call, cluster))
        .resource_tags(tags::pairs(row.map(|row| row.tags.as_slice()).unwrap_or_default()))
}

/// AWS: up to 255 letters, digits, hyphens and underscores.
pub fn check_name(name: &str) -> Result<(), ApiError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 255 || !name.bytes().all(good) {
        return Err(invalid("Invalid service name"));
    }
    Ok(())
}

pub fn missing(cluster: &ClusterKey, given: &str) -> api::Failure {
    api::Failure {
        arn: Some(told_arn(cluster, given)),
        reason: Some("MISSING".to_owned()),
        ..Default::default()
    }
}

/// Tell something of a service. Every line begins as AWS's do.
pub fn tell(tx: &mut Tx<'_>, row: &mut Service, text: &str) {
    let number = row.next_event;
    let set = match (row.controller.has_task_sets(), row.primary()) {
        (true, Some(set)) => format!(", taskSet {}", set.id),
        _ => String::new(),
    };
    row.next_event += 1;
    let event = ServiceEvent {
        key: (row.key.clone(), number),
        id: tx.dice.id(),
        at: tx.now(),
        text: format!("(service {}{set}) {text}", row.name()),
    };
    tx.put(event);
    if let Some(old) = number.checked_sub(EVENTS) {
        tx.delete::<ServiceEvent>(&(row.key.clone(), old));
    }
}

/// Events, the newest first.
pub fn events<'s>(
    state: &'s State,
    key: &ServiceKey,
) -> impl DoubleEndedIterator<Item = &'s ServiceEvent> {
    let first = (key.clone(), 0);
    let last = (key.clone(), u64::MAX);
    let rows = state.scan::<ServiceEvent>(first).take_while(move |row| row.key <= last);
    rows.collect::<Vec<_>>().into_iter().rev()
}

/// A service's deployments, the oldest first.
pub fn records<'s>(
    state: &'s State,
    key: &ServiceKey,
) -> impl Iterator<Item = &'s DeploymentRecord> {
    let of = key.clone();
    let rows = state.by_range::<RecordsInOrder>((key.clone(), 0));
    rows.take_while(move |(at, _)| at.0 == of).map(|(_, row)| row)
}

pub fn revisions<'s>(
    state: &'s State,
    key: &ServiceKey,
) -> impl Iterator<Item = &'s ServiceRevision> {
    let of = key.clone();
    let rows = state.scan::<ServiceRevision>((key.clone(), 0));
    rows.take_while(move |row| row.key.0 == of)
}

/// The revisions that an entry of the history tells of.
fn told_of(record: &DeploymentRecord) -> impl Iterator<Item = u64> {
    let back = record.rollback.iter().map(|rollback| rollback.revision);
    record.sources.iter().copied().chain([record.target]).chain(back)
}

/// Whether the history of a service tells of a revision.
pub fn remembers(state: &State, key: &ServiceKey, revision: u64) -> bool {
    records(state, key).flat_map(told_of).any(|told| told == revision)
}

/// Forget the oldest of too many deployments, and the revisions that nothing shows any more.
pub fn prune(tx: &mut Tx<'_>, row: &Service) {
    let all: Vec<Arc<str>> = records(tx, &row.key).map(|r| r.key.1.clone()).collect();
    let in_use = |id: &Arc<str>| row.deployments.iter().any(|one| one.record == *id);
    let over = all.len().saturating_sub(RECORDS);
    for id in all.iter().take(over).filter(|id| !in_use(id)) {
        tx.delete::<DeploymentRecord>(&(row.key.clone(), id.clone()));
    }
    if over == 0 {
        return;
    }
    let mut shown: Vec<u64> = row.deployments.iter().map(|one| one.revision).collect();
    shown.extend(records(tx, &row.key).flat_map(told_of));
    let old: Vec<u64> = revisions(tx, &row.key).map(|r| r.key.1).collect();
    for revision in old.into_iter().filter(|revision| !shown.contains(revision)) {
        tx.delete::<ServiceRevision>(&(row.key.clone(), revision));
    }
}

/// Everything that lies beside a service goes with it.
pub fn forget(tx: &mut Tx<'_>, key: &ServiceKey) {
    let numbers: Vec<u64> = events(tx, key).map(|event| event.key.1).collect();
    for number in numbers {
        tx.delete::<ServiceEvent>(&(key.clone(), number));
    }
    let ids: Vec<Arc<str>> = records(tx, key).map(|record| record.key.1.clone()).collect();
    for id in ids {
        tx.delete::<DeploymentRecord>(&(key.clone(), id));
    }
    let numbers: Vec<u64> = revisions(tx, key).map(|revision| revision.key.1).collect();
    for number in numbers {
        tx.delete::<ServiceRevision>(&(key.clone(), number));
    }
    tx.delete::<Service>(key);
}
