//! One version of the software for a whole service revision: the tags of its images become digests
//! once, with the first task that tells what it found, and later tasks are told the digest.
//!
//! AWS: that task goes first and alone. A host tells digests before it pulls, so that the others do
//! not wait for long.

use core_state::{State, Tx};
use core_task::TaskStatus;
use core_types::Id128;
use model_ecs as api;

use super::launch::definition_of;
use super::task_definition::{containers_of, name_of};
use crate::rows::container_instance::ContainerInstance;
use crate::rows::service::{Controller, Deployment, Service};
use crate::rows::service_history::ServiceRevision;
use crate::rows::task::{Count, DeploymentTasks, Task};
use crate::rows::task_definition::TaskDefinition;

/// AWS: after so many tasks that failed before anything was told, the deployment goes on without.
pub const ATTEMPTS: u32 = 3;

/// The digest in an image's name.
pub fn digest_in(image: &str) -> Option<&str> {
    image.split_once('@').map(|(_, digest)| digest)
}

/// What a host tells goes into payloads, so it has to be a digest.
fn is_digest(text: &str) -> bool {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    text.split_once(':').is_some_and(|(algorithm, digits)| {
        matches!((algorithm, digits.len()), ("sha256", 64) | ("sha512", 128))
            && digits.bytes().all(hex)
    })
}

/// Whether a container's tag is to become a digest.
///
/// AWS: `versionConsistency` is enabled by default. A name with a digest means one image already.
fn resolves(container: &api::ContainerDefinition) -> bool {
    let disabled = container.version_consistency == Some(api::VersionConsistency::DISABLED);
    !disabled && container.image.as_deref().is_some_and(|image| digest_in(image).is_none())
}

/// The digest of a container's image, as far as the revision knows it.
pub fn digest_of<'r>(
    revision: &'r ServiceRevision,
    container: &'r api::ContainerDefinition,
) -> Option<&'r str> {
    let own = container.image.as_deref().and_then(digest_in);
    own.or_else(|| revision.digest(name_of(container)))
}

/// What a host is to run: the image as the user names it, with the digest where there is one.
///
/// AWS: the tag stays, `web:1@sha256:…`, and hosts go by the digest.
pub fn told(revision: Option<&ServiceRevision>, container: &api::ContainerDefinition) -> String {
    let image = container.image.clone().unwrap_or_default();
    let pinned = revision.filter(|_| resolves(container));
    match pinned.and_then(|revision| revision.digest(name_of(container))) {
        Some(digest) => format!("{image}@{digest}"),
        None => image,
    }
}

/// The revision that a service's task is of. What task sets bring is not resolved: who runs the
/// versions from outside decides about their images, too.
pub fn revision_of<'s>(state: &'s State, task: &Task) -> Option<&'s ServiceRevision> {
    let key = (task.cluster.clone(), task.service.clone()?);
    let service = state.get::<Service>(&key)?;
    let by = task.started_by.as_ref()?;
    let deployment = service.deployments.iter().find(|one| one.id == *by)?;
    let revision = (key, deployment.revision);
    state.get::<ServiceRevision>(&revision).filter(|_| service.controller == Controller::Ecs)
}

/// A host has told of a task: what is the first word on an image stays. A task that runs has told
/// all that it ever will, so that nobody waits for more.
pub fn learn(tx: &mut Tx<'_>, task: Id128) {
    let Some(task) = tx.get::<Task>(&task) else { return };
    let Some(revision) = revision_of(tx, task).filter(|revision| !revision.images_settled) else {
        return;
    };
    let Some(definition) = definition_of(tx, task) else { return };
    let open = containers_of(definition).iter().filter(|one| resolves(one));
    let told = open.filter_map(|container| {
        let known = task.containers.iter().find(|known| *known.name == *name_of(container))?;
        let digest = known.image_digest.clone().filter(|digest| is_digest(digest))?;
        Some((known.name.clone(), digest))
    });
    let told: Vec<_> = told.filter(|(name, _)| revision.digest(name).is_none()).collect();
    let settled = task.observed_status == TaskStatus::Running;
    let key = revision.key.clone();
    if settled || !told.is_empty() {
        tx.edit::<ServiceRevision>(&key, |revision| {
            revision.observed_digests.extend(told);
            revision.images_settled |= settled;
        });
    }
}

/// Whether a revision still waits for a digest.
fn waits(state: &State, revision: &ServiceRevision) -> bool {
    let scope = revision.key.0.0.0;
    let key = (scope, revision.family.clone(), revision.revision);
    let definition = state.get::<TaskDefinition>(&key).map(|row| &row.definition);
    let containers = definition.map(containers_of).unwrap_or_default().iter();
    let mut open = containers.filter(|container| resolves(container));
    let waits = !revision.images_settled && !revision.starts_freely;
    waits && open.any(|one| revision.digest(name_of(one)).is_none())
}

/// The revision of a deployment that waits for a digest.
fn waiting<'s>(
    state: &'s State,
    row: &Service,
    deployment: &Deployment,
) -> Option<&'s ServiceRevision> {
    let revision = state.get::<ServiceRevision>(&(row.key.clone(), deployment.revision))?;
    (row.controller == Controller::Ecs && waits(state, revision)).then_some(revision)
}

/// Whether the first task is on its way, and others wait for its word.
pub fn waits_for_first(state: &State, row: &Service, deployment: &Deployment) -> bool {
    let there = || state.sum::<DeploymentTasks>(&(row.key.clone(), deployment.id.clone()));
    waiting(state, row, deployment).is_some() && there().of(Count::Pending) > 0
}

/// How many of the tasks that are missing may be started: one, until it has told its digests.
pub fn may_start(state: &State, row: &Service, deployment: &Deployment, missing: usize) -> usize {
    match missing {
        0 => 0,
        _ if waits_for_first(state, row, deployment) => 0,
        _ if waiting(state, row, deployment).is_some() => 1,
        _ => missing,
    }
}

/// Whether a host's agent tells digests before it pulls.
///
/// AWS: agents do from 1.70.0 on.
fn tells(instance: &ContainerInstance) -> bool {
    let Some(info) = &instance.version_info else { return false };
    let mut numbers = info
        .agent_version
        .as_deref()
        .unwrap_or_default()
        .split('.')
        .map(|part| part.parse::<u32>().ok());
    let numbers = (numbers.next().flatten(), numbers.next().flatten());
    matches!(numbers, (Some(major), Some(minor)) if (major, minor) >= (1, 70))
}

/// Tasks were started. Where the first is on a host that tells nothing, nobody waits for it.
pub fn note_started(tx: &mut Tx<'_>, row: &Service, deployment: &Deployment, tasks: &[Id128]) {
    let Some(task) = tasks.first().and_then(|task| tx.get::<Task>(task)) else { return };
    let host = task.host.and_then(|host| tx.get::<ContainerInstance>(&host));
    if host.is_some_and(tells) || waiting(tx, row, deployment).is_none() {
        return;
    }
    let key = (row.key.clone(), deployment.revision);
    tx.edit::<ServiceRevision>(&key, |revision| revision.starts_freely = true);
}

/// Give up what could not be established. True where that is news.
pub fn give_up(tx: &mut Tx<'_>, row: &Service) -> bool {
    let Some(primary) = row.primary().filter(|one| one.failures >= ATTEMPTS) else { return false };
    let Some(revision) = waiting(tx, row, primary) else { return false };
    let key = revision.key.clone();
    tx.edit::<ServiceRevision>(&key, |revision| revision.images_settled = true)
}
