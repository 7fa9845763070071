//! The largest batch that the service takes, as the body of the call.

use std::borrow::Cow;

use serde::Serialize;

use super::multiline::Event;

/// AWS: events count as their UTF-8 bytes and 26 more; a batch has 1 MiB of those at most, 10,000
/// events, and spans 24 hours.
const OVERHEAD: usize = 26;
const MOST_BYTES: usize = 1_048_576;
const MOST_EVENTS: usize = 10_000;
const LONGEST_EVENT: usize = 262_144 - OVERHEAD;
const SPAN: i64 = 24 * 3600 * 1000;

#[derive(Serialize)]
struct Entry<'a> {
    timestamp: i64,
    message: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Put<'a> {
    log_group_name: &'a str,
    log_stream_name: &'a str,
    log_events: &'a [Entry<'a>],
}

/// The call's body for as many of the first events as fit, and how many lines that makes done. No
/// body: there was nothing in those lines to tell.
pub(super) fn first<'a>(
    group: &str,
    stream: &str,
    events: impl Iterator<Item = Event<'a>>,
) -> (Option<Vec<u8>>, usize) {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let (mut bytes, mut done) = (0, 0);
    let (mut least, mut most) = (i64::MAX, i64::MIN);
    for event in events {
        let before = entries.len();
        let size = add(&mut entries, event.millis, event.text);
        let (from, to) = (least.min(event.millis), most.max(event.millis));
        let full = bytes + size > MOST_BYTES || entries.len() > MOST_EVENTS;
        if before > 0 && (full || to - from > SPAN) {
            entries.truncate(before);
            break;
        }
        (bytes, least, most, done) = (bytes + size, from, to, event.upto);
    }
    if entries.is_empty() {
        return (None, done);
    }
    // AWS: events of a batch must be in the order of their times.
    entries.sort_by_key(|entry| entry.timestamp);
    let put = Put { log_group_name: group, log_stream_name: stream, log_events: &entries };
    let mut body = Vec::with_capacity(bytes + entries.len() * MEMBERS + SPARE);
    serde_json::to_writer(&mut body, &put).expect("texts and numbers can be written");
    (Some(body), done)
}

/// What an event's JSON is made of beside its text, less what each counts beside it.
const MEMBERS: usize = 20;
/// Names, and some characters that take more than one.
const SPARE: usize = 8 << 10;

/// Add a text as messages: none of nothing, several of what is too long for one. What is no UTF-8 is
/// replaced as the service would. Returns what they count.
fn add<'a>(entries: &mut Vec<Entry<'a>>, timestamp: i64, text: Cow<'a, [u8]>) -> usize {
    let text = match text {
        Cow::Borrowed(text) => String::from_utf8_lossy(text),
        Cow::Owned(text) => Cow::Owned(
            String::from_utf8(text)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ),
    };
    if text.is_empty() {
        return 0;
    }
    if text.len() <= LONGEST_EVENT {
        let size = text.len() + OVERHEAD;
        entries.push(Entry { timestamp, message: text });
        return size;
    }
    let (mut rest, mut size) = (&text[..], 0);
    while !rest.is_empty() {
        let cut = rest.floor_char_boundary(LONGEST_EVENT);
        entries.push(Entry { timestamp, message: Cow::Owned(rest[..cut].to_owned()) });
        size += cut + OVERHEAD;
        rest = &rest[cut..];
    }
    size
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn event(millis: i64, text: &str, upto: usize) -> Event<'_> {
        Event { millis, text: text.as_bytes().into(), upto }
    }

    #[test]
    fn batches_are_sorted_and_empty_lines_are_nothing() {
        let events = [event(5, "b", 1), event(3, "a", 2), event(4, "", 3)];
        let (body, done) = first("g", "s", events.into_iter());
        let body: Value = serde_json::from_slice(&body.unwrap()).unwrap();
        assert_eq!(done, 3);
        assert_eq!(body["logEvents"][0]["message"], "a");
        assert_eq!(body["logEvents"].as_array().unwrap().len(), 2);
        assert_eq!(first("g", "s", [event(1, "", 7)].into_iter()), (None, 7));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]

        /// Whatever comes, each batch is within the service's bounds, and all batches are all there was.
        #[test]
        fn within_bounds(
            sizes in proptest::collection::vec((0usize..400_000, 0i64..200_000_000), 1..30),
        ) {
            let given: Vec<(i64, String)> =
                sizes.iter().map(|(size, at)| (*at, "é".repeat(size / 2))).collect();
            let mut at = 0;
            let mut bytes = 0;
            while at < given.len() {
                let left = given[at..].iter().enumerate();
                let events = left.map(|(n, (millis, text))| event(*millis, text, n + 1));
                let (body, done) = first("g", "s", events);
                prop_assert!(done > 0);
                at += done;
                let Some(body) = body else { continue };
                let body: Value = serde_json::from_slice(&body).unwrap();
                let entries = body["logEvents"].as_array().unwrap();
                prop_assert!(entries.len() <= MOST_EVENTS);
                let sizes = entries.iter().map(|e| e["message"].as_str().unwrap().len());
                prop_assert!(sizes.clone().all(|size| size > 0 && size <= LONGEST_EVENT));
                prop_assert!(sizes.clone().map(|size| size + OVERHEAD).sum::<usize>() <= MOST_BYTES);
                bytes += sizes.sum::<usize>();
                let times: Vec<i64> = entries.iter().map(|e| e["timestamp"].as_i64().unwrap()).collect();
                prop_assert!(times.is_sorted());
                prop_assert!(times.last().unwrap() - times[0] <= SPAN);
            }
            prop_assert_eq!(bytes, given.iter().map(|(_, text)| text.len()).sum::<usize>());
        }
    }
}
