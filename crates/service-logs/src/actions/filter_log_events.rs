//! FilterLogEvents: lines of some streams, or all, that match a pattern.

use aws_protocol::ApiError;
use core_step::page;
use core_step::{Call, DataAction, Demands, Input, Output, View};
use core_types::Id128;
use model_logs as api;

use crate::rows::group::LogGroup;
use crate::rules::events::{self, Event, PAGE, Place, Wanted};
use crate::rules::pattern::FilterPattern;
use crate::rules::{groups, permissions};

pub struct FilterLogEvents;

pub struct Job {
    pub wanted: Wanted,
    pub pattern: FilterPattern,
}

/// AWS: the newest lines can be asked for first only from this time on: 2024-01-01.
const LATEST_FIRST_SINCE: i64 = 1_704_067_200_000;

impl DataAction for FilterLogEvents {
    type Op = api::ops::FilterLogEvents;
    type Job = Job;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let (name, identifier) =
            (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
        let group = groups::given(name, identifier);
        let mut demands = vec![permissions::on_group(call, view, "logs:FilterLogEvents", group)];
        permissions::unmask(call, view, &mut demands, input.unmask, group);
        demands.into()
    }

    fn prepare(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Result<Job, ApiError> {
        let (name, identifier) =
            (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
        let group = groups::one_of(view, call, name, identifier)?;
        let pattern = FilterPattern::parse(input.filter_pattern.as_deref().unwrap_or_default());
        let pattern = pattern.map_err(|error| groups::invalid(error.to_string()))?;
        let mut backward = input.start_from_head == Some(false);
        if backward && input.start_time.unwrap_or_default() < LATEST_FIRST_SINCE {
            return Err(groups::invalid(
                "startFromHead can be false only when startTime is on or after January 1, 2024.",
            ));
        }
        let mut after = None;
        if let Some(token) = input.next_token.as_deref() {
            let (way, place) = open(group.id, token)?;
            (backward, after) = (way, Some(place));
        }
        Ok(Job {
            pattern,
            wanted: Wanted {
                group: group.id,
                streams: streams(view, group, &input)?,
                from: events::from(group, view.now(), input.start_time),
                // AWS: lines of the end's own millisecond are shown.
                to: input.end_time.map_or(i64::MAX, |end| end.saturating_add(1)),
                after,
                backward,
                limit: input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE),
            },
        })
    }
}

fn streams(
    view: &View<'_>,
    group: &LogGroup,
    input: &api::FilterLogEventsRequest,
) -> Result<Option<Vec<Id128>>, ApiError> {
    match (input.log_stream_names.as_deref(), input.log_stream_name_prefix.as_deref()) {
        (Some(_), Some(_)) => Err(groups::invalid(
            "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.",
        )),
        (Some(names), None) => {
            let find = |name: &String| groups::find_stream(view, group, name).map(|row| row.id);
            names.iter().map(find).collect::<Result<_, _>>().map(Some)
        }
        (None, Some(prefix)) => {
            let rows = events::streams_with_prefix(view, group.id, prefix);
            Ok(Some(rows.map(|row| row.id).collect()))
        }
        (None, None) => Ok(None),
    }
}

fn list(group: Id128) -> String {
    format!("FilterLogEvents {group}")
}

fn open(group: Id128, token: &str) -> Result<(bool, Place), ApiError> {
    let bad = || groups::invalid("The specified nextToken is invalid.");
    let cursor = page::open(&list(group), Some(token)).map_err(|_| bad())?.ok_or_else(bad)?;
    let (way, digits) = cursor.split_at_checked(1).ok_or_else(bad)?;
    let place = events::place(digits, group).ok_or_else(bad)?;
    Ok((way == "b", place))
}

impl Job {
    /// Lines come in the order of their times; `more` is the place where reading stopped.
    pub fn finish(
        self,
        mut found: Vec<Event>,
        more: Option<Place>,
    ) -> Output<api::ops::FilterLogEvents> {
        let Wanted { group, backward, .. } = self.wanted;
        if backward {
            found.reverse();
        }
        let event = |event: Event| api::FilteredLogEvent {
            event_id: Some(events::digits(event.place, group)),
            ingestion_time: Some(event.ingested),
            log_stream_name: Some(event.stream.to_string()),
            message: Some(event.message),
            timestamp: Some(event.place.timestamp),
        };
        let way = if backward { 'b' } else { 'f' };
        let seal =
            |place| page::seal(&list(group), &format!("{way}{}", events::digits(place, group)));
        api::FilterLogEventsResponse {
            events: Some(found.into_iter().map(event).collect()),
            next_token: more.map(seal),
            // AWS: no longer filled.
            searched_log_streams: Some(Vec::new()),
        }
    }
}
