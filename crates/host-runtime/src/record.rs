//! The files of a container's directory. They are all that agents and shims know of each other, so
//! each is written whole (a new file, then renamed) and says which process it speaks of.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Exit;
use crate::error::{Error, Result};

/// A process, told apart from a later one with the same number by when it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    /// Clock ticks after boot.
    pub began: u64,
}

impl Process {
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, began: began(pid)? })
    }

    /// Zombies do not count: they have ended.
    pub fn alive(&self) -> bool {
        self.pid != 0
            && stat(self.pid)
                .is_some_and(|(state, began)| began == self.began && !matches!(state, 'Z' | 'X'))
    }

    /// A handle on exactly this process, if it is still there (a zombie is).
    pub fn open(&self) -> Option<std::os::fd::OwnedFd> {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid).ok()?)?;
        let fd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()?;
        (began(self.pid) == Some(self.began)).then_some(fd)
    }

    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let Some(fd) = self.open() else { return Ok(()) };
        let signal = named_signal(signal)?;
        match rustix::process::pidfd_send_signal(&fd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn named_signal(signal: i32) -> io::Result<rustix::process::Signal> {
    rustix::process::Signal::from_named_raw(signal)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("signal {signal}")))
}

fn began(pid: u32) -> Option<u64> {
    stat(pid).map(|(_, began)| began)
}

/// The state and the 22nd field of /proc/PID/stat; the name before may hold anything.
fn stat(pid: u32) -> Option<(char, u64)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<(char, u64)> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Written by the shim, first thing and whenever it changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShimRecord {
    pub shim: Process,
    pub container: Option<Process>,
    pub cgroup: String,
    pub created_at: u64,
    pub started_at: Option<u64>,
    /// Why its program could not be executed.
    pub failure: Option<String>,
}

/// What the shim says on its standard output when it is ready, or why it is not.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Ready { pid: u32 },
    Started { pid: u32, at: u64 },
    Failed { create: bool, text: String },
    Exited { code: i32 },
    Done,
}

impl Answer {
    pub fn failed(error: &Error) -> Self {
        Answer::Failed {
            create: error.phase() == crate::Phase::Create,
            text: crate::error::reason(error),
        }
    }

    pub fn error(create: bool, text: String) -> Error {
        if create { Error::Create(text) } else { Error::Start(text) }
    }
}

/// Where things lie in a container's directory.
#[derive(Clone, Debug)]
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn spec(&self) -> PathBuf {
        self.0.join("spec.json")
    }
    pub fn shim(&self) -> PathBuf {
        self.0.join("shim.json")
    }
    pub fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }
    pub fn messages(&self) -> PathBuf {
        self.0.join("shim.log")
    }
    pub fn bundle(&self) -> PathBuf {
        self.0.join("bundle")
    }
    pub fn rootfs(&self) -> PathBuf {
        self.0.join("rootfs")
    }
    pub fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }
    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }
    /// The OCI engine's own state.
    pub fn engine(&self) -> PathBuf {
        self.0.join("engine")
    }
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// Only what the container itself has written stays.
    pub fn keep_upper_alone(&self) -> Result<()> {
        let entries = fs::read_dir(&self.0).map_err(Error::file("cannot read", &self.0))?;
        for path in entries.flatten().map(|entry| entry.path()).filter(|p| *p != self.upper()) {
            let removed = match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path),
                _ => fs::remove_file(&path),
            };
            removed.map_err(Error::file("cannot remove", &path))?;
        }
        Ok(())
    }

    /// Take a block for the end in advance: a container that fills the disk ends, too.
    pub fn reserve_exit(&self) {
        // Spaces behind a record say nothing. Without room now there may be some then.
        let _ = fs::write(fresh_name(&self.exit()), [b' '; 4096]);
    }

    /// Record the end, unless somebody else already has. Whoever comes first is right.
    pub fn record_exit(&self, exit: &Exit) -> Result<()> {
        let path = self.exit();
        let fresh = fresh_name(&path);
        write_over(&fresh, exit).map_err(Error::file("cannot write", &fresh))?;
        let linked = fs::hard_link(&fresh, &path);
        let _ = fs::remove_file(&fresh);
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::file("cannot write", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

fn fresh_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    PathBuf::from(name)
}

fn write_new<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    let mut file = fs::File::create(path)?;
    file.write_all(&bytes)
}

/// The same into blocks that are there.
fn write_over<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all(&bytes)
}

/// A kill between the two leaves the old file. Power loss is no concern: it ends all containers.
pub fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let fresh = fresh_name(path);
    write_new(&fresh, value).map_err(Error::file("cannot write", &fresh))?;
    fs::rename(&fresh, path).map_err(Error::file("cannot write", path))
}

/// `None` where there is no such file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("cannot read", path)(error)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::file("cannot understand", path)(io::Error::other(error)))
}

/// Wait for a descriptor with the others of the agent.
#[allow(
    deprecated,
    reason = "an OwnedFd is always the same descriptor, all that its successor asks"
)]
pub fn poll(
    fd: std::os::fd::OwnedFd,
) -> io::Result<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    tokio::io::unix::AsyncFd::new(fd)
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_process_is_known_by_when_it_began() {
        let me = Process::of(std::process::id()).unwrap();
        assert!(me.alive() && me.open().is_some());
        let other = Process { began: me.began + 1, ..me };
        assert!(!other.alive() && other.open().is_none());
        assert_eq!(
            parse_stat("1 (a) b) S 0 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 77 0"),
            Some(('S', 77))
        );
    }

    #[test]
    fn the_first_record_of_the_end_stays() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Dir(dir.path().to_owned());
        let mut exit = Exit {
            code: Some(3),
            signal: None,
            oom_killed: false,
            started_at: None,
            finished_at: 1,
            reason: None,
        };
        dir.record_exit(&exit).unwrap();
        exit.code = None;
        dir.record_exit(&exit).unwrap();
        assert_eq!(read::<Exit>(&dir.exit()).unwrap().unwrap().code, Some(3));
    }

    proptest! {
        #[test]
        fn any_stat_is_survived(text in ".{0,200}") {
            parse_stat(&text);
        }
    }
}
