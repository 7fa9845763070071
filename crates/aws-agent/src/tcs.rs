//! TCS, the telemetry service: the agent publishes what it measures, the plane acknowledges.
//!
//! The plane's frames are as on ACS. The agent's are signed: header lines, an empty line, then the JSON.
//! The signature is over the socket's URL, whose sender was proven when it was opened, so the lines are
//! split off and not verified again.

use crate::FrameError;
use crate::frame::{MAX_FROM_AGENT, MAX_FROM_PLANE, frames};
use crate::shape::shape;

/// Header lines that a frame may have; the stock agent sends three or four.
pub const MAX_HEADERS: usize = 32;

frames! {
    /// What the plane tells an agent.
    FromPlane, limit MAX_FROM_PLANE;
    AckMetric(AckPublishMetric) = "AckPublishMetric",
    AckHealth(AckPublishHealth) = "AckPublishHealth",
    AckInstanceStatus(AckPublishInstanceStatus) = "AckPublishInstanceStatus",
    Heartbeat(Heartbeat) = "HeartbeatMessage",
    StopSession(StopTelemetrySession) = "StopTelemetrySessionMessage",
    InvalidParameter(InvalidParameter) = "InvalidParameterException",
    ResourceValidation(ResourceValidation) = "ResourceValidationException",
    BadRequest(BadRequest) = "BadRequestException",
    Server(ServerException) = "ServerException",
}

frames! {
    /// What an agent tells the plane, without the signature's lines.
    FromAgent, limit MAX_FROM_AGENT;
    Metrics(PublishMetrics) = "PublishMetricsRequest",
    Health(PublishHealth) = "PublishHealthRequest",
    InstanceStatus(PublishInstanceStatus) = "PublishInstanceStatusRequest",
    StartSession(StartTelemetrySession) = "StartTelemetrySessionRequest",
}

impl FromAgent {
    /// A frame as an agent sends it: `headers` are the signature's lines, in their order.
    pub fn encode_signed(&self, headers: &[(&str, &str)]) -> String {
        let mut frame = String::new();
        for (name, value) in headers {
            frame.extend([name, ": ", value, "\r\n"]);
        }
        frame.push_str("\r\n");
        frame.push_str(&self.encode());
        frame
    }

    /// Reads a frame with its header lines. A frame that opens with `{` has none, and is taken as it is.
    pub fn decode_signed(frame: &str) -> Result<Self, FrameError> {
        if frame.len() > MAX_FROM_AGENT {
            return Err(FrameError::TooLong { bytes: frame.len(), limit: MAX_FROM_AGENT });
        }
        let (_, message) = split_signed(frame)?;
        Self::decode(message)
    }
}

/// The header lines of a signed frame, name and value.
pub type Headers<'a> = Vec<(&'a str, &'a str)>;

/// Splits a signed frame at its first empty line: the headers, and the JSON behind them.
pub fn split_signed(frame: &str) -> Result<(Headers<'_>, &str), FrameError> {
    if frame.trim_start().starts_with('{') {
        return Ok((Vec::new(), frame));
    }
    let (head, message) = match frame.strip_prefix("\r\n") {
        Some(message) => ("", message),
        None => frame.split_once("\r\n\r\n").ok_or(FrameError::NoBlankLine)?,
    };
    let lines = head.split("\r\n").filter(|line| !line.is_empty());
    let count = lines.clone().count();
    if count > MAX_HEADERS {
        return Err(FrameError::TooManyHeaders(count));
    }
    let headers = lines
        .map(|line| line.split_once(':').map(|(name, value)| (name.trim(), value.trim())))
        .collect::<Option<Vec<_>>>()
        .ok_or(FrameError::HeaderWithoutColon)?;
    Ok((headers, message))
}

