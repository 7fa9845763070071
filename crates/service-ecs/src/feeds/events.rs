//! What changed, as EventBridge tells it: the stream from which schedulers outside work, and which
//! rules will match.
//!
//! An event is read from a row's images before and after a change, and nothing is kept for it. A
//! reader that missed some finds the rest in the rows, and by the versions which of the two is newer.

use std::cmp::Ordering;

use core_state::{Change, State};
use core_types::{Id128, Scope, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::hook_events;
use crate::rows::capacity_provider;
use crate::rows::cluster::{self, ClusterKey};
use crate::rows::container_instance::{self, ContainerInstance, InstanceStatus};
use crate::rows::daemon;
use crate::rows::daemon_history::{DaemonDeployment, DaemonDeploymentStatus, revision_arn};
use crate::rows::daemon_task_definition;
use crate::rows::managed_scaling::ManagedScaling;
use crate::rows::service::{
    self, Deployment, Hindrance, Rollout, Service, ServiceKey, ServiceStatus, Told,
};
use crate::rows::service_history::{DeploymentRecord, ServiceRevision};
use crate::rows::task::{Health, StopCode, Task};
use crate::rows::task_set::TaskSet;
use crate::rules::{capacity, rollout};
use crate::views;

/// One event, in the shape of its envelope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub version: String,
    /// The same for the same content.
    pub id: String,
    #[serde(rename = "detail-type")]
    pub detail_type: String,
    pub source: String,
    pub account: String,
    pub time: String,
    pub region: String,
    pub resources: Vec<String>,
    pub detail: Value,
}

/// What an event is about, as filters name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Task,
    ContainerInstance,
    Deployment,
    ServiceAction,
    Hook,
    DaemonDeployment,
    DaemonAction,
    /// The size of a group behind a capacity provider.
    Capacity,
}

impl About {
    pub const ALL: [About; 8] = [
        About::Task,
        About::ContainerInstance,
        About::Deployment,
        About::ServiceAction,
        About::Hook,
        About::DaemonDeployment,
        About::DaemonAction,
        About::Capacity,
    ];

    pub fn detail_type(self) -> &'static str {
        match self {
            About::Task => "ECS Task State Change",
            About::ContainerInstance => "ECS Container Instance State Change",
            About::Deployment => "ECS Deployment State Change",
            About::ServiceAction => "ECS Service Action",
            About::Hook => "ECS Hook State Change",
            About::DaemonDeployment => "ECS Daemon Deployment State Change",
            About::DaemonAction => "ECS Daemon Service Action",
            About::Capacity => "ECS Capacity Provider Action",
        }
    }
}

/// What one change of a row tells, the oldest first. `state` is at least as new as the change.
pub fn of(change: &Change, state: &State, now: Time) -> Vec<Event> {
    let teller = Teller { state, now };
    if let Some((before, after)) = change.of::<Task>() {
        return teller.task(before, after);
    }
    if let Some((before, Some(after))) = change.of::<ContainerInstance>() {
        return teller.instance(before, after).into_iter().collect();
    }
    if let Some((before, Some(after))) = change.of::<Service>() {
        return teller.service(before, after);
    }
    if let Some((before, Some(after))) = change.of::<TaskSet>() {
        return teller.task_set(before, after);
    }
    if let Some((before, Some(after))) = change.of::<DeploymentRecord>() {
        let details = hook_events::details(before, after, now);
        let scope = after.key.0.0.0;
        let event = |detail| teller.event(About::Hook, scope, after.arn(), object(detail));
        return details.into_iter().map(event).collect();
    }
    if let Some((before, Some(after))) = change.of::<ManagedScaling>() {
        return teller.capacity(before, after).into_iter().collect();
    }
    if let Some((before, Some(after))) = change.of::<DaemonDeployment>() {
        return teller.daemon_deployment(before, after).into_iter().collect();
    }
    Vec::new()
}

/// The rows of which events are told, each with how to know its changes and how to find them.
macro_rules! told {
    ($($row:ty),* $(,)?) => {
        /// Whether a change may make an event at all.
        pub fn is_told(change: &Change) -> bool {
            $(change.of::<$row>().is_some())||*
        }

        /// Changes from one state to a later one of which no list is at hand, as far as they are
        /// told.
        pub fn between(before: &State, after: &State) -> Vec<Change> {
            let mut changes = Vec::new();
            $(changes.extend(after.changes_since::<$row>(before));)*
            changes
        }
    };
}

told!(
    ContainerInstance,
    Service,
    TaskSet,
    DeploymentRecord,
    DaemonDeployment,
    ManagedScaling,
    Task
);

struct Teller<'s> {
    state: &'s State,
    now: Time,
}

