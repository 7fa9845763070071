//! Lines: what a batch may hold, how places among them are told, and how much one answer holds.

use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::State;
use core_types::{Id128, Time};
use model_logs as api;

use super::groups::invalid;
use crate::rows::group::LogGroup;
use crate::rows::stream::LogStream;

/// AWS: the bytes of a batch, where each event counts so many beside its message.
const BATCH: usize = 1_048_576;
const OVERHEAD: usize = 26;

const HOUR: i64 = 3600 * 1000;
const OLDEST: i64 = 14 * 24 * HOUR;
const NEWEST: i64 = 2 * HOUR;
const SPAN: i64 = 24 * HOUR;

/// AWS: events in one answer, and their bytes.
pub const PAGE: usize = 10_000;
pub const PAGE_BYTES: usize = 1 << 20;

/// The place of a line among those of its group: its time, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub timestamp: i64,
    pub number: u64,
}

/// A line that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub stream: Arc<str>,
    pub place: Place,
    pub ingested: i64,
    pub message: String,
}

/// Which lines are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub group: Id128,
    /// `None` for all streams of the group.
    pub streams: Option<Vec<Id128>>,
    /// The first time that counts, and the first that does not any more.
    pub from: i64,
    pub to: i64,
    pub after: Option<Place>,
    pub backward: bool,
    pub limit: usize,
}

/// The events of a batch that are kept, and what is told of the others.
pub struct Checked {
    pub events: Vec<api::InputLogEvent>,
    pub rejected: Option<api::RejectedLogEventsInfo>,
}

fn time(event: &api::InputLogEvent) -> i64 {
    event.timestamp.unwrap_or_default()
}

pub fn check(
    mut events: Vec<api::InputLogEvent>,
    now: Time,
    expired: Option<Time>,
) -> Result<Checked, ApiError> {
    let sizes = events.iter().map(|event| event.message.as_ref().map_or(0, String::len) + OVERHEAD);
    let size: usize = sizes.sum();
    if size > BATCH {
        return Err(invalid(format!("Upload too large: {size} bytes exceeds limit of {BATCH}")));
    }
    if !events.is_sorted_by_key(time) {
        return Err(invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    let now = now.millis();
    let before = |bound: i64| events.partition_point(|event| time(event) < bound);
    let too_old = before(now - OLDEST);
    let gone = expired.map_or(0, |bound| before(bound.millis()));
    let too_new = events.partition_point(|event| time(event) <= now + NEWEST);
    let (first, end) = (too_old.max(gone), too_new);
    let rejected = (first > 0 || end < events.len()).then(|| {
        let index = |at: usize| i32::try_from(at).ok();
        api::RejectedLogEventsInfo {
            too_new_log_event_start_index: index(end).filter(|_| end < events.len()),
            too_old_log_event_end_index: index(too_old).filter(|_| too_old > 0),
            expired_log_event_end_index: index(gone).filter(|_| gone > 0),
        }
    });
    events.truncate(end);
    events.drain(..first.min(end));
    let span = events.last().map_or(0, time) - events.first().map_or(0, time);
    if span > SPAN {
        return Err(invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 \
             hours.",
        ));
    }
    Ok(Checked { events, rejected })
}

/// Times from which lines of a group are shown: what has expired is not, even while it is there.
pub fn from(group: &LogGroup, now: Time, asked: Option<i64>) -> i64 {
    let expired = group.expired(now).map_or(i64::MIN, Time::millis);
    asked.unwrap_or(0).max(expired)
}

/// Streams of a group whose names begin so.
pub fn streams_with_prefix<'s>(
    state: &'s State,
    group: Id128,
    prefix: &'s str,
) -> impl Iterator<Item = &'s LogStream> {
    let rows = state.scan::<LogStream>((group, prefix.into()));
    rows.take_while(move |row| row.key.0 == group && row.name().starts_with(prefix))
}

