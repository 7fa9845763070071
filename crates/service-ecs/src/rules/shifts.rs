//! Deployments that keep the older version whole until the newer has proved itself: BLUE_GREEN,
//! CANARY and LINEAR. How rows become core-rollout's question, and what its answers mean for
//! versions, tasks and traffic.

use std::sync::Arc;
use std::time::Duration;

use core_rollout::{ALL, Cause, Course, Shift, Stage, Terms};
use core_state::{State, Tx};
use core_types::Time;
use model_ecs as api;

use super::deployments::Why;
use super::{alarms, hooks};
use crate::rows::progress::{HookStatus, Progress};
use crate::rows::service::{Deployment, Rollout, Service};
use crate::rows::service_history::DeploymentRecord;

/// AWS's defaults.
pub const CANARY: (f64, i32) = (5.0, 10);
pub const LINEAR: (f64, i32) = (10.0, 6);

fn minutes(given: Option<i32>) -> Duration {
    Duration::from_secs(u64::try_from(given.unwrap_or_default()).unwrap_or_default() * 60)
}

/// Percents have one decimal.
fn share(percent: f64) -> u32 {
    (percent * 10.0).round().clamp(0.0, f64::from(ALL)) as u32
}

pub fn percent(share: u32) -> f64 {
    f64::from(share) / 10.0
}

/// How traffic is to be moved; none where tasks are replaced by and by.
fn shift_of(configuration: &api::DeploymentConfiguration) -> Option<Shift> {
    match configuration.strategy.as_ref().map(|strategy| strategy.as_str()) {
        Some("BLUE_GREEN") => Some(Shift::AllAtOnce),
        Some("CANARY") => {
            let given = configuration.canary_configuration.clone().unwrap_or_default();
            let bake = given.canary_bake_time_in_minutes.or(Some(CANARY.1));
            let share = share(given.canary_percent.unwrap_or(CANARY.0));
            Some(Shift::Canary { share, bake: minutes(bake) })
        }
        Some("LINEAR") => {
            let given = configuration.linear_configuration.clone().unwrap_or_default();
            let bake = given.step_bake_time_in_minutes.or(Some(LINEAR.1));
            let share = share(given.step_percent.unwrap_or(LINEAR.0));
            Some(Shift::Linear { share, bake: minutes(bake) })
        }
        _ => None,
    }
}

pub fn terms(record: &DeploymentRecord, progress: &Progress) -> Terms {
    Terms {
        shift: shift_of(&record.configuration).unwrap_or(Shift::AllAtOnce),
        bake: minutes(record.configuration.bake_time_in_minutes)
            .max(Duration::from_secs(progress.alarm_span.into())),
        from_older: progress.older.is_some(),
        rolling: rolls(record),
    }
}

/// Its tasks are replaced by and by.
fn rolls(record: &DeploymentRecord) -> bool {
    shift_of(&record.configuration).is_none()
}

/// The entry of the newest deployment, where its tasks are replaced by and by and it goes through
/// stages all the same: hooks hold it, or it bakes.
pub fn rolling<'s>(
    state: &'s State,
    row: &Service,
) -> Option<(&'s DeploymentRecord, &'s Progress)> {
    let record =
        state.get::<DeploymentRecord>(&(row.key.clone(), row.primary()?.record.clone()))?;
    let progress = record.progress.as_deref()?;
    let goes = progress.at.course == Course::Forward && !record.status.is_over();
    (goes && rolls(record)).then_some((record, progress))
}

/// The entry of the newest deployment, where it is one of these and its versions are under way, or
/// were left as they were.
pub fn governing<'s>(
    state: &'s State,
    row: &Service,
) -> Option<(&'s DeploymentRecord, &'s Progress)> {
    let record =
        state.get::<DeploymentRecord>(&(row.key.clone(), row.primary()?.record.clone()))?;
    let progress = record.progress.as_deref()?;
    let held = progress.at.course == Course::Held;
    if rolls(record) {
        return None;
    }
    (held || !record.status.is_over()).then_some((record, progress))
}

/// Nothing that its tasks do changes its course any more.
pub fn is_decided(progress: &Progress) -> bool {
    progress.at.stage == Stage::CleanUp && progress.at.course == Course::Forward
}

/// Which of a service's deployments serves, should a new one begin now. One that was given up is
/// nothing to go back to: it starts no tasks any more.
fn serving<'s>(state: &State, row: &'s Service) -> Option<&'s Deployment> {
    let all = || row.deployments.iter();
    let Some((_, progress)) = governing(state, row) else {
        return all().find(|one| one.rollout == Rollout::Completed);
    };
    let at = progress.at;
    let newer = Some(&progress.newer);
    let id = match at.course {
        Course::Back => progress.older.as_ref(),
        // The older one is on its way out already.
        Course::Forward if at.stage == Stage::CleanUp => newer,
        _ => progress.older.as_ref().or(newer.filter(|_| at.production > 0)),
    };
    all().find(|one| Some(&one.id) == id && one.rollout != Rollout::Failed)
}

/// How far a deployment is that begins now. It is not among the service's yet.
pub fn begin(
    tx: &mut Tx<'_>,
    row: &Service,
    newer: &Arc<str>,
    configuration: &api::DeploymentConfiguration,
) -> Option<Progress> {
    let hooks = configuration.lifecycle_hooks.as_ref().is_some_and(|hooks| !hooks.is_empty());
    let bakes = configuration.bake_time_in_minutes.is_some_and(|minutes| minutes > 0);
    let rolls = shift_of(configuration).is_none();
    let own = rolls && !bakes;
    let span = if own { alarms::longest_span(tx, row, configuration) } else { Duration::ZERO };
    if rolls && !hooks && !bakes && span.is_zero() {
        return None;
    }
    let older = serving(tx, row);
    let older_revision = older.map(|one| one.revision);
    let older = older.map(|one| one.id.clone());
    let at = core_rollout::Progress::begin(tx.now(), !rolls && row.deployments.len() > 1);
    let hooks = hooks::begin(tx, configuration, &at);
    let alarm_span = u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
    Some(Progress { at, newer: newer.clone(), older, older_revision, hooks, alarm_span })
}

