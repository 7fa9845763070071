//! The socket for telemetry: metrics and health of containers every twenty seconds.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aws_agent::tcs::{
    ContainerHealth, ContainerMetric, FromAgent, HealthMetadata, LongStatsSet, MetricsMetadata,
    PublishHealth, PublishMetrics, RestartStatsSet, StorageStatsSet, TaskHealth, TaskMetric,
};
use http::{HeaderMap, Uri};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use crate::acs::Endpoints;
use crate::clock;
use crate::engine::Phase;
use crate::meter::Meter;
use crate::plane::api::{Api, Backoff, chance, sign};
use crate::plane::connect::ConnectError;
use crate::plane::socket::{Socket, SocketError, query};
use crate::registration::DOCKER_VERSION;
use crate::tasks::{Live, Tasks, random};

/// Health that has changed is published sooner, but no more often than this.
const HEALTH_EVERY: Duration = Duration::from_secs(1);
/// AWS: the interval of publications, and tasks in one frame.
const EVERY: Duration = Duration::from_secs(20);
const TASKS_A_FRAME: usize = 10;

pub struct Tcs {
    pub api: Arc<Api>,
    pub tasks: Arc<Tasks>,
    pub meter: Arc<Meter>,
    pub endpoints: Arc<Endpoints>,
    pub cluster: String,
    pub instance: String,
    /// Silence for so long, and up to as long again, ends the connection.
    pub silence: Duration,
    /// Health is published also where metrics are not wanted.
    pub metrics: bool,
}

