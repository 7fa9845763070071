//! A container's output on this machine's disk: numbered files of JSON lines as Docker's `json-file`
//! writes them. The number of files is bounded; at the bound the oldest goes, or the container waits
//! until its reader has acknowledged it, or what comes until then is dropped and counted.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Stream;
use crate::error::{Error, Result};
use crate::logs::{Dropped, acknowledged, dropped, end_file, log_file, numbers, write_dropped};
use crate::spec::{LogLimits, WhenFull};

/// AWS: Docker cuts lines into pieces of 16 KiB, and log drivers put them together again.
const PIECE: usize = 16 << 10;

pub struct Output {
    dir: PathBuf,
    limits: LogLimits,
    file: Option<File>,
    number: u64,
    size: u64,
    /// Bytes of the lines in the file.
    text: u64,
    /// Begun lines, by stream.
    rest: [Vec<u8>; 2],
    /// Encoded, and not yet in a file.
    pending: Vec<u8>,
    /// Bytes of the lines in it.
    pending_text: u64,
    dropped: Dropped,
    clock: Clock,
}

impl Output {
    /// Goes on behind what is there: a container's folder may be given to a restarted one.
    pub fn open(dir: &Path, limits: LogLimits) -> Result<Self> {
        fs::create_dir_all(dir).map_err(Error::file("cannot make", dir))?;
        let _ = fs::remove_file(end_file(dir));
        let last = numbers(dir).last().copied();
        let mut output = Self {
            dir: dir.to_owned(),
            limits: LogLimits {
                file_size: limits.file_size.max(PIECE as u64 * 2),
                files: limits.files.max(1),
                ..limits
            },
            file: None,
            number: last.unwrap_or(0),
            size: 0,
            text: 0,
            rest: [Vec::new(), Vec::new()],
            pending: Vec::new(),
            pending_text: 0,
            dropped: dropped(dir),
            clock: Clock::default(),
        };
        output.begin(last.map_or(0, |last| last + 1))?;
        Ok(output)
    }

    fn begin(&mut self, number: u64) -> Result<()> {
        let path = log_file(&self.dir, number);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        self.file = Some(file.map_err(Error::file("cannot open", &path))?);
        (self.number, self.size, self.text) = (number, 0, 0);
        Ok(())
    }

    /// Take what a stream has said.
    pub fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let time = self.clock.now();
        let index = stream as usize;
        let mut bytes = bytes;
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, after) = (&bytes[..end], &bytes[end + 1..]);
            bytes = after;
            self.pending_text += (self.rest[index].len() + line.len()) as u64;
            if self.rest[index].is_empty() {
                encode_line(&mut self.pending, stream, line, &time);
            } else {
                let mut whole = std::mem::take(&mut self.rest[index]);
                whole.extend_from_slice(line);
                encode_line(&mut self.pending, stream, &whole, &time);
                whole.clear();
                self.rest[index] = whole;
            }
        }
        self.rest[index].extend_from_slice(bytes);
        while self.rest[index].len() > PIECE {
            let cut = boundary(&self.rest[index], PIECE);
            encode(&mut self.pending, stream, &self.rest[index][..cut], &time, false);
            self.pending_text += cut as u64;
            self.rest[index].drain(..cut);
        }
    }

    /// Write what was taken. False: the files are full and not yet acknowledged; come again.
    pub fn flush(&mut self) -> bool {
        if self.limits.when_full == WhenFull::Drop {
            self.flush_or_drop();
            return true;
        }
        while !self.pending.is_empty() {
            if self.size >= self.limits.file_size && !self.rotate() {
                return false;
            }
            let room = self.limits.file_size.saturating_sub(self.size) as usize;
            let cut = if self.pending.len() <= room {
                self.pending.len()
            } else {
                // Whole records; at least one, so that there is progress.
                let before = memchr::memrchr(b'\n', &self.pending[..room]).map(|at| at + 1);
                before.unwrap_or_else(|| {
                    memchr::memchr(b'\n', &self.pending).map_or(self.pending.len(), |at| at + 1)
                })
            };
            self.write(cut);
            if cut < self.pending.len() {
                self.size = self.size.max(self.limits.file_size);
            }
            self.pending.drain(..cut);
        }
        self.pending_text = 0;
        true
    }

    /// AWS: when the buffer is full, further lines are lost. What is in it stays.
    fn flush_or_drop(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if self.text >= self.limits.file_size && !self.rotate() {
            self.dropped.lines += memchr::memchr_iter(b'\n', &self.pending).count() as u64;
            self.dropped.bytes += self.pending_text;
            let _ = write_dropped(&self.dir, self.dropped);
        } else {
            self.write(self.pending.len());
            self.text += self.pending_text;
        }
        self.pending.clear();
        self.pending_text = 0;
    }

    /// A full disk loses lines, never half of one, and never stops the container.
    fn write(&mut self, cut: usize) {
        let Some(file) = &mut self.file else { return };
        if file.write_all(&self.pending[..cut]).is_ok() {
            self.size += cut as u64;
        } else {
            let _ = file.set_len(self.size);
        }
    }

    fn rotate(&mut self) -> bool {
        let numbers = numbers(&self.dir);
        let beyond = (numbers.len() + 1).saturating_sub(self.limits.files as usize);
        let old = &numbers[..beyond.min(numbers.len())];
        if self.limits.when_full != WhenFull::Forget {
            let delivered = acknowledged(&self.dir);
            let open = |number: &&u64| {
                delivered.major < **number
                    || (delivered.major == **number && delivered.minor < self.size)
            };
            if old.iter().any(|number| open(&number)) {
                return false;
            }
        }
        for number in old {
            let _ = fs::remove_file(log_file(&self.dir, *number));
        }
        self.begin(self.number + 1).is_ok()
    }

    /// The streams have ended: begun lines are lines.
    pub fn end(&mut self) {
        let time = self.clock.now();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(&mut self.rest[stream as usize]);
            if !rest.is_empty() {
                self.pending_text += rest.len() as u64;
                encode(&mut self.pending, stream, &rest, &time, false);
            }
        }
    }

    pub fn acknowledged(&self) -> crate::LogPosition {
        acknowledged(&self.dir)
    }

    pub fn close(&mut self) {
        self.file = None;
        crate::logs::mark_end(&self.dir);
    }
}

