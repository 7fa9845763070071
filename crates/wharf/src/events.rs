//! The stream of events of a running server: what changed lately, for whoever follows.
//!
//! Changes are kept as they come, and made into events only for a reader. A reader asks with the
//! cursor that it got last and waits for what comes; one that stayed away for too long is told that
//! it has missed some. An event may come twice, never not at all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use core_state::{Change, State};
use core_types::Time;
use plane_engine::{Engine, News};
use serde::{Deserialize, Serialize};
use service_ecs::feeds::events::{self, Event};
use tokio::sync::watch;

/// Changes that are kept for readers that come late.
const KEPT: usize = 16_384;
/// Changes that are looked at for one answer.
const MOST: usize = 1_000;
/// Lists of changes that may wait before everything is looked at anew.
const NEWS: usize = 4_096;
/// A reader that has nothing to read asks again after this time at the latest.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Where a reader is in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Which run of a server.
    pub run: u64,
    /// How many changes it has seen of it.
    pub seen: u64,
}

/// `POST events`.
#[derive(Default, Serialize, Deserialize)]
pub struct EventsRequest {
    /// Where the reader is; without it, it begins so many changes before the newest.
    pub after: Option<Cursor>,
    #[serde(default)]
    pub last: usize,
    /// How long to wait for the first event.
    #[serde(default)]
    pub wait_millis: u64,
}

/// Its answer.
#[derive(Serialize, Deserialize)]
pub struct EventsTold {
    pub cursor: Cursor,
    /// Some before these were missed: what is must be read anew.
    pub gap: bool,
    pub events: Vec<Event>,
}

/// One change, and when it was heard of.
struct Kept {
    at: Time,
    change: Change,
}

#[derive(Default)]
struct Ring {
    kept: VecDeque<Kept>,
    /// How many came before the first that is kept.
    gone: u64,
}

impl Ring {
    fn end(&self) -> u64 {
        self.gone + self.kept.len() as u64
    }

    fn add(&mut self, at: Time, change: Change) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
            self.gone += 1;
        }
        self.kept.push_back(Kept { at, change });
    }
}

pub struct Events {
    run: u64,
    ring: Mutex<Ring>,
    end: watch::Sender<u64>,
}

impl Events {
    /// Follow an engine from now on.
    pub fn start(engine: &Engine) -> Arc<Events> {
        let run = now().0.unsigned_abs();
        let events = Arc::new(Events { run, ring: Mutex::default(), end: watch::Sender::new(0) });
        tokio::spawn(events.clone().follow(engine.clone()));
        events
    }

    fn with<T>(&self, act: impl FnOnce(&mut Ring) -> T) -> T {
        act(&mut self.ring.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn follow(self: Arc<Self>, engine: Engine) {
        let mut feed = engine.feed(NEWS);
        // All that led to this state has been kept.
        let mut seen = engine.view().state.clone();
        let mut ahead: Option<State> = None;
        loop {
            let news = feed.next().await;
            let view = engine.view();
            match news {
                News::Changed(revision, changes) => {
                    self.keep(changes.iter());
                    if ahead.as_ref().is_some_and(|state| state.rev() <= revision) {
                        seen = ahead.take().expect("it is there");
                    }
                    ahead.get_or_insert_with(|| view.state.clone());
                }
                News::Everything => {
                    self.keep(events::between(&seen, &view.state).iter());
                    (seen, ahead) = (view.state.clone(), None);
                }
            }
        }
    }

    fn keep<'a>(&self, changes: impl Iterator<Item = &'a Change>) {
        let now = now();
        let end = self.with(|ring| {
            for change in changes.filter(|change| events::is_told(change)) {
                ring.add(now, change.clone());
            }
            ring.end()
        });
        self.end.send_if_modified(|known| std::mem::replace(known, end) != end);
    }

    /// What a reader has not seen; waits where there is nothing.
    pub async fn read(&self, engine: &Engine, request: &EventsRequest) -> EventsTold {
        let mut end = self.end.subscribe();
        let wait = Duration::from_millis(request.wait_millis).min(LONGEST_WAIT);
        let until = tokio::time::Instant::now() + wait;
        let mut after = request.after;
        loop {
            end.borrow_and_update();
            let told = self.take(after, request.last, &engine.view().state);
            // What was looked at and told nothing is not looked at again.
            let done = !told.events.is_empty() || told.gap || after.is_none();
            if done || tokio::time::timeout_at(until, end.changed()).await.is_err() {
                return told;
            }
            after = Some(told.cursor);
        }
    }

    fn take(&self, after: Option<Cursor>, last: usize, state: &State) -> EventsTold {
        let known = after.filter(|cursor| cursor.run == self.run);
        let (seen, from, kept) = self.with(|ring| {
            let seen = match known {
                Some(cursor) => cursor.seen.min(ring.end()),
                // Another run's reader is shown all that is left.
                None if after.is_some() => ring.gone,
                None => ring.end().saturating_sub(last as u64),
            };
            let from = seen.max(ring.gone);
            let skip = (from - ring.gone) as usize;
            let some = ring.kept.iter().skip(skip).take(MOST);
            let some: Vec<_> = some.map(|kept| (kept.at, kept.change.clone())).collect();
            (seen, from, some)
        });
        let gap = after.is_some() && (known.is_none() || from > seen);
        let cursor = Cursor { run: self.run, seen: from + kept.len() as u64 };
        let mut events = Vec::new();
        for (at, change) in kept {
            for event in events::of(&change, state, at) {
                if events.last().is_none_or(|last: &Event| last.id != event.id) {
                    events.push(event);
                }
            }
        }
        EventsTold { cursor, gap, events }
    }
}

fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time(since.unwrap_or_default().as_millis() as i64)
}
