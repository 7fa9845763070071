//! What neighbouring slices may ask of this one, and tell it: the seam for load balancers,
//! registries, alarms and Auto Scaling groups. The former own what brings a task its users: a service
//! only minds whether it is healthy, and says which of its versions has which share of them. The
//! latter own the machines: they are told how many there shall be, and say which are to go.

use std::time::Duration;

use core_state::{State, Tx};
use core_task::{Desired, TaskStatus};
use core_types::{Id128, Scope};
use model_ecs as api;

use crate::rows::alarm::{Alarm, AlarmKey};
use crate::rows::cluster::ClusterKey;
use crate::rows::container_instance::{ContainerInstance, InstanceStatus, Terminating};
use crate::rows::managed_scaling::{ManagedScaling, ScaledProviders, ScalingKey};
use crate::rows::service::{Service, ServiceKey};
use crate::rows::task::{CurrentTasksOf, Health, Task};
use crate::rules::{capacity, shifts, timing};

/// How long a host may be silent before its tasks are given up.
pub fn host_grace(state: &State) -> Duration {
    timing::host_lost_after(state)
}

/// The tasks of a service that users may be sent to, the oldest first.
pub fn serving_tasks(state: &State, service: &ServiceKey) -> Vec<Id128> {
    let serves = |task: &&Task| {
        task.observed_status == TaskStatus::Running && task.desired_status == Desired::Running
    };
    let mut tasks: Vec<&Task> = state.by::<CurrentTasksOf>(service).filter(serves).collect();
    tasks.sort_by_key(|task| (task.started_at, task.id));
    tasks.into_iter().map(|task| task.id).collect()
}

/// What is said of a task by those that send it its users: its service gates on it, and replaces
/// what they find unhealthy. `None` takes their word back.
pub fn observe_traffic(tx: &mut Tx<'_>, task: Id128, health: Option<Health>) {
    tx.edit::<Task>(&task, |task| {
        let known = task.extras.as_ref().and_then(|extras| extras.observed_traffic);
        if known != health {
            task.extras.get_or_insert_default().observed_traffic = health;
        }
    });
}

/// A version of a service and its share of traffic, in percent.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    pub revision: u64,
    /// As its tasks tell who started them.
    pub deployment: std::sync::Arc<str>,
    pub production: f64,
    pub test: f64,
}

/// Who has which traffic, the newest version first. Where a service moves no traffic between its
/// versions there is no word of it: all its tasks are alike.
pub fn traffic(state: &State, service: &ServiceKey) -> Vec<Version> {
    let Some(row) = state.get::<Service>(service) else { return Vec::new() };
    let Some((record, _)) = shifts::governing(state, row) else { return Vec::new() };
    let version = |weight: shifts::Weight| {
        let one = row.deployments.iter().find(|one| one.revision == weight.revision)?;
        let (revision, deployment) = (weight.revision, one.id.clone());
        let (production, test) = (weight.production, weight.test);
        Some(Version { revision, deployment, production, test })
    };
    shifts::weights(record).into_iter().filter_map(version).collect()
}

/// An alarm has gone into ALARM, or is in it no more: deployments that watch it end at the former.
pub fn observe_alarm(tx: &mut Tx<'_>, scope: Scope, name: &str, rings: bool) {
    let now = tx.now();
    note_alarm(tx, (scope, name.into()), |alarm| {
        alarm.since = rings.then(|| alarm.since.unwrap_or(now));
    });
}

/// Over which time an alarm looks: the length of its period, times how many of them it evaluates.
/// A rolling update that watches it goes on listening for so long once its tasks are there. Zero
/// takes the word back.
pub fn observe_alarm_span(tx: &mut Tx<'_>, scope: Scope, name: &str, span: Duration) {
    let span = u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
    note_alarm(tx, (scope, name.into()), |alarm| alarm.span = span);
}

fn note_alarm(tx: &mut Tx<'_>, key: AlarmKey, note: impl FnOnce(&mut Alarm)) {
    let known = tx.get::<Alarm>(&key).cloned();
    let mut alarm = known.unwrap_or_else(|| Alarm { key: key.clone(), since: None, span: 0 });
    note(&mut alarm);
    match alarm.since.is_none() && alarm.span == 0 {
        true => drop(tx.delete::<Alarm>(&key)),
        false => tx.put(alarm),
    }
}

/// The sizes that the groups behind a cluster's capacity providers shall have, and why.
pub fn group_sizes<'s>(
    state: &'s State,
    cluster: &ClusterKey,
) -> impl Iterator<Item = &'s ManagedScaling> + use<'s> {
    state.by::<ScaledProviders>(cluster)
}

/// How many instances a group is starting that have not registered yet: they count as there.
pub fn observe_starting(tx: &mut Tx<'_>, provider: &ScalingKey, starting: u32) {
    tx.edit::<ManagedScaling>(provider, |row| row.observed_starting = starting);
}

/// The instances that their group must not terminate to become smaller.
///
/// AWS: with managed termination protection, those that run a task that is no daemon's.
pub fn protected_instances(state: &State, provider: &ScalingKey) -> Vec<Id128> {
    let group = capacity::group(state, &provider.0, &provider.1);
    let protection = group.and_then(|group| group.managed_termination_protection.as_ref());
    if protection != Some(&api::ManagedTerminationProtection::ENABLED) {
        return Vec::new();
    }
    let all = capacity::instances(state, provider).map(|row| row.id);
    all.filter(|id| capacity::is_busy(state, id)).collect()
}

/// AWS: the lifecycle hook of managed draining waits for two days at most.
const DRAINED_WITHIN: Duration = Duration::from_secs(48 * 3600);

/// A group is about to terminate an instance, and waits for the word that it may.
///
/// AWS: with managed draining the instance is DRAINING from now on. Without, it goes as it is.
pub fn observe_terminating(tx: &mut Tx<'_>, instance: Id128) {
    let Some(row) = tx.get::<ContainerInstance>(&instance) else { return };
    if row.terminating.is_some() || row.status == InstanceStatus::Inactive {
        return;
    }
    let provider = row.capacity_provider.as_ref();
    let group = provider.and_then(|provider| capacity::group(tx, &row.cluster, provider));
    let draining = group.and_then(|group| group.managed_draining.as_ref());
    let drained = draining == Some(&api::ManagedDraining::ENABLED);
    let until = tx.now() + DRAINED_WITHIN;
    tx.edit::<ContainerInstance>(&instance, |row| {
        row.terminating = Some(Terminating { until, ready: !drained });
        if drained && row.status == InstanceStatus::Active {
            row.status = InstanceStatus::Draining;
            row.version += 1;
        }
    });
}

/// Whether a group that has said that it is about to terminate an instance may go on.
pub fn may_terminate(state: &State, instance: Id128) -> bool {
    let row = state.get::<ContainerInstance>(&instance);
    row.is_none_or(|row| row.terminating.is_some_and(|one| one.ready))
}
