//! CloudWatch Logs' data actions on the log store.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aws_protocol::ApiError;
use core_types::{Id128, Time};
use data_logs::{Direction, Found, Line, Page, Position, Query, Store, StoreError, Streams};
use model_logs::{self as api, errors};
use plane_engine::{Engine, Role};
use plane_gateway::{Event as StreamEvent, Events, Handlers};
use service_logs::data::{self, Event, PAGE_BYTES, Place, Times, Wanted};
use service_logs::ops;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior};

/// Readers at once; further ones wait. Each may hold a block and a page.
const READERS: usize = 8;

/// Bytes, before compression, that one request reads before it answers with what it has.
const SCAN: usize = 64 << 20;

/// What handlers share.
#[derive(Clone)]
struct Logs {
    store: Arc<Store>,
    engine: Engine,
    readers: Arc<Semaphore>,
}

pub fn bind(handlers: &mut Handlers, store: &Arc<Store>, engine: &Engine) {
    let readers = Arc::new(Semaphore::new(READERS));
    let logs = Logs { store: store.clone(), engine: engine.clone(), readers };
    let with = || logs.clone();
    let on = with();
    handlers.on::<data::PutLogEvents, _, _>(move |_, job| on.clone().put(job));
    let on = with();
    handlers.on::<data::GetLogEvents, _, _>(move |_, job| on.clone().get(job));
    let on = with();
    handlers.on::<data::FilterLogEvents, _, _>(move |_, job| on.clone().filter(job));
    let on = with();
    handlers.on::<data::DescribeLogGroups, _, _>(move |_, job| {
        let store = on.store.clone();
        async move { Ok(job.finish(|group| store.stored_bytes(group))) }
    });
    let on = with();
    handlers.on::<data::DescribeLogStreams, _, _>(move |_, job| {
        let store = on.store.clone();
        async move {
            let group = job.group;
            Ok(job.finish(|stream| store.stream(group, stream).map(times)))
        }
    });
    handlers.on_events::<data::StartLiveTail, _, _>(move |_, job| logs.clone().tail(job));
}

fn times(times: data_logs::StreamTimes) -> Times {
    Times { first: times.first, last: times.last, ingested: times.ingested }
}

fn told(error: StoreError) -> ApiError {
    match error {
        StoreError::Busy { .. } => ApiError::throttling("Rate exceeded").with_source(error),
        StoreError::Full { .. } | StoreError::Stopping => {
            errors::service_unavailable_exception(error.to_string())
        }
        StoreError::Io { .. } => {
            tracing::error!("the log store: {error}");
            errors::service_unavailable_exception("The log store cannot be read or written now.")
        }
    }
}

fn query(wanted: &Wanted) -> Query {
    Query {
        group: wanted.group,
        streams: match &wanted.streams {
            None => Streams::All,
            Some(streams) => Streams::Of(streams.iter().copied().collect()),
        },
        from: wanted.from,
        to: wanted.to,
        after: wanted.after.map(|Place { timestamp, number }| Position { timestamp, number }),
        direction: if wanted.backward { Direction::Backward } else { Direction::Forward },
        lines: wanted.limit,
        bytes: PAGE_BYTES,
        scan: SCAN,
    }
}

fn place(at: Position) -> Place {
    Place { timestamp: at.timestamp, number: at.number }
}

impl Logs {
    async fn put(
        self,
        job: data::put_log_events::Job,
    ) -> Result<api::PutLogEventsResponse, ApiError> {
        let (group, stream, ingested) = (job.group, job.stream, job.ingested);
        let (events, kept) = job.split();
        if events.is_empty() {
            return Ok(kept.finish(0));
        }
        let line = |event: api::InputLogEvent| Line {
            timestamp: event.timestamp.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
        };
        let lines: Vec<Line> = events.into_iter().map(line).collect();
        let number = self.store.append(group, stream, ingested, &lines).await;
        Ok(kept.finish(number.map_err(told)?))
    }

    async fn read(
        &self,
        query: Query,
        matches: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<Page, ApiError> {
        let place = self.readers.clone().acquire_owned().await;
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || {
            let page = store.read(&query, &matches);
            drop(place);
            page
        });
        match read.await {
            Ok(page) => page.map_err(told),
            Err(_) => Err(ApiError::internal_failure("The log store could not be read.")),
        }
    }

    /// Lines as they are shown; those of streams that are gone are not.
    fn named(&self, lines: Vec<Found>) -> Vec<Event> {
        let view = self.engine.view();
        let mut last: Option<(Id128, Option<Arc<str>>)> = None;
        let mut name = |stream: Id128| match &last {
            Some((known, name)) if *known == stream => name.clone(),
            _ => {
                let name = ops::stream(&view.state, stream).map(|row| row.key.1.clone());
                last = Some((stream, name.clone()));
                name
            }
        };
        let event = |line: Found| {
            let stream = name(line.stream)?;
            let Found { position, ingested, message, .. } = line;
            Some(Event { stream, place: place(position), ingested, message })
        };
        lines.into_iter().filter_map(event).collect()
    }

    async fn get(
        self,
        job: data::get_log_events::Job,
    ) -> Result<api::GetLogEventsResponse, ApiError> {
        let page = self.read(query(&job.wanted), |_| true).await?;
        Ok(job.finish(self.named(page.lines)))
    }

    async fn filter(
        self,
        job: data::filter_log_events::Job,
    ) -> Result<api::FilterLogEventsResponse, ApiError> {
        let pattern = job.pattern.clone();
        let page = self.read(query(&job.wanted), move |text| pattern.matches(text)).await?;
        let more = page.more.map(place);
        Ok(job.finish(self.named(page.lines), more))
    }