/// Write where a deployment is, with the hooks of its stage.
pub fn enter(tx: &mut Tx<'_>, record: &DeploymentRecord, at: core_rollout::Progress) {
    let hooks = hooks::begin(tx, &record.configuration, &at);
    let now = tx.now();
    tx.edit::<DeploymentRecord>(&record.key, |record| {
        if let Some(progress) = record.progress.as_deref_mut() {
            (progress.at, progress.hooks) = (at, hooks);
            record.updated_at = now;
        }
    });
}

/// What becomes of the newest deployment that is given up: the way back, or all stays as it is.
pub fn turn(tx: &mut Tx<'_>, row: &Service, record: &Arc<str>, back: bool) {
    let key = (row.key.clone(), record.clone());
    let Some(record) = tx.get::<DeploymentRecord>(&key).cloned() else { return };
    let Some(at) = record.progress.as_ref().map(|progress| progress.at) else { return };
    if at.course == Course::Back {
        return;
    }
    match back {
        // The way back rolls as well, without a word of hooks.
        true if rolls(&record) => drop(tx.edit::<DeploymentRecord>(&key, |record| {
            if let Some(progress) = record.progress.as_deref_mut() {
                progress.at.course = Course::Back;
                hooks::forget(&mut progress.hooks);
            }
        })),
        true => enter(tx, &record, at.turn_back(tx.now())),
        false => drop(tx.edit::<DeploymentRecord>(&key, |record| {
            if let Some(progress) = record.progress.as_deref_mut() {
                progress.at = at.hold();
                hooks::forget(&mut progress.hooks);
            }
        })),
    }
}

/// The service is deleted: nobody is asked any more.
pub fn forsake(tx: &mut Tx<'_>, row: &Service) {
    let Some((record, _)) = governing(tx, row).or_else(|| rolling(tx, row)) else { return };
    let key = record.key.clone();
    tx.edit::<DeploymentRecord>(&key, |record| {
        if let Some(progress) = record.progress.as_deref_mut() {
            progress.at = progress.at.hold();
            hooks::forget(&mut progress.hooks);
        }
    });
}

/// What is wanted of a deployment's tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// So many, replaced where they fail.
    Keep(u32),
    /// Those that are there, until another version serves in their place.
    Leave,
    Gone,
}

/// For each of a service's deployments, in their order.
pub fn wants(row: &Service, progress: &Progress) -> Vec<Want> {
    let (newer, older) = core_rollout::wanted(&progress.at, row.desired_count);
    let cleaning = progress.at.stage == Stage::CleanUp;
    let want = |id: &Arc<str>| match id {
        id if *id == progress.newer => Want::Keep(newer),
        id if Some(id) == progress.older.as_ref() => Want::Keep(older),
        _ if progress.older.is_some() || cleaning => Want::Gone,
        _ => Want::Leave,
    };
    row.deployments.iter().map(|one| want(&one.id)).collect()
}

/// Whose traffic: a version's share of users and of tests, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight {
    pub revision: u64,
    pub production: f64,
    pub test: f64,
}

/// Of the revisions that a deployment is about, the newer one first.
pub fn weights(record: &DeploymentRecord) -> Vec<Weight> {
    let Some(progress) = record.progress.as_ref().filter(|_| !rolls(record)) else {
        return Vec::new();
    };
    let at = progress.at;
    let weight = |revision, production, test| Weight {
        revision,
        production: percent(production),
        test: percent(test),
    };
    let newer = weight(record.target, at.production, at.test);
    let older = |revision| weight(revision, ALL - at.production, ALL - at.test);
    std::iter::once(newer).chain(progress.older_revision.map(older)).collect()
}

/// Why core-rollout gives a deployment up, in AWS's words.
pub fn why(progress: &Progress, cause: Cause) -> Why {
    let stage = progress.at.stage.as_str();
    let status = match cause {
        Cause::StageTimedOut => {
            format!("Service deployment rolled back because {stage} lifecycle stage timed out.")
        }
        Cause::DeploymentTimedOut => {
            "Service deployment rolled back because the service deployment timed out.".to_owned()
        }
        Cause::Hooks => {
            let mut failed = progress.hooks.iter().filter(|hook| hooks::has_failed(hook));
            match failed.next() {
                Some(hook) if hook.target.is_none() && hook.status == HookStatus::TimedOut => {
                    format!("Service deployment rolled back because {stage} pause hook timed out.")
                }
                failed => {
                    let reason = failed.and_then(|hook| hook.reason.clone()).unwrap_or_default();
                    format!(
                        "Service deployment rolled back because {stage} lifecycle hook(s) failed. \
                         {reason}"
                    )
                }
            }
        }
    };
    Why {
        reason: status.clone(),
        back: "ECS deployment: rolling back to deploymentId".to_owned(),
        event: format!("deployment failed: {status}"),
        status,
    }
}

/// When time alone moves something on.
pub fn look_at(progress: &Progress) -> Option<Time> {
    let open = progress.hooks.iter().filter(|hook| hook.status.is_open());
    open.flat_map(|hook| [Some(hook.expires_at), hook.call_at]).flatten().min()
}
