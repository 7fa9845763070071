//! Reading what a shim writes: numbered files, followed by watching their folder. A reader says what
//! it has delivered in a file beside them, so the next one, in a later agent, goes on there.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::watch::Watch;
use crate::{LogLine, LogPosition, LogReader, LogsFrom, Stream};

/// Bytes taken at once.
const CHUNK: usize = 256 << 10;
/// No record is longer: 16 KiB of text, six bytes each at worst.
const RECORD_LIMIT: usize = 128 << 10;

pub fn log_file(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.log"))
}

pub fn end_file(dir: &Path) -> PathBuf {
    dir.join("end")
}

fn acknowledged_file(dir: &Path) -> PathBuf {
    dir.join("acknowledged")
}

/// Nothing more will be written.
pub fn mark_end(dir: &Path) {
    if dir.is_dir() {
        let _ = File::create(end_file(dir));
    }
}

/// The files' numbers, rising.
pub fn numbers(dir: &Path) -> Vec<u64> {
    let mut found: Vec<u64> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log")?.parse().ok())
        .collect();
    found.sort_unstable();
    found
}

/// How far the output in a folder of [`crate::LogFiles`] has reached its destination.
pub fn acknowledged(dir: &Path) -> LogPosition {
    let text = fs::read_to_string(acknowledged_file(dir)).unwrap_or_default();
    parse_position(&text).unwrap_or_default()
}

fn parse_position(text: &str) -> Option<LogPosition> {
    let (major, minor) = text.trim().split_once(' ')?;
    Some(LogPosition { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

/// Keep how far the output has reached its destination.
pub fn acknowledge(dir: &Path, position: LogPosition) -> Result<()> {
    let path = acknowledged_file(dir);
    let fresh = path.with_extension("new");
    fs::write(&fresh, format!("{} {}\n", position.major, position.minor))
        .and_then(|()| fs::rename(&fresh, &path))
        .map_err(Error::file("cannot write", &path))
}

/// What was dropped of a container's output, as its reader did not keep up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    pub lines: u64,
    pub bytes: u64,
}

fn dropped_file(dir: &Path) -> PathBuf {
    dir.join("dropped")
}

/// How much was dropped so far of the output in a folder of [`crate::LogFiles`].
pub fn dropped(dir: &Path) -> Dropped {
    let text = fs::read_to_string(dropped_file(dir)).unwrap_or_default();
    let place = parse_position(&text).unwrap_or_default();
    Dropped { lines: place.major, bytes: place.minor }
}

pub(crate) fn write_dropped(dir: &Path, dropped: Dropped) -> io::Result<()> {
    let Dropped { lines, bytes } = dropped;
    fs::write(dropped_file(dir), format!("{lines} {bytes}\n"))
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    stream: Stream,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

#[cfg(test)]
pub fn parse(line: &[u8]) -> Option<(Stream, u64, String, bool)> {
    Times::default().parse(line)
}

/// The last time that was read: what comes in one piece was written at one time.
#[derive(Default)]
struct Times {
    text: String,
    nanos: u64,
}

impl Times {
    /// Stream, nanoseconds, text, whether more of the line follows. A record that a full disk has cut
    /// is none.
    fn parse(&mut self, line: &[u8]) -> Option<(Stream, u64, String, bool)> {
        if let Some(Plain { text, stream, time, partial }) = Plain::read(line) {
            let nanos = self.nanos(time)?;
            return Some((stream, nanos, text.to_owned(), partial));
        }
        let record: Record<'_> = serde_json::from_slice(line).ok()?;
        let nanos = self.nanos(&record.time)?;
        let mut text = record.log.into_owned();
        let partial = !text.ends_with('\n');
        if !partial {
            text.pop();
        }
        Some((record.stream, nanos, text, partial))
    }

    fn nanos(&mut self, text: &str) -> Option<u64> {
        if self.text != text {
            let time: jiff::Timestamp = text.parse().ok()?;
            self.nanos = u64::try_from(time.as_nanosecond()).unwrap_or(0);
            self.text.clear();
            self.text.push_str(text);
        }
        Some(self.nanos)
    }
}

/// A record exactly as a shim writes it, of a text in which nothing had to be escaped: by far the most
/// of them, and read without looking at each letter.
struct Plain<'a> {
    text: &'a str,
    stream: Stream,
    time: &'a str,
    partial: bool,
}

impl<'a> Plain<'a> {
    fn read(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"{\"log\":\"")?.strip_suffix(b"\"}")?;
        let time = memchr::memrchr(b'"', rest)? + 1;
        let (rest, time) = (rest[..time].strip_suffix(b",\"time\":\"")?, &rest[time..]);
        let streams = [Stream::Stdout, Stream::Stderr].into_iter();
        let mut found = streams.filter_map(|stream| {
            let end: &[u8] = match stream {
                Stream::Stdout => b"\",\"stream\":\"stdout\"",
                Stream::Stderr => b"\",\"stream\":\"stderr\"",
            };
            Some((stream, rest.strip_suffix(end)?))
        });
        let (stream, text) = found.next()?;
        let (text, partial) = match text.strip_suffix(b"\\n") {
            Some(whole) => (whole, false),
            None => (text, true),
        };
        if memchr::memchr2(b'\\', b'"', text).is_some() {
            return None;
        }
        let (text, time) = (std::str::from_utf8(text).ok()?, std::str::from_utf8(time).ok()?);
        Some(Plain { text, stream, time, partial })
    }
}

pub struct Follower {
    dir: PathBuf,
    follow: bool,
    at: LogPosition,
    file: Option<File>,
    buffer: Vec<u8>,
    times: Times,
    watch: Option<Watch>,
}

impl Follower {
    pub fn open(dir: PathBuf, from: LogsFrom) -> Result<Self> {
        let watch = match from.follow {
            true => Some(Watch::of(&dir).map_err(Error::file("cannot watch", &dir))?),
            false => None,
        };
        Ok(Self {
            dir,
            follow: from.follow,
            at: from.position,
            file: None,
            buffer: Vec::new(),
            times: Times::default(),
            watch,
        })
    }

    /// Read on; false where there is nothing more at the moment.
    fn fill(&mut self) -> io::Result<bool> {
        if self.file.is_none() && !self.open_next()? {
            return Ok(false);
        }
        let Some(file) = &mut self.file else { return Ok(false) };
        let before = self.buffer.len();
        file.take(CHUNK as u64).read_to_end(&mut self.buffer)?;
        if self.buffer.len() > before {
            return Ok(true);
        }
        // At its end, with a successor: nothing more comes into this one.
        let newer = numbers(&self.dir).into_iter().find(|number| *number > self.at.major);
        let Some(newer) = newer else { return Ok(false) };
        let before = self.buffer.len();
        file.take(CHUNK as u64).read_to_end(&mut self.buffer)?;
        if self.buffer.len() == before {
            self.buffer.clear();
            self.file = None;
            self.at = LogPosition { major: newer, minor: 0 };
        }
        Ok(true)
    }

    fn open_next(&mut self) -> io::Result<bool> {
        // What was wanted may have been forgotten: then the oldest that is left.
        let wanted = self.at.major;
        let Some(number) = numbers(&self.dir).into_iter().find(|number| *number >= wanted) else {
            return Ok(false);
        };
        if number != wanted {
            self.at = LogPosition { major: number, minor: 0 };
        }
        let mut file = match File::open(log_file(&self.dir, number)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.at.minor))?;
        self.file = Some(file);
        Ok(true)
    }

    fn lines(&mut self) -> Vec<LogLine> {
        let mut lines = Vec::new();
        let mut done = 0;
        for end in memchr::memchr_iter(b'\n', &self.buffer) {
            let record = &self.buffer[done..end];
            done = end + 1;
            self.at.minor += record.len() as u64 + 1;
            if let Some((stream, time, text, partial)) = self.times.parse(record) {
                lines.push(LogLine { stream, time, text, partial, next: self.at });
            }
        }
        self.buffer.drain(..done);
        if self.buffer.len() > RECORD_LIMIT {
            self.at.minor += self.buffer.len() as u64;
            self.buffer.clear();
        }
        lines
    }
}