    async fn tail(self, job: data::start_live_tail::Job) -> Result<Events, ApiError> {
        let (to, events) = mpsc::channel(4);
        let tail = self.store.watch(job.group_ids());
        tokio::spawn(async move { Session { logs: self, job, tail, to }.run().await });
        Ok(events)
    }
}

/// One live tail.
struct Session {
    logs: Logs,
    job: data::start_live_tail::Job,
    tail: data_logs::Tail,
    to: mpsc::Sender<Result<StreamEvent, ApiError>>,
}

/// AWS: an update a second with at most so many lines, for at most three hours.
const UPDATE: Duration = Duration::from_secs(1);
const LINES: usize = 500;
const LONGEST: Duration = Duration::from_secs(3 * 3600);

impl Session {
    async fn run(mut self) {
        let start = api::StartLiveTailResponseStream {
            session_start: Some(self.job.start.clone()),
            ..Default::default()
        };
        if self.to.send(Ok(Box::new(start))).await.is_err() {
            return;
        }
        let end = Instant::now() + LONGEST;
        let mut ticks = tokio::time::interval(UPDATE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut lines, mut sampled) = (Vec::new(), false);
        loop {
            tokio::select! {
                tailed = self.tail.next() => match tailed {
                    Some(tailed) => sampled |= self.take(&tailed, &mut lines),
                    None => return,
                },
                _ = ticks.tick() => {
                    sampled |= self.tail.missed() > 0;
                    let update = update(std::mem::take(&mut lines), std::mem::take(&mut sampled));
                    if self.to.send(Ok(Box::new(update))).await.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep_until(end) => {
                    let _ = self.to.send(Ok(Box::new(timed_out()))).await;
                    return;
                }
                () = self.to.closed() => return,
            }
        }
    }

    /// Whether some that match had to be left out.
    fn take(
        &self,
        tailed: &data_logs::Tailed,
        lines: &mut Vec<api::LiveTailSessionLogEvent>,
    ) -> bool {
        let Some(group) = self.job.groups.get(&tailed.group) else { return false };
        let view = self.logs.engine.view();
        let view = core_step::View::new(&view.state, Time(tailed.ingested()));
        let Some(name) = self.job.wanted(&view, tailed.stream()) else { return false };
        for (timestamp, message) in tailed.lines() {
            if !self.job.pattern.matches(&message) {
                continue;
            }
            if lines.len() == LINES {
                return true;
            }
            lines.push(api::LiveTailSessionLogEvent {
                ingestion_time: Some(tailed.ingested()),
                log_group_identifier: Some(group.clone()),
                log_stream_name: Some(name.to_owned()),
                message: Some(message.into_owned()),
                timestamp: Some(timestamp),
            });
        }
        false
    }
}

fn update(
    lines: Vec<api::LiveTailSessionLogEvent>,
    sampled: bool,
) -> api::StartLiveTailResponseStream {
    let update = api::LiveTailSessionUpdate {
        session_metadata: Some(api::LiveTailSessionMetadata { sampled: Some(sampled) }),
        session_results: Some(lines),
    };
    api::StartLiveTailResponseStream { session_update: Some(update), ..Default::default() }
}

fn timed_out() -> api::StartLiveTailResponseStream {
    let error = api::SessionTimeoutException {
        message: Some("The live tail session has timed out.".into()),
    };
    api::StartLiveTailResponseStream {
        session_timeout_exception: Some(error),
        ..Default::default()
    }
}

pub fn write_figures(now: data_logs::Figures, out: &mut String) {
    for (name, kind, n) in [
        ("wharf_logs_lines_total", "counter", now.lines),
        ("wharf_logs_bytes_total", "counter", now.bytes),
        ("wharf_logs_damaged_total", "counter", now.damaged),
        ("wharf_logs_groups", "gauge", now.groups),
        ("wharf_logs_waiting_bytes", "gauge", now.waiting_bytes),
    ] {
        let _ = writeln!(out, "# TYPE {name} {kind}\n{name} {n}");
    }
}

/// How often what was deleted or has expired is looked for.
const LOOK: Duration = Duration::from_secs(10);
/// Streams are looked at less often: their lines are not shown once their row is gone, and a file
/// goes only when all streams in it are gone.
const STREAMS_EVERY: u32 = 30;

/// Delete lines of groups and streams that are gone, and those that have expired.
pub async fn keep_in_step(store: Arc<Store>, engine: Engine) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for nth in 0u32.. {
        ticks.tick().await;
        // A follower's view may be older than lines that it keeps from when it led.
        if engine.role() != Role::Leader {
            continue;
        }
        let (store, engine) = (store.clone(), engine.clone());
        let with_streams = nth % STREAMS_EVERY == 0;
        let kept = tokio::task::spawn_blocking(move || look(&store, &engine, with_streams));
        match kept.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("expired lines could not be deleted: {error}"),
            Err(error) => tracing::error!("expired lines could not be deleted: {error}"),
        }
    }
}

fn look(store: &Store, engine: &Engine, with_streams: bool) -> Result<(), StoreError> {
    // What has lines had its row before them: rows are looked at afterwards.
    let streams = |group| match with_streams {
        true => store.streams(group).into_keys().collect(),
        false => Vec::new(),
    };
    let found = store.groups().into_iter().map(|group| (group, streams(group)));
    let found: Vec<(Id128, Vec<Id128>)> = found.collect();
    let view = engine.view();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = Time(now.unwrap_or_default().as_millis() as i64);
    for (group, streams) in found {
        let Some(row) = ops::group(&view.state, group) else {
            store.remove(group)?;
            continue;
        };
        let is_gone = |stream: &Id128| ops::stream(&view.state, *stream).is_none();
        let gone = streams.into_iter().filter(is_gone).collect();
        store.expire(group, row.expired(now).map(Time::millis), &gone)?;
    }
    Ok(())
}
