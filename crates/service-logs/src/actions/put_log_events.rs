//! PutLogEvents. The sequence token is taken and ignored, as AWS does.

use aws_protocol::ApiError;
use core_step::{Call, DataAction, Demands, Input, Output, View};
use core_types::Id128;
use model_logs as api;

use crate::rules::events::{self, Place};
use crate::rules::{groups, permissions};

pub struct PutLogEvents;

/// Lines to keep, which may be none.
pub struct Job {
    pub group: Id128,
    pub stream: Id128,
    /// When they came, in milliseconds.
    pub ingested: i64,
    pub events: Vec<api::InputLogEvent>,
    rejected: Option<api::RejectedLogEventsInfo>,
    with_entity: bool,
}

impl DataAction for PutLogEvents {
    type Op = api::ops::PutLogEvents;
    type Job = Job;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let group = input.log_group_name.as_deref().unwrap_or_default();
        let stream = input.log_stream_name.as_deref().unwrap_or_default();
        permissions::on_stream(call, view, "logs:PutLogEvents", group, stream).into()
    }

    fn prepare(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Result<Job, ApiError> {
        let group = groups::find(view, call, &input.log_group_name.unwrap_or_default())?;
        let name = input.log_stream_name.unwrap_or_default();
        let stream = groups::find_stream(view, group, &name)?;
        let now = view.now();
        let expired = group.expired(now);
        let checked = events::check(input.log_events.unwrap_or_default(), now, expired)?;
        Ok(Job {
            group: group.id,
            stream: stream.id,
            ingested: now.millis(),
            events: checked.events,
            rejected: checked.rejected,
            with_entity: input.entity.is_some(),
        })
    }
}

/// What is told once the lines are kept.
pub struct Kept {
    group: Id128,
    ingested: i64,
    rejected: Option<api::RejectedLogEventsInfo>,
    with_entity: bool,
}

impl Job {
    pub fn split(self) -> (Vec<api::InputLogEvent>, Kept) {
        let Job { group, ingested, events, rejected, with_entity, .. } = self;
        (events, Kept { group, ingested, rejected, with_entity })
    }
}

impl Kept {
    /// `number` is the store's number behind the last line's.
    pub fn finish(self, number: u64) -> Output<api::ops::PutLogEvents> {
        let next = Place { timestamp: self.ingested, number };
        api::PutLogEventsResponse {
            next_sequence_token: Some(events::digits(next, self.group)),
            rejected_log_events_info: self.rejected,
            // Entities are shown by operations that are not offered, and are not kept.
            rejected_entity_info: self.with_entity.then_some(api::RejectedEntityInfo {
                error_type: Some(api::EntityRejectionErrorType::UNSUPPORTED_LOG_GROUP_TYPE),
            }),
        }
    }
}