#[async_trait]
impl LogReader for Follower {
    async fn next(&mut self) -> Result<Vec<LogLine>> {
        loop {
            // Looked for before reading: what was written before it is then read.
            let ended = end_file(&self.dir).exists();
            loop {
                let more = self.fill().map_err(Error::file("cannot read", &self.dir))?;
                let lines = self.lines();
                if !lines.is_empty() {
                    return Ok(lines);
                }
                if !more {
                    break;
                }
            }
            let (true, Some(watch)) = (self.follow && !ended, &self.watch) else {
                return Ok(Vec::new());
            };
            watch.changed().await;
        }
    }

    async fn acknowledge(&mut self, position: LogPosition) -> Result<()> {
        acknowledge(&self.dir, position)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn it_waits_and_goes_on_in_the_next_file() {
        let dir = tempfile::tempdir().unwrap();
        let record = |text: &str| {
            format!(
                "{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00.5Z\"}}\n"
            )
        };
        fs::write(log_file(dir.path(), 3), record("a") + "{\"log\":\"cut").unwrap();
        let from = LogsFrom { position: LogPosition::default(), follow: true };
        let mut reader = Follower::open(dir.path().to_owned(), from).unwrap();
        assert_eq!(reader.next().await.unwrap()[0].text, "a");
        let path = dir.path().to_owned();
        let writer = std::thread::spawn(move || {
            fs::write(log_file(&path, 4), record("b")).unwrap();
            mark_end(&path);
        });
        let lines = reader.next().await.unwrap();
        assert_eq!((lines[0].text.as_str(), lines[0].next.major), ("b", 4));
        let place = lines[0].next;
        assert_eq!(reader.next().await.unwrap(), vec![]);
        writer.join().unwrap();
        reader.acknowledge(place).await.unwrap();
        assert_eq!(acknowledged(dir.path()), place);
    }

    proptest! {
        /// What is read at a glance is what a reader of JSON makes of it.
        #[test]
        fn plain_records_say_what_they_say(text in "([a-z\\\\\"nu0]|[ -~]|é|\\\\n){0,12}", error: bool) {
            let stream = if error { "stderr" } else { "stdout" };
            let line = format!(
                "{{\"log\":\"{text}\",\"stream\":\"{stream}\",\"time\":\"2026-01-01T00:00:00.5Z\"}}"
            );
            if let Some(plain) = Plain::read(line.as_bytes()) {
                let record: Record<'_> = serde_json::from_str(&line).unwrap();
                let end = if plain.partial { "" } else { "\n" };
                prop_assert_eq!(format!("{}{end}", plain.text), record.log);
                prop_assert_eq!((plain.stream, plain.time), (record.stream, &*record.time));
            }
        }

        #[test]
        fn any_record_is_survived(line in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,50}") {
            parse(&line);
            parse_position(&text);
        }
    }
}