/// The last place at or before `limit` that does not cut a character.
fn boundary(bytes: &[u8], limit: usize) -> usize {
    let mut cut = limit;
    while cut > limit - 4 && bytes[cut] & 0xc0 == 0x80 {
        cut -= 1;
    }
    if bytes[cut] & 0xc0 == 0x80 { limit } else { cut }
}

fn encode_line(out: &mut Vec<u8>, stream: Stream, line: &[u8], time: &[u8]) {
    let mut line = line;
    while line.len() > PIECE {
        let cut = boundary(line, PIECE);
        encode(out, stream, &line[..cut], time, false);
        line = &line[cut..];
    }
    encode(out, stream, line, time, true);
}

/// `{"log":"…\n","stream":"stdout","time":"…"}`; a piece has no `\n`.
fn encode(out: &mut Vec<u8>, stream: Stream, text: &[u8], time: &[u8], whole: bool) {
    out.extend_from_slice(b"{\"log\":\"");
    match std::str::from_utf8(text) {
        Ok(_) => escape(out, text),
        Err(_) => escape(out, String::from_utf8_lossy(text).as_bytes()),
    }
    if whole {
        out.extend_from_slice(b"\\n");
    }
    let name: &[u8] = match stream {
        Stream::Stdout => b"stdout",
        Stream::Stderr => b"stderr",
    };
    for part in [b"\",\"stream\":\"".as_slice(), name, b"\",\"time\":\"", time, b"\"}\n"] {
        out.extend_from_slice(part);
    }
}

fn escape(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = text;
    loop {
        let plain = plain(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(byte) = rest.get(plain) else { return };
        rest = &rest[plain + 1..];
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                let code = usize::from(*byte);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[code >> 4], HEX[code & 15]]);
            }
        }
    }
}

