//! A line as it lies in the files: one JSON object with text, stream and time, as Docker writes them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Which of its two outputs a container wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Stdout,
    Stderr,
}

/// A piece of output. It ends with a line's end, unless the line goes on in the next piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub source: Source,
    /// Nanoseconds since 1970.
    pub at: i64,
    pub text: Vec<u8>,
    /// The text goes on in the next line of the same source.
    pub partial: bool,
}

impl Line {
    pub fn millis(&self) -> i64 {
        self.at.div_euclid(1_000_000)
    }
}

#[derive(Serialize, Deserialize)]
struct OnDisk<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    stream: Source,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// A line of a file. None for what is no such line: a torn write, say.
pub(crate) fn parse(bytes: &[u8]) -> Option<Line> {
    let on_disk: OnDisk<'_> = serde_json::from_slice(bytes).ok()?;
    let time: jiff::Timestamp = on_disk.time.parse().ok()?;
    let whole = on_disk.log.strip_suffix('\n');
    Some(Line {
        source: on_disk.stream,
        at: i64::try_from(time.as_nanosecond()).ok()?,
        partial: whole.is_none(),
        text: whole.unwrap_or(&on_disk.log).as_bytes().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_docker_writes_it() {
        let line =
            br#"{"log":"a \"b\"\n","stream":"stderr","time":"2026-11-21T10:00:00.000000001Z"}"#;
        let expected = Line {
            source: Source::Stderr,
            at: 1_795_255_200_000_000_001,
            text: b"a \"b\"".to_vec(),
            partial: false,
        };
        assert_eq!(parse(line), Some(expected));
        let part = br#"{"log":"a","stream":"stdout","time":"2026-11-21T10:00:00Z"}"#;
        assert!(parse(part).is_some_and(|line| line.partial));
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes);
        }
    }
}