impl Tcs {
    pub async fn run(self) {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60), 2.0);
        loop {
            let begun = Instant::now();
            if let Err(error) = self.connect().await {
                tracing::debug!("the telemetry socket ended: {error}");
            }
            if begun.elapsed() > Duration::from_secs(60) {
                backoff.reset();
            }
            sleep(backoff.wait()).await;
        }
    }

    async fn connect(&self) -> Result<(), SocketError> {
        let Ok((_, endpoint)) = self.endpoints.get().await else {
            return Err(ConnectError::Url("the control plane's telemetry".to_owned()).into());
        };
        let pairs = [
            ("agentHash", crate::HASH),
            ("agentVersion", crate::VERSION),
            ("cluster", self.cluster.as_str()),
            ("containerInstance", self.instance.as_str()),
            ("dockerVersion", DOCKER_VERSION),
        ];
        let slash = if endpoint.ends_with('/') { "" } else { "/" };
        let url = format!("{endpoint}{slash}ws?{}", query(&pairs));
        let uri: Uri = url.parse().map_err(|_| ConnectError::Url(url.clone()))?;
        let mut socket = Socket::dial(&self.api, &url, aws_agent::frame::MAX_FROM_PLANE).await?;
        let patience = || self.silence + self.silence.mul_f64(chance());
        let mut silent_at = Instant::now() + patience();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last_health, mut health_at) = (Instant::now(), None);
        loop {
            tokio::select! {
                text = socket.next() => {
                    text?;
                    silent_at = Instant::now() + patience();
                }
                _ = ticks.tick() => {
                    for message in self.metric_publications().into_iter().chain(self.health()) {
                        let frame = self.signed(&uri, &message)?;
                        socket.send(frame).await?;
                    }
                    (last_health, health_at) = (Instant::now(), None);
                }
                () = self.tasks.health_changed.notified() => {
                    health_at = Some(last_health + HEALTH_EVERY);
                }
                () = until(health_at) => {
                    if let Some(message) = self.health() {
                        let frame = self.signed(&uri, &message)?;
                        socket.send(frame).await?;
                    }
                    (last_health, health_at) = (Instant::now(), None);
                }
                () = sleep_until(silent_at) => return Err(SocketError::Silent),
            }
        }
    }

    /// AWS: each frame is signed, as a GET of the socket's URL with the message as its body.
    fn signed(&self, uri: &Uri, message: &FromAgent) -> Result<String, SocketError> {
        let credentials = self.api.credentials()?;
        let mut headers = HeaderMap::new();
        let body = message.encode();
        sign(uri, "GET", self.api.region(), &credentials, &mut headers, body.as_bytes())
            .map_err(|_| ConnectError::Url(uri.to_string()))?;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let mut lines = Vec::new();
        for (shown, name) in [
            ("Authorization", "authorization"),
            ("Host", "host"),
            ("X-Amz-Date", "x-amz-date"),
            ("X-Amz-Security-Token", "x-amz-security-token"),
        ] {
            lines.extend(text(name).map(|value| (shown, value)));
        }
        Ok(message.encode_signed(&lines))
    }

    fn metric_publications(&self) -> Vec<FromAgent> {
        if !self.metrics {
            return Vec::new();
        }
        let all = self.tasks.all();
        self.metric_frames(all.iter().filter_map(|live| self.metrics_of(live)).collect())
    }

    /// Nothing where no container has a health check.
    fn health(&self) -> Option<FromAgent> {
        let all = self.tasks.all();
        let health: Vec<_> = all.iter().filter_map(|live| health_of(live)).collect();
        if health.is_empty() {
            return None;
        }
        let metadata = HealthMetadata {
            cluster: self.cluster.clone(),
            container_instance: self.instance.clone(),
            message_id: hex::encode(random::<16>()),
            fin: true,
        };
        Some(PublishHealth { metadata, tasks: health, timestamp: seconds() }.into())
    }

    fn metric_frames(&self, metrics: Vec<TaskMetric>) -> Vec<FromAgent> {
        let message_id = hex::encode(random::<16>());
        let idle = metrics.is_empty();
        let mut chunks: Vec<Vec<TaskMetric>> =
            metrics.chunks(TASKS_A_FRAME).map(<[TaskMetric]>::to_vec).collect();
        if idle {
            chunks.push(Vec::new());
        }
        let last = chunks.len() - 1;
        let frame = |(nth, task_metrics): (usize, Vec<TaskMetric>)| {
            let metadata = MetricsMetadata {
                cluster: self.cluster.clone(),
                container_instance: self.instance.clone(),
                message_id: message_id.clone(),
                idle,
                fin: nth == last,
            };
            let timestamp = seconds();
            PublishMetrics { metadata, instance_metrics: None, task_metrics, timestamp }.into()
        };
        chunks.into_iter().enumerate().map(frame).collect()
    }

    fn metrics_of(&self, live: &Live) -> Option<TaskMetric> {
        let given = &live.given;
        let restarts: Vec<u32> = {
            let state = live.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.parts.iter().map(|part| part.run).collect()
        };
        let mut container_metrics = Vec::new();
        for (part, container) in given.task.containers.iter().enumerate() {
            let Some(gathered) = self.meter.gathered(&given.container_id(part)) else { continue };
            let (Some(cpu), Some(memory)) = (gathered.cpu, gathered.memory) else { continue };
            let bytes = |value: u64| {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                let (min, max, sum, sample_count) = (value, value, value, 1);
                Some(LongStatsSet { min, max, sum, sample_count, ..LongStatsSet::default() })
            };
            let restart_stats_set = container
                .restart_policy
                .as_ref()
                .filter(|policy| policy.enabled)
                .map(|_| RestartStatsSet { restart_count: restarts[part].into() });
            container_metrics.push(ContainerMetric {
                container_arn: container.container_arn.clone(),
                container_name: container.name.clone(),
                cpu_stats_set: Some(cpu),
                memory_stats_set: Some(memory),
                storage_stats_set: Some(StorageStatsSet {
                    read_size_bytes: bytes(gathered.read_bytes),
                    write_size_bytes: bytes(gathered.write_bytes),
                }),
                restart_stats_set,
                ..ContainerMetric::default()
            });
        }
        (!container_metrics.is_empty()).then(|| TaskMetric {
            task_arn: given.task.arn.clone(),
            cluster_arn: given.task.task_cluster_arn.clone(),
            task_definition_family: given.task.family.clone(),
            task_definition_version: given.task.version.clone(),
            container_metrics,
            ..TaskMetric::default()
        })
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn seconds() -> f64 {
    clock::now().millis() as f64 / 1000.0
}

fn health_of(live: &Live) -> Option<TaskHealth> {
    let given = &live.given;
    let state = live.state.lock().unwrap_or_else(PoisonError::into_inner);
    if state.stopped_at.is_some() {
        return None;
    }
    let checked = given
        .spec
        .parts
        .iter()
        .zip(&state.parts)
        .filter(|(part, seen)| part.health.is_some() && seen.phase == Phase::Running);
    let containers: Vec<_> = checked
        .map(|(part, seen)| ContainerHealth {
            container_name: part.name.clone(),
            health_status: seen.health.status.as_str().to_owned(),
            status_since: seen.health.since.map(|since| since.millis() as f64 / 1000.0),
            status_message: String::new(),
        })
        .collect();
    (!containers.is_empty()).then(|| TaskHealth {
        task_arn: given.task.arn.clone(),
        cluster_arn: given.task.task_cluster_arn.clone(),
        task_definition_family: given.task.family.clone(),
        task_definition_version: given.task.version.clone(),
        containers,
    })
}