/// How many bytes from the beginning on stand for themselves.
fn plain(text: &[u8]) -> usize {
    /// Looked at without a branch between, which the compiler turns into a few wide instructions.
    const BLOCK: usize = 32;
    let special = |byte: &u8| (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\');
    let blocks = text.chunks_exact(BLOCK);
    let clean = |block: &&[u8]| !block.iter().fold(false, |any, byte| any | special(byte));
    let whole = blocks.take_while(clean).count() * BLOCK;
    whole + text[whole..].iter().position(special).unwrap_or(text.len() - whole)
}

/// RFC 3339 with nanoseconds; the date is worked out once a second.
#[derive(Default)]
struct Clock {
    second: u64,
    prefix: String,
}

impl Clock {
    fn now(&mut self) -> Vec<u8> {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (second, nanos) = (elapsed.as_secs(), elapsed.subsec_nanos());
        if second != self.second || self.prefix.is_empty() {
            let stamp = jiff::Timestamp::from_second(second.cast_signed()).unwrap_or_default();
            self.prefix = stamp.strftime("%Y-%m-%dT%H:%M:%S").to_string();
            self.second = second;
        }
        format!("{}.{nanos:09}Z", self.prefix).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::LogPosition;
    use crate::logs::{self, parse};

    fn limits(when_full: WhenFull) -> LogLimits {
        LogLimits { file_size: 40 << 10, files: 2, when_full }
    }

    #[test]
    fn the_disk_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = Output::open(dir.path(), limits(WhenFull::Forget)).unwrap();
        for _ in 0..1000 {
            output.take(Stream::Stdout, &[b'x'; 700]);
            output.take(Stream::Stdout, b"\n");
            assert!(output.flush());
        }
        let sizes: Vec<u64> = numbers(dir.path())
            .iter()
            .map(|n| fs::metadata(log_file(dir.path(), *n)).unwrap().len())
            .collect();
        assert_eq!(sizes.len(), 2);
        assert!(sizes.iter().all(|size| *size <= 41 << 10), "{sizes:?}");
    }

    #[test]
    fn a_full_one_waits_for_its_reader() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = Output::open(dir.path(), limits(WhenFull::Wait)).unwrap();
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let mut written = 0;
        while output.flush() && written < 1000 {
            output.take(Stream::Stdout, &line);
            written += 1;
        }
        assert!(written < 100, "it never waited");
        let last = *numbers(dir.path()).last().unwrap();
        logs::acknowledge(dir.path(), LogPosition { major: last, minor: 0 }).unwrap();
        assert!(output.flush());
    }

    #[test]
    fn only_what_a_full_buffer_cannot_hold_is_dropped_and_it_is_counted() {
        const BUFFER: u64 = 400 << 10;
        let dir = tempfile::tempdir().unwrap();
        let limits = LogLimits { file_size: BUFFER / 4, files: 5, when_full: WhenFull::Drop };
        let mut output = Output::open(dir.path(), limits).unwrap();
        // Short lines: their records are many times as long.
        let some = b"0123456789\n".repeat(100);
        let say = |output: &mut Output, lines: u64| {
            (0..lines / 100).for_each(|_| {
                output.take(Stream::Stdout, &some);
                assert!(output.flush());
            });
        };
        let held = BUFFER / 1000 * 100;
        say(&mut output, held);
        assert_eq!(dropped(dir.path()), Dropped::default());
        say(&mut output, held);
        let lost = dropped(dir.path());
        assert!(lost.lines > 0 && lost.lines < held, "{lost:?}");
        assert_eq!(lost.bytes, lost.lines * 10);
        let mut kept = 0;
        for number in numbers(dir.path()) {
            let file = fs::read(log_file(dir.path(), number)).unwrap();
            kept += memchr::memchr_iter(b'\n', &file).count() as u64;
        }
        assert_eq!(kept + lost.lines, 2 * held);
        // The reader has caught up: nothing is dropped any more.
        let last = *numbers(dir.path()).last().unwrap();
        logs::acknowledge(dir.path(), LogPosition { major: last, minor: u64::MAX }).unwrap();
        say(&mut output, held);
        assert_eq!(dropped(dir.path()), lost);
        // Another run of the container counts on.
        drop(output);
        assert_eq!(Output::open(dir.path(), limits).unwrap().dropped, lost);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(pieces in proptest::collection::vec((any::<bool>(), ".{0,40}\n?"), 1..40)) {
            let dir = tempfile::tempdir().unwrap();
            let mut output = Output::open(dir.path(), limits(WhenFull::Forget)).unwrap();
            let mut said = [String::new(), String::new()];
            for (error, text) in &pieces {
                let stream = if *error { Stream::Stderr } else { Stream::Stdout };
                output.take(stream, text.as_bytes());
                said[stream as usize].push_str(text);
            }
            output.end();
            prop_assert!(output.flush());
            let mut read = [String::new(), String::new()];
            for number in numbers(dir.path()) {
                for line in fs::read(log_file(dir.path(), number)).unwrap().split(|b| *b == b'\n') {
                    let Some((stream, _, text, partial)) = parse(line) else { continue };
                    read[stream as usize].push_str(&text);
                    if !partial {
                        read[stream as usize].push('\n');
                    }
                }
            }
            prop_assert_eq!(said, read);
        }
    }
}
