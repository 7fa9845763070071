//! DescribeLogStreams: by name, or by the time of the last line, which the store knows.

use aws_protocol::ApiError;
use core_step::page::{self, page};
use core_step::{Call, DataAction, Demands, Input, Output, View};
use core_types::{Id128, Scope};
use model_logs as api;

use crate::rows::stream::LogStream;
use crate::rules::events::{self, Place};
use crate::rules::{groups, permissions};
use crate::views::{self, Times};

pub struct DescribeLogStreams;

/// The streams among which the page is.
pub struct Job {
    pub group: Id128,
    scope: Scope,
    name: String,
    streams: Vec<LogStream>,
    by_time: bool,
    descending: bool,
    after: Option<Rank>,
    size: usize,
}

/// What streams are ordered by: the time of the last line where that is asked for, and the name.
type Rank = (i64, String);

const LIST: &str = "DescribeLogStreams";

impl DataAction for DescribeLogStreams {
    type Op = api::ops::DescribeLogStreams;
    type Job = Job;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let (name, identifier) =
            (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
        let name = groups::given(name, identifier);
        permissions::on_group(call, view, "logs:DescribeLogStreams", name).into()
    }

    fn prepare(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Result<Job, ApiError> {
        let by_time = input.order_by.as_ref() == Some(&api::OrderBy::LAST_EVENT_TIME);
        let prefix = input.log_stream_name_prefix.as_deref();
        if by_time && prefix.is_some() {
            return Err(groups::invalid(
                "Cannot order by LastEventTime with a logStreamNamePrefix.",
            ));
        }
        let (name, identifier) =
            (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
        let group = groups::one_of(view, call, name, identifier)?;
        let bad = || groups::invalid("The specified nextToken is invalid.");
        let after = page::open(LIST, input.next_token.as_deref()).map_err(|_| bad())?;
        let after = after.map(|cursor| {
            let (time, name) = cursor.split_once(' ').ok_or_else(bad)?;
            Ok((time.parse().map_err(|_| bad())?, name.to_owned()))
        });
        let streams = events::streams_with_prefix(view, group.id, prefix.unwrap_or_default());
        Ok(Job {
            group: group.id,
            scope: group.scope(),
            name: group.name().to_owned(),
            streams: streams.cloned().collect(),
            by_time,
            descending: input.descending.unwrap_or_default(),
            after: after.transpose()?,
            size: input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(50),
        })
    }
}

impl Job {
    pub fn finish(
        self,
        times: impl Fn(Id128) -> Option<Times>,
    ) -> Output<api::ops::DescribeLogStreams> {
        let Job { group, scope, name, streams, by_time, descending, after, size } = self;
        let rank = |row: &LogStream| -> Rank {
            // Streams without lines come before all others.
            let time = match by_time {
                true => times(row.id).map_or(i64::MIN, |times| times.last),
                false => 0,
            };
            (time, row.name().to_owned())
        };
        let mut ranked: Vec<(Rank, LogStream)> =
            streams.into_iter().map(|row| (rank(&row), row)).collect();
        ranked.sort_by(|(a, _), (b, _)| if descending { b.cmp(a) } else { a.cmp(b) });
        let behind = |rank: &Rank| match &after {
            Some(after) if descending => rank < after,
            Some(after) => rank > after,
            None => true,
        };
        let rows = ranked.into_iter().filter(|(rank, _)| behind(rank));
        let page = page(LIST, size, rows, |((time, name), _)| format!("{time} {name}"));
        let view = |(_, row): &(Rank, LogStream)| {
            let times = times(row.id);
            let timestamp = times.map_or(0, |times| times.ingested);
            let token = events::digits(Place { timestamp, number: 0 }, group);
            views::stream(scope, &name, row, times, token)
        };
        api::DescribeLogStreamsResponse {
            log_streams: Some(page.items.iter().map(view).collect()),
            next_token: page.next,
        }
    }
}