shape! {
    AckPublishMetric "camelCase" { message: String }
    AckPublishHealth "camelCase" { message: String }
    AckPublishInstanceStatus "camelCase" { message: String }
    Heartbeat "camelCase" { healthy: bool }
    StopTelemetrySession "camelCase" { message: String }
    StartTelemetrySession "camelCase" { cluster: String, container_instance: String }
    InvalidParameter "camelCase" { message: String }
    ResourceValidation "camelCase" { message: String }
    BadRequest "camelCase" { message: String }
    ServerException "camelCase" { message: String }

    /// Every 20 s, at most ten tasks a frame. Timestamps are seconds since 1970 with a fraction.
    PublishMetrics "camelCase" {
        metadata: MetricsMetadata,
        instance_metrics: Option<InstanceMetrics>,
        task_metrics: Vec<TaskMetric>,
        timestamp: f64,
    }

    MetricsMetadata "camelCase" {
        cluster: String,
        container_instance: String,
        message_id: String,
        /// The instance runs no task.
        idle: bool,
        /// The last frame of one round.
        fin: bool,
    }

    TaskMetric "camelCase" {
        task_arn: String,
        cluster_arn: String,
        task_definition_family: String,
        task_definition_version: String,
        container_metrics: Vec<ContainerMetric>,
        ephemeral_storage_metrics: Option<EphemeralStorageMetrics>,
        volume_metrics: Vec<VolumeMetric>,
        service_connect_metrics_wrapper: Vec<GeneralMetrics>,
    }

    ContainerMetric "camelCase" {
        container_arn: String,
        container_name: String,
        /// 100 is one core busy, not divided by the cores there are.
        cpu_stats_set: Option<StatsSet>,
        /// MiB.
        memory_stats_set: Option<StatsSet>,
        network_stats_set: Option<NetworkStatsSet>,
        storage_stats_set: Option<StorageStatsSet>,
        restart_stats_set: Option<RestartStatsSet>,
        general_metrics_payload: Vec<GeneralMetrics>,
    }

    StatsSet "camelCase" { min: f64, max: f64, sum: f64, sample_count: i64 }

    /// Whole numbers; what does not fit goes on in the overflow members.
    LongStatsSet "camelCase" {
        min: i64,
        max: i64,
        sum: i64,
        sample_count: i64,
        overflow_min: i64,
        overflow_max: i64,
        overflow_sum: i64,
    }

    NetworkStatsSet "camelCase" {
        rx_bytes: Option<LongStatsSet>,
        rx_bytes_per_second: Option<StatsSet>,
        rx_dropped: Option<LongStatsSet>,
        rx_errors: Option<LongStatsSet>,
        rx_packets: Option<LongStatsSet>,
        tx_bytes: Option<LongStatsSet>,
        tx_bytes_per_second: Option<StatsSet>,
        tx_dropped: Option<LongStatsSet>,
        tx_errors: Option<LongStatsSet>,
        tx_packets: Option<LongStatsSet>,
    }

    StorageStatsSet "camelCase" {
        read_size_bytes: Option<LongStatsSet>,
        write_size_bytes: Option<LongStatsSet>,
    }

    RestartStatsSet "camelCase" { restart_count: i64 }
    EphemeralStorageMetrics "camelCase" { bytes_utilized: Option<LongStatsSet> }

    VolumeMetric "camelCase" {
        volume_id: String,
        volume_name: String,
        utilized: Option<StatsSet>,
        size: Option<StatsSet>,
    }

    GeneralMetrics "camelCase" {
        dimensions: Vec<Dimension>,
        metric_type: String,
        general_metrics: Vec<GeneralMetric>,
    }

    Dimension "camelCase" { key: String, value: String }

    GeneralMetric "camelCase" {
        metric_name: String,
        metric_values: Vec<f64>,
        metric_counts: Vec<i64>,
        metric_value_double: Option<f64>,
        metric_value_long: Option<i64>,
        metric_value_stats_set: Option<StatsSet>,
        unit: String,
    }

    InstanceMetrics "camelCase" {
        storage: Option<InstanceStorageMetrics>,
        general_metrics_payload: Vec<GeneralMetrics>,
    }

    /// Percentages.
    InstanceStorageMetrics "camelCase" { root_filesystem: Option<f64>, data_filesystem: Option<f64> }

    PublishHealth "camelCase" {
        metadata: HealthMetadata,
        tasks: Vec<TaskHealth>,
        timestamp: f64,
    }

    HealthMetadata "camelCase" {
        cluster: String,
        container_instance: String,
        message_id: String,
        fin: bool,
    }

    TaskHealth "camelCase" {
        task_arn: String,
        cluster_arn: String,
        task_definition_family: String,
        task_definition_version: String,
        containers: Vec<ContainerHealth>,
    }

    ContainerHealth "camelCase" {
        container_name: String,
        /// `HEALTHY`, `UNHEALTHY`, `UNKNOWN`.
        health_status: String,
        status_since: Option<f64>,
        status_message: String,
    }

    PublishInstanceStatus "camelCase" {
        metadata: InstanceStatusMetadata,
        statuses: Vec<InstanceStatus>,
        timestamp: f64,
    }

    InstanceStatusMetadata "camelCase" {
        cluster: String,
        container_instance: String,
        request_id: String,
    }

    InstanceStatus "camelCase" {
        /// `ContainerRuntime`, `Agent`, `EBSDaemon`, `ACCELERATED_COMPUTE`.
        r#type: String,
        /// `OK`, `IMPAIRED`, `INSUFFICIENT_DATA`, `INITIALIZING`.
        status: String,
        status_reason: String,
        last_updated: Option<f64>,
        last_status_change: Option<f64>,
    }
}
