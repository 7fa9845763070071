//! Rows as AWS shows them: the only place that knows both.

use core_types::Scope;
use model_logs as api;

use crate::rows::group::LogGroup;
use crate::rows::stream::LogStream;

/// What the store knows of a stream's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub first: i64,
    pub last: i64,
    pub ingested: i64,
}

pub fn group(row: &LogGroup, stored_bytes: u64) -> api::LogGroup {
    let arn = row.arn();
    api::LogGroup {
        arn: Some(format!("{arn}:*")),
        log_group_arn: Some(arn),
        log_group_name: Some(row.name().to_owned()),
        log_group_class: Some(row.class.as_str().into()),
        creation_time: Some(row.created_at.millis()),
        retention_in_days: row.retention_days.and_then(|days| i32::try_from(days).ok()),
        kms_key_id: row.kms_key_id.clone(),
        metric_filter_count: Some(0),
        stored_bytes: i64::try_from(stored_bytes).ok(),
        deletion_protection_enabled: Some(row.deletion_protected),
        ..Default::default()
    }
}

pub fn summary(row: &LogGroup) -> api::LogGroupSummary {
    api::LogGroupSummary {
        log_group_arn: Some(row.arn()),
        log_group_class: Some(row.class.as_str().into()),
        log_group_name: Some(row.name().to_owned()),
    }
}

pub fn stream(
    scope: Scope,
    group: &str,
    row: &LogStream,
    times: Option<Times>,
    token: String,
) -> api::LogStream {
    let name = row.name();
    api::LogStream {
        arn: Some(scope.arn("logs", format_args!("log-group:{group}:log-stream:{name}"))),
        log_stream_name: Some(name.to_owned()),
        creation_time: Some(row.created_at.millis()),
        first_event_timestamp: times.map(|times| times.first),
        last_event_timestamp: times.map(|times| times.last),
        last_ingestion_time: times.map(|times| times.ingested),
        upload_sequence_token: Some(token),
        // AWS: streams no longer tell their bytes; it is always zero.
        stored_bytes: Some(0),
    }
}
