//! The files that a container's output lies in, as a reader sees them.
//!
//! The writer appends to one file and renames it when it is full: `out`, `out.1`, `out.2`, the
//! highest number being the oldest. A reader holds on to a file by its inode, so a rename under its
//! hands loses nothing, and keeps the mark up to which all is delivered beside the files. A mark
//! knows its file by its first line as well, because inodes are used again.

use std::fs::{self, File};
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Line;
use crate::line::parse;

/// A line in a file is at most this long; what is longer is no output of a container.
const LONGEST: usize = 4 << 20;

/// A point in the files: all before it is done with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub inode: u64,
    /// A checksum of the file's first line.
    pub head: u32,
    pub offset: u64,
}

/// Where the mark of the files under a name is kept.
pub fn mark_path(current: &Path) -> PathBuf {
    with_suffix(current, "mark")
}

/// The `n`th older file; 0 is the one that is written to.
pub fn older(current: &Path, n: u32) -> PathBuf {
    if n == 0 { current.to_owned() } else { with_suffix(current, &n.to_string()) }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// The stored mark, if there is one that can be read.
pub fn load_mark(current: &Path) -> Option<Mark> {
    serde_json::from_slice(&fs::read(mark_path(current)).ok()?).ok()
}

/// Store a mark whole or not at all. It is not synced: after a power cut lines come twice.
pub fn store_mark(current: &Path, mark: Mark) -> io::Result<()> {
    let path = mark_path(current);
    let draft = with_suffix(&path, "new");
    fs::write(&draft, serde_json::to_vec(&mark).map_err(io::Error::other)?)?;
    fs::rename(draft, path)
}

/// The checksum of a file's first line, once it is whole.
fn head(path: &Path) -> Option<u32> {
    let mut line = Vec::new();
    let mut file = io::BufReader::new(File::open(path).ok()?).take(LONGEST as u64);
    file.read_until(b'\n', &mut line).ok()?;
    line.pop_if(|last| *last == b'\n').map(|_| crc32fast::hash(&line))
}

pub struct Reader {
    current: PathBuf,
    open: Option<Open>,
    start: Option<Mark>,
    /// Bytes read that end in no line yet.
    pending: Vec<u8>,
    /// Files that were gone before they were read.
    pub gaps: u64,
}

struct Open {
    file: File,
    inode: u64,
    head: Option<u32>,
    /// Where the pending bytes end.
    offset: u64,
}

impl Reader {
    pub fn new(current: &Path, start: Option<Mark>) -> Self {
        let current = current.to_owned();
        Reader { current, open: None, start, pending: Vec::new(), gaps: 0 }
    }

    /// The lines that are there now, about `bytes` of them at most, each with the mark behind it.
    pub fn read(&mut self, bytes: usize) -> io::Result<Vec<(Line, Mark)>> {
        let mut lines = Vec::new();
        let mut taken = 0;
        while taken < bytes {
            if self.open.is_none() && !self.begin()? {
                break;
            }
            let read = self.fill(bytes.clamp(4096, 1 << 20))?;
            taken += read;
            self.split(&mut lines);
            if read == 0 && !self.follow()? {
                break;
            }
        }
        Ok(lines)
    }

    /// Open the file in which the mark lies, else the oldest.
    fn begin(&mut self) -> io::Result<bool> {
        let files = self.files()?;
        let Some(oldest) = files.last() else { return Ok(false) };
        let start = self.start.take();
        let known = start.and_then(|mark| {
            let same = |(path, inode): &&(PathBuf, u64)| {
                *inode == mark.inode && head(path).is_some_and(|head| head == mark.head)
            };
            files.iter().find(same).map(|(path, _)| (path, mark.offset))
        });
        if start.is_some() && known.is_none() {
            self.gaps += 1;
        }
        let (path, offset) = known.unwrap_or((&oldest.0, 0));
        self.take(path, offset)
    }

    fn take(&mut self, path: &Path, offset: u64) -> io::Result<bool> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            // Renamed between the look and the opening: the next look finds it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        // A file shorter than the mark is another one with a used inode: it is read from its start.
        let offset = if offset <= metadata.len() { offset } else { 0 };
        file.seek(SeekFrom::Start(offset))?;
        self.pending.clear();
        self.open = Some(Open { file, inode: metadata.ino(), head: head(path), offset });
        Ok(true)
    }

    fn fill(&mut self, most: usize) -> io::Result<usize> {
        let Some(open) = &mut self.open else { return Ok(0) };
        let before = self.pending.len();
        let read = (&mut open.file).take(most as u64).read_to_end(&mut self.pending)?;
        debug_assert_eq!(self.pending.len(), before + read);
        open.offset += read as u64;
        Ok(read)
    }

    fn split(&mut self, lines: &mut Vec<(Line, Mark)>) {
        let Some(open) = &mut self.open else { return };
        let mut done = 0;
        while let Some(length) = self.pending[done..].iter().position(|byte| *byte == b'\n') {
            let text = &self.pending[done..done + length];
            // A file opened before its first line was whole shows its head with that line.
            let head = *open.head.get_or_insert_with(|| crc32fast::hash(text));
            done += length + 1;
            let left = (self.pending.len() - done) as u64;
            if let Some(line) = parse(text) {
                let (inode, offset) = (open.inode, open.offset - left);
                lines.push((line, Mark { inode, head, offset }));
            }
        }
        self.pending.drain(..done);
        if self.pending.len() > LONGEST {
            self.pending.clear();
        }
    }

    /// At a file's end: go on with the next newer one, if the writer has moved on. True if there may
    /// be more to read.
    fn follow(&mut self) -> io::Result<bool> {
        let Some(open) = &self.open else { return Ok(false) };
        let files = self.files()?;
        let at = files.iter().position(|(_, inode)| *inode == open.inode);
        if at == Some(0) || files.is_empty() {
            return Ok(false);
        }
        // The writer may have added to this file between our last read and the rename.
        if self.fill(1 << 20)? > 0 {
            return Ok(true);
        }
        let next = match at {
            Some(at) => files[at - 1].0.clone(),
            None => {
                // Dropped while it was being read; what is left of later files begins at the oldest.
                files[files.len() - 1].0.clone()
            }
        };
        self.take(&next, 0)
    }

    /// The files that exist, newest first.
    fn files(&self) -> io::Result<Vec<(PathBuf, u64)>> {
        let mut files = Vec::new();
        for n in 0.. {
            let path = older(&self.current, n);
            match fs::metadata(&path) {
                Ok(metadata) => files.push((path, metadata.ino())),
                // Between a rename and the next file's birth there is no newest.
                Err(error) if error.kind() == io::ErrorKind::NotFound && n == 0 => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// Writes as a shim does.
    struct Writer {
        current: PathBuf,
        limit: u64,
        keep: u32,
    }

    impl Writer {
        fn line(&self, text: &str) {
            let size = fs::metadata(&self.current).map_or(0, |metadata| metadata.len());
            if size > self.limit {
                let _ = fs::remove_file(older(&self.current, self.keep));
                for n in (0..self.keep).rev() {
                    let _ = fs::rename(older(&self.current, n), older(&self.current, n + 1));
                }
            }
            let mut file = File::options().create(true).append(true).open(&self.current).unwrap();
            let time = "2026-11-21T10:00:00Z";
            writeln!(file, r#"{{"log":"{text}\n","stream":"stdout","time":"{time}"}}"#).unwrap();
        }
    }

    fn texts(lines: &[(Line, Mark)]) -> Vec<String> {
        lines.iter().map(|(line, _)| String::from_utf8(line.text.clone()).unwrap()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

        /// Whatever is written, rotated, read in pieces and taken up again from a mark: each line
        /// comes once, in order.
        #[test]
        fn each_line_once(steps in proptest::collection::vec((0u8..6, 1usize..40), 1..60)) {
            let dir = tempfile::tempdir().unwrap();
            let current = dir.path().join("out");
            let writer = Writer { current: current.clone(), limit: 400, keep: 1000 };
            let mut reader = Reader::new(&current, None);
            let (mut written, mut got) = (Vec::new(), Vec::new());
            for (what, count) in steps {
                match what {
                    0..=2 => for _ in 0..count {
                        let text = format!("line {}", written.len());
                        writer.line(&text);
                        written.push(text);
                    },
                    3 | 4 => {
                        let lines = reader.read(count * 16).unwrap();
                        if let Some((_, mark)) = lines.last() {
                            store_mark(&current, *mark).unwrap();
                        }
                        got.extend(texts(&lines));
                    }
                    _ => reader = Reader::new(&current, load_mark(&current)),
                }
            }
            loop {
                let lines = reader.read(1 << 16).unwrap();
                if lines.is_empty() { break }
                got.extend(texts(&lines));
            }
            prop_assert_eq!(got, written);
            prop_assert_eq!(reader.gaps, 0);
        }
    }

    #[test]
    fn files_that_are_gone_leave_a_gap_and_torn_lines_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let current = dir.path().join("out");
        let writer = Writer { current: current.clone(), limit: 1, keep: 2 };
        writer.line("first");
        let mark = Reader::new(&current, None).read(1000).unwrap()[0].1;
        for n in 0..6 {
            writer.line(&format!("later {n}"));
        }
        let mut reader = Reader::new(&current, Some(mark));
        assert_eq!(texts(&reader.read(10_000).unwrap()), ["later 3", "later 4", "later 5"]);
        assert_eq!(reader.gaps, 1);
        fs::write(&current, "{\"log\":\"torn").unwrap();
        let mut reader = Reader::new(&current, load_mark(&current));
        assert!(!texts(&reader.read(10_000).unwrap()).iter().any(|text| text.contains("torn")));
    }
}
