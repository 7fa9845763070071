//! GetLogEvents: one stream, forward or backward. Tokens are places; at an end the same comes back.

use aws_protocol::ApiError;
use core_step::{Call, DataAction, Demands, Input, Output, View};
use model_logs as api;

use crate::rules::events::{self, Event, PAGE, Place, Wanted};
use crate::rules::{groups, permissions};

pub struct GetLogEvents;

pub struct Job {
    pub wanted: Wanted,
    /// What the tokens say when there are no lines.
    here: Place,
}

impl DataAction for GetLogEvents {
    type Op = api::ops::GetLogEvents;
    type Job = Job;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let (name, identifier) =
            (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
        let group = groups::given(name, identifier);
        let stream = input.log_stream_name.as_deref().unwrap_or_default();
        let mut demands =
            vec![permissions::on_stream(call, view, "logs:GetLogEvents", group, stream)];
        permissions::unmask(call, view, &mut demands, input.unmask, group);
        demands.into()
    }

    fn prepare(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Result<Job, ApiError> {
        let (name, identifier) =
            (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
        let group = groups::one_of(view, call, name, identifier)?;
        let stream =
            groups::find_stream(view, group, input.log_stream_name.as_deref().unwrap_or_default())?;
        let from = events::from(group, view.now(), input.start_time);
        let to = input.end_time.unwrap_or(i64::MAX);
        let token = match input.next_token.as_deref() {
            Some(token) => {
                let bad = || groups::invalid("The specified nextToken is invalid.");
                let (backward, digits) = read_token(token).ok_or_else(bad)?;
                Some((backward, events::place(digits, group.id).ok_or_else(bad)?))
            }
            None => None,
        };
        // A token leads in its own direction, whatever else is asked.
        let backward = match token {
            Some((backward, _)) => backward,
            None => !input.start_from_head.unwrap_or_default(),
        };
        let after = token.map(|(_, place)| place);
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE);
        Ok(Job {
            here: after.unwrap_or(Place { timestamp: from, number: 0 }),
            wanted: Wanted {
                group: group.id,
                streams: Some(vec![stream.id]),
                from,
                to,
                after,
                backward,
                limit,
            },
        })
    }
}

/// `f/DIGITS/s` or `b/DIGITS/s`.
fn read_token(token: &str) -> Option<(bool, &str)> {
    let inner = token.strip_suffix("/s")?;
    match inner.split_once('/')? {
        ("f", digits) => Some((false, digits)),
        ("b", digits) => Some((true, digits)),
        _ => None,
    }
}

impl Job {
    /// Lines come in the order of their times.
    pub fn finish(self, found: Vec<Event>) -> Output<api::ops::GetLogEvents> {
        let place = |event: Option<&Event>| event.map_or(self.here, |event| event.place);
        let token = |direction: char, place| {
            Some(format!("{direction}/{}/s", events::digits(place, self.wanted.group)))
        };
        let next_forward_token = token('f', place(found.last()));
        let next_backward_token = token('b', place(found.first()));
        let event = |event: Event| api::OutputLogEvent {
            ingestion_time: Some(event.ingested),
            message: Some(event.message),
            timestamp: Some(event.place.timestamp),
        };
        api::GetLogEventsResponse {
            events: Some(found.into_iter().map(event).collect()),
            next_backward_token,
            next_forward_token,
        }
    }
}