impl Teller<'_> {
    fn task(&self, before: Option<&Task>, after: Option<&Task>) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(after) =
            after.filter(|after| before.is_none_or(|before| differs(before, after)))
        {
            let mut detail = detail(&views::task(self.state, after, true));
            detail.insert("updatedAt".to_owned(), self.time().into());
            events.push(self.event(About::Task, after.cluster.0, after.arn(), detail));
        }
        events.extend(after.and_then(|after| self.impaired(before, after)));
        events.extend(after.into_iter().flat_map(|after| self.given_up(before, after)));
        // AWS: what an instance has left changes with its tasks, which is told as well.
        let held =
            [before, after].map(|row| row.filter(|row| row.holds()).and_then(|row| row.host));
        if held[0] != held[1] {
            for host in held.into_iter().flatten() {
                let row = self.state.get::<ContainerInstance>(&host);
                events.extend(row.and_then(|row| self.instance(None, row)));
            }
        }
        events
    }

    fn instance(
        &self,
        before: Option<&ContainerInstance>,
        after: &ContainerInstance,
    ) -> Option<Event> {
        let same = before.is_some_and(|before| {
            before.version == after.version
                && before.status == after.status
                && before.observed_connected == after.observed_connected
        });
        // Fargate's hosts are nobody's.
        if same || after.fargate().is_some() {
            return None;
        }
        let mut detail = detail(&views::container_instance(self.state, after, true, false));
        detail.insert("clusterArn".to_owned(), self.cluster(&after.cluster).into());
        detail.insert("updatedAt".to_owned(), self.time().into());
        Some(self.event(About::ContainerInstance, after.cluster.0, after.arn(), detail))
    }

    fn service(&self, before: Option<&Service>, after: &Service) -> Vec<Event> {
        let mut events = Vec::new();
        for one in &after.deployments {
            let known =
                before.and_then(|row| row.deployments.iter().find(|known| known.id == one.id));
            if known.is_none_or(|known| known.rollout != one.rollout) {
                events.push(self.deployment(after, one));
            }
            let throttled = |one: &Deployment| rollout::backoff(one).is_throttled();
            if throttled(one) && !known.is_some_and(throttled) {
                events.push(self.action(
                    &after.key,
                    "WARN",
                    "SERVICE_TASK_START_IMPAIRED",
                    json!({}),
                ));
            }
        }
        let known = before.and_then(|before| before.told.as_ref());
        events.extend(self.hindered(&after.key, known, after.told.as_ref()));
        let Some(before) = before else { return events };
        // AWS: a number that a user has given is not told.
        if after.desired_count != before.desired_count && after.daemon {
            let more = json!({ "desiredCount": after.desired_count });
            events.push(self.action(&after.key, "INFO", "SERVICE_DESIRED_COUNT_UPDATED", more));
        }
        if after.steady_at.is_some() && after.steady_at != before.steady_at {
            events.push(self.action(&after.key, "INFO", "SERVICE_STEADY_STATE", json!({})));
            events.extend(self.providers(after));
        }
        events
    }

    /// A task set's events are its service's.
    fn task_set(&self, before: Option<&TaskSet>, after: &TaskSet) -> Vec<Event> {
        let service = &after.key.0;
        let known = before.and_then(|before| before.told.as_ref());
        let mut events: Vec<Event> =
            self.hindered(service, known, after.told.as_ref()).into_iter().collect();
        let throttled = |set: &TaskSet| rollout::backoff(&set.deployment).is_throttled();
        if throttled(after) && !before.is_some_and(throttled) {
            events.push(self.action(service, "WARN", "SERVICE_TASK_START_IMPAIRED", json!({})));
        }
        if after.steady_at.is_some() && after.steady_at != before.and_then(|set| set.steady_at) {
            let more = json!({ "taskSetArns": [after.arn()] });
            events.push(self.action(service, "INFO", "TASKSET_STEADY_STATE", more));
        }
        events
    }

    /// What keeps tasks from their places, where that is news.
    fn hindered(
        &self,
        service: &ServiceKey,
        before: Option<&Told>,
        after: Option<&Told>,
    ) -> Option<Event> {
        let told = after.filter(|told| before != Some(told))?;
        let (name, more) = match told.hindrance.as_ref()? {
            // AWS: the instance that came closest, or the capacity provider that had none.
            Hindrance::Place { word, instance, provider } => {
                let mut more = object(json!({ "reason": word }));
                if let Some(instance) = instance {
                    let arn = container_instance::arn_of(&service.0, *instance);
                    more.insert("containerInstanceArns".to_owned(), json!([arn]));
                }
                if let Some(provider) = provider {
                    let arn = capacity_provider::arn_of(service.0.0, provider);
                    more.insert("capacityProviderArns".to_owned(), json!([arn]));
                }
                ("SERVICE_TASK_PLACEMENT_FAILURE", Value::Object(more))
            }
            Hindrance::Configuration { error } => {
                ("SERVICE_TASK_CONFIGURATION_FAILURE", json!({ "reason": error }))
            }
        };
        Some(self.action(service, "ERROR", name, more))
    }

    /// AWS: the capacity providers of a steady service are steady as well.
    fn providers(&self, service: &Service) -> Option<Event> {
        let revision = (service.key.clone(), service.primary()?.revision);
        let revision = self.state.get::<ServiceRevision>(&revision)?;
        let names = revision.providers.iter().filter_map(|one| one.capacity_provider.as_deref());
        let scope = service.cluster().0;
        let arns: Vec<String> = names.map(|name| views::provider_arn(scope, name)).collect();
        let more = json!({ "capacityProviderArns": arns });
        (!arns.is_empty())
            .then(|| self.action(&service.key, "INFO", "CAPACITY_PROVIDER_STEADY_STATE", more))
    }

    fn deployment(&self, service: &Service, one: &Deployment) -> Event {
        let (kind, name) = match one.rollout {
            Rollout::InProgress => ("INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS"),
            Rollout::Completed => ("INFO", "SERVICE_DEPLOYMENT_COMPLETED"),
            Rollout::Failed => ("ERROR", "SERVICE_DEPLOYMENT_FAILED"),
        };
        let detail = object(json!({
            "eventType": kind,
            "eventName": name,
            "clusterArn": self.cluster(service.cluster()),
            "deploymentId": one.id,
            "updatedAt": iso(one.updated_at),
            "reason": one.reason,
        }));
        self.event(About::Deployment, service.cluster().0, service.arn(), detail)
    }

    fn action(&self, service: &ServiceKey, kind: &str, name: &str, more: Value) -> Event {
        let mut detail = object(json!({
            "eventType": kind,
            "eventName": name,
            "clusterArn": self.cluster(&service.0),
            "createdAt": self.time(),
        }));
        detail.extend(object(more));
        let arn = service::arn_of(&service.0, &service.1);
        self.event(About::ServiceAction, service.0.0, arn, detail)
    }

    /// A task that its service stops.
    fn given_up(&self, before: Option<&Task>, after: &Task) -> Vec<Event> {
        let by_service = |task: &Task| task.stop_code == Some(StopCode::ServiceSchedulerInitiated);
        let news = by_service(after) && !before.is_some_and(by_service);
        let Some(name) = after.service.as_ref().filter(|_| news) else { return Vec::new() };
        let service = (after.cluster.clone(), name.clone());
        let more = json!({ "taskArns": [after.arn()] });
        let mut events = vec![self.action(&service, "INFO", "TASKS_STOPPED", more)];
        let host = after.host.and_then(|host| self.state.get::<ContainerInstance>(&host));
        if let Some(host) = host.filter(|host| self.is_a_stray(&service, after, host)) {
            let more = json!({ "taskArns": [after.arn()], "containerInstanceArns": [host.arn()] });
            let name = "SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED";
            events.push(self.action(&service, "ERROR", name, more));
        }
        events
    }

    /// Whether a daemon gives up a task of its newest version that does well on a host that stays: that
    /// host is not of those any more that its constraints name.
    fn is_a_stray(&self, service: &ServiceKey, task: &Task, host: &ContainerInstance) -> bool {
        self.state.get::<Service>(service).is_some_and(|row| {
            let newest = row.primary().map(|one| &one.id) == task.started_by.as_ref();
            let stays = host.status == InstanceStatus::Active;
            let lives = row.status == ServiceStatus::Active;
            row.daemon && lives && newest && stays && task.health() != Health::Unhealthy
        })
    }

    /// A daemon's task that never ran.
    fn impaired(&self, before: Option<&Task>, after: &Task) -> Option<Event> {
        let of = after.daemon()?;
        let failed =
            |task: &Task| task.is_stopped() && task.stop_code == Some(StopCode::TaskFailedToStart);
        if !failed(after) || before.is_some_and(failed) {
            return None;
        }
        let key = (after.cluster.clone(), of.name.clone());
        let host = after.host.and_then(|host| self.state.get::<ContainerInstance>(&host));
        let provider = after.extras.as_ref().and_then(|extras| extras.capacity_provider.clone());
        let reason = after.stopped_reason.as_deref().unwrap_or_default();
        let detail = object(json!({
            "eventType": "WARNING",
            "eventName": "DAEMON_TASK_START_IMPAIRED",
            "clusterArn": self.cluster(&after.cluster),
            "containerInstanceArn": host.map(ContainerInstance::arn),
            "taskArn": after.arn(),
            "daemonRevisionArn": revision_arn(&key, of.revision),
            "capacityProviderName": provider,
            "daemonArn": daemon::arn_of(&key),
            "daemonTaskDefinitionArn":
                daemon_task_definition::arn_of(after.cluster.0, &after.family, after.revision),
            "failureType": "TASK_FAILED_TO_RUN",
            "createdAt": self.time(),
            "reason": format!("Task failed to reach RUNNING status: {reason}"),
        }));
        Some(self.event(About::DaemonAction, after.cluster.0, after.arn(), detail))
    }

    fn daemon_deployment(
        &self,
        before: Option<&DaemonDeployment>,
        after: &DaemonDeployment,
    ) -> Option<Event> {
        if before.is_some_and(|before| before.status == after.status) {
            return None;
        }
        let failed = after.status == DaemonDeploymentStatus::RollbackFailed;
        let (cluster, _) = &after.key.0;
        let mut detail = object(json!({
            "eventType": if failed { "ERROR" } else { "INFO" },
            "eventName": format!("DAEMON_DEPLOYMENT_{}", after.status.as_str()),
            "clusterArn": self.cluster(cluster),
            "daemonArn": daemon::arn_of(&after.key.0),
            "daemonDeploymentArn": after.arn(),
            "updatedAt": self.time(),
        }));
        if let Some(target) = after.target {
            let arn = revision_arn(&after.key.0, target);
            detail.insert("targetDaemonRevisionArn".to_owned(), arn.into());
        }
        let resource = daemon::arn_of(&after.key.0);
        Some(self.event(About::DaemonDeployment, cluster.0, resource, detail))
    }

    /// What AWS shows as a metric and as activities of the group's policy.
    fn capacity(&self, before: Option<&ManagedScaling>, after: &ManagedScaling) -> Option<Event> {
        let told = |row: &ManagedScaling| (row.needed, row.there, row.reservation);
        let name = match before.map(|row| row.desired_size.cmp(&after.desired_size)) {
            Some(Ordering::Less) => "CAPACITY_PROVIDER_SCALE_OUT",
            Some(Ordering::Greater) => "CAPACITY_PROVIDER_SCALE_IN",
            _ if before.map(told) != Some(told(after)) => "CAPACITY_PROVIDER_RESERVATION",
            _ => return None,
        };
        let (cluster, provider) = &after.key;
        let group = capacity::group(self.state, cluster, provider);
        let detail = object(json!({
            "eventType": "INFO",
            "eventName": name,
            "clusterArn": self.cluster(cluster),
            "capacityProviderName": provider,
            "autoScalingGroupArn": group.and_then(|group| group.auto_scaling_group_arn.clone()),
            "capacityProviderReservation": f64::from(after.reservation) / 100.0,
            "neededInstances": after.needed,
            "currentInstances": after.there,
            "desiredSize": after.desired_size,
            "createdAt": self.time(),
            "reason": after.reason,
        }));
        let resource = capacity_provider::arn_of(cluster.0, provider);
        Some(self.event(About::Capacity, cluster.0, resource, detail))
    }

    fn event(
        &self,
        about: About,
        scope: Scope,
        resource: String,
        detail: Map<String, Value>,
    ) -> Event {
        let mut event = Event {
            version: "0".to_owned(),
            id: String::new(),
            detail_type: about.detail_type().to_owned(),
            source: "aws.ecs".to_owned(),
            account: scope.account.to_string(),
            time: iso(Time(self.now.seconds() * 1000)),
            region: scope.region.to_string(),
            resources: vec![resource],
            detail: Value::Object(detail),
        };
        event.id = id_of(&event).dashed();
        event
    }

    fn cluster(&self, (scope, name): &ClusterKey) -> String {
        cluster::arn_of(*scope, name)
    }

    fn time(&self) -> String {
        iso(self.now)
    }
}

/// Whether a reader of DescribeTasks would see a difference that AWS tells.
fn differs(before: &Task, after: &Task) -> bool {
    before.version != after.version
        || before.observed_status != after.observed_status
        || before.desired_status != after.desired_status
        || before.host != after.host
}

fn detail(shape: &impl aws_protocol::AnyShape) -> Map<String, Value> {
    object(aws_protocol::event_detail(shape))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

pub(super) fn iso(time: Time) -> String {
    views::timestamp(time).map(|time| time.iso8601()).unwrap_or_default()
}

/// FNV-1a of 128 bits over the content: a reader that meets an event twice sees that it is one.
fn id_of(event: &Event) -> Id128 {
    let text = serde_json::to_vec(event).unwrap_or_default();
    let hash = text.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
    });
    Id128(hash.to_be_bytes())
}
