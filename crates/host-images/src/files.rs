//! The few ways in which the store touches the disk: files that appear whole, locks that end with
//! their holder, and names that nobody else has.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::FlockOperation;

use crate::error::{At, Error, Result};

/// Makes a directory that only its owner enters: layers hold other people's setuid files.
pub fn make_dir(path: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.at("making directory", path)
}

pub fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).at("syncing directory", path)
}

/// Writes a file so that a reader sees the old or the new, also after a crash. `beside` is a place
/// on the same file system for the time in between.
pub fn write_whole(path: &Path, beside: &Path, bytes: &[u8], durable: bool) -> Result<()> {
    let temporary = beside.join(format!("{}.new", uuid::Uuid::new_v4()));
    let written = (|| {
        let mut file = create(&temporary)?;
        file.write_all(bytes)?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.at("writing", path)?;
    match path.parent() {
        Some(parent) if durable => sync_dir(parent),
        _ => Ok(()),
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Reads a file of at most `limit` bytes; `None` where there is none.
pub fn read_limited(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.at("opening", path)?,
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).at("reading", path)?;
    if bytes.len() as u64 > limit {
        return Err(Error::invalid("file", format!("{} exceeds {limit} bytes", path.display())));
    }
    Ok(Some(bytes))
}

/// Removes a tree or file; that it is already gone is success.
pub fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) => Err(error),
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at("removing", path),
    }
}

/// A lock on a file or directory among all processes; the kernel releases it with its holder.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Shared,
    Exclusive,
}

impl Lock {
    /// Waits until it is had.
    pub fn take(path: &Path, mode: Mode) -> Result<Lock> {
        let operation = match mode {
            Mode::Shared => FlockOperation::LockShared,
            Mode::Exclusive => FlockOperation::LockExclusive,
        };
        loop {
            let file = open_lock(path)?;
            loop {
                match rustix::fs::flock(&file, operation) {
                    Err(rustix::io::Errno::INTR) => {}
                    other => break other.at("locking", path)?,
                }
            }
            if is_still(&file, path) {
                return Ok(Lock { _file: file });
            }
        }
    }

    /// `None` if another has it.
    pub fn attempt(path: &Path) -> Result<Option<Lock>> {
        let file = open_lock(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(other) => Err(other).at("locking", path),
            Ok(()) if is_still(&file, path) => Ok(Some(Lock { _file: file })),
            // Its last holder has removed it in between: whoever tries again makes a new one.
            Ok(()) => Ok(None),
        }
    }
}

fn open_lock(path: &Path) -> Result<File> {
    if path.is_dir() {
        return File::open(path).at("opening", path);
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).at("opening lock", path)
}

/// A lock file that was unlinked while we waited locks nothing any more.
fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => held.ino() == named.ino() && held.dev() == named.dev(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_lock_file_locks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::take(&path, Mode::Exclusive).unwrap();
        assert!(Lock::attempt(&path).unwrap().is_none());
        fs::remove_file(&path).unwrap();
        let second = Lock::attempt(&path).unwrap().unwrap();
        assert!(!is_still(&first._file, &path));
        assert!(is_still(&second._file, &path));
    }

    #[test]
    fn a_file_appears_whole_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        write_whole(&path, dir.path(), b"one", true).unwrap();
        write_whole(&path, dir.path(), b"two", false).unwrap();
        assert_eq!(read_limited(&path, 3).unwrap().unwrap(), b"two");
        assert!(read_limited(&path, 2).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
