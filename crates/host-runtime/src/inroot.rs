//! Paths inside a container's root, where every link and every `..` is the image's choice: the
//! kernel resolves them as if that directory were `/` (`RESOLVE_IN_ROOT`).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

pub struct Root {
    dir: OwnedFd,
}

impl Root {
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { dir: rustix::fs::open(path, flags, Mode::empty())? })
    }

    fn at(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(&self.dir, path, flags | OFlags::CLOEXEC, mode, resolve)?)
    }

    /// At most `limit` bytes of a regular file.
    pub fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let file = File::from(self.at(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Make a directory and those above it.
    pub fn make_dirs(&self, path: &Path) -> io::Result<()> {
        let mut done = PathBuf::from(".");
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            let parent = self.at(&done, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
            done.push(name);
            match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) => {}
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.at(&done, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_do_not_lead_outside() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        let inside = dir.path().join("root");
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::write(outside.join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("way")).unwrap();
        std::os::unix::fs::symlink("/../../outside/secret", inside.join("file")).unwrap();
        let root = Root::open(&inside).unwrap();
        assert!(root.read(Path::new("way/secret"), 10).is_err());
        assert!(root.read(Path::new("file"), 10).is_err());
        assert!(root.make_dirs(Path::new("/way/sub")).is_err());
        assert!(!outside.join("sub").exists());
        root.make_dirs(Path::new("/a/b/c")).unwrap();
        root.make_dirs(Path::new("/a/b/c")).unwrap();
        assert!(inside.join("a/b/c").is_dir());
    }
}