/// A number of 56 digits, as AWS's event ids and tokens have, that tells a place. The last digits
/// tell groups apart.
pub fn digits(place: Place, group: Id128) -> String {
    let tail = u64::from_be_bytes(group.0[..8].try_into().expect("an id has sixteen bytes"));
    // An offset makes times before 1970 positive and gives every number the same length.
    let time = i128::from(place.timestamp) - i128::from(i64::MIN);
    format!("3{time:020}{:020}{:015}", place.number, tail % 1_000_000_000_000_000)
}

/// The place that `digits` tells; `None` for what is none, or another group's.
pub fn place(text: &str, group: Id128) -> Option<Place> {
    if text.len() != 56 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let time: i128 = text[1..21].parse().ok()?;
    let timestamp = i64::try_from(time + i128::from(i64::MIN)).ok()?;
    let place = Place { timestamp, number: text[21..41].parse().ok()? };
    (digits(place, group) == text).then_some(place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Time = Time(1_700_000_000_000);

    fn batch(times: &[i64]) -> Vec<api::InputLogEvent> {
        let event = |time: &i64| api::InputLogEvent {
            timestamp: Some(NOW.millis() + time),
            message: Some("m".into()),
        };
        times.iter().map(event).collect()
    }

    proptest! {
        #[test]
        fn a_place_is_told_and_found(timestamp: i64, number: u64, group: [u8; 16]) {
            let (at, group) = (Place { timestamp, number }, Id128(group));
            let text = digits(at, group);
            prop_assert_eq!(text.len(), 56);
            prop_assert_eq!(place(&text, group), Some(at));
        }

        #[test]
        fn places_order_like_their_digits(a: (i64, u64), b: (i64, u64)) {
            let at = |(timestamp, number)| Place { timestamp, number };
            let group = Id128([7; 16]);
            prop_assert_eq!(at(a).cmp(&at(b)), digits(at(a), group).cmp(&digits(at(b), group)));
        }

        #[test]
        fn takes_any_text(text in "[0-9a]{0,60}") {
            let _ = place(&text, Id128([1; 16]));
        }

        #[test]
        fn what_is_kept_is_what_is_not_rejected(
            mut times in proptest::collection::vec(-20 * 24 * HOUR..4 * HOUR, 1..40),
            days in proptest::option::of(1i64..30),
        ) {
            times.sort_unstable();
            let expired = days.map(|days| Time(NOW.millis() - days * 24 * HOUR));
            let kept: Vec<i64> = times.iter().copied().filter(|time| {
                *time >= -OLDEST && *time <= NEWEST
                    && days.is_none_or(|days| *time >= -days * 24 * HOUR)
            }).collect();
            let wide = kept.last().zip(kept.first()).is_some_and(|(last, first)| last - first > SPAN);
            match check(batch(&times), NOW, expired) {
                Ok(checked) => {
                    prop_assert!(!wide);
                    prop_assert_eq!(checked.events, batch(&kept));
                    prop_assert_eq!(checked.rejected.is_some(), kept.len() < times.len());
                }
                Err(error) => {
                    prop_assert!(wide && error.is("InvalidParameterException"));
                }
            }
        }
    }

    #[test]
    fn rejected_events_are_told_by_index() {
        let times = [-15 * 24 * HOUR, -15 * 24 * HOUR, -2 * 24 * HOUR, 0, 1, 3 * HOUR];
        let yesterday = Some(Time(NOW.millis() - 24 * HOUR));
        let rejected = check(batch(&times), NOW, yesterday).unwrap().rejected.unwrap();
        assert_eq!(rejected.too_old_log_event_end_index, Some(2));
        assert_eq!(rejected.expired_log_event_end_index, Some(3));
        assert_eq!(rejected.too_new_log_event_start_index, Some(5));
    }

    #[test]
    fn a_batch_counts_26_bytes_an_event_beside_its_message() {
        let sized = |bytes: usize| {
            let message = Some("x".repeat(bytes));
            vec![api::InputLogEvent { timestamp: Some(NOW.millis()), message }]
        };
        assert!(check(sized(BATCH - OVERHEAD), NOW, None).is_ok());
        let error = check(sized(BATCH - OVERHEAD + 1), NOW, None).err().unwrap();
        assert_eq!(error.message, "Upload too large: 1048577 bytes exceeds limit of 1048576");
    }
}
