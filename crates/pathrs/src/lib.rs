//! What libcontainer asks of the library `pathrs`, and no more: that library is MPL-2.0 or LGPL-3.0,
//! which this project does not link. Written against its use in libcontainer alone, on openat2(2).
//!
//! Two promises: a path inside a container's root never leaves it, whatever links the image holds;
//! and a file of /proc is the kernel's, whatever is mounted over it.

pub mod error;
pub mod flags;
pub mod procfs;

use std::fs::{File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};

use error::Error;
use flags::OpenFlags;

/// A container's root.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
}

/// Something in it, opened as a place only.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl From<Handle> for OwnedFd {
    fn from(handle: Handle) -> Self {
        handle.0
    }
}

impl Root {
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path.as_ref(), flags, Mode::empty());
        Ok(Self { dir: opened.map_err(Error::of(path.as_ref()))? })
    }

    pub fn resolve(&self, path: impl AsRef<Path>) -> Result<Handle, Error> {
        self.place(path.as_ref(), OFlags::empty()).map(Handle)
    }

    fn place(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Error> {
        let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.dir, path, flags, Mode::empty(), resolve).map_err(Error::of(path))
    }

    /// Make a directory and those above it.
    pub fn mkdir_all(&self, path: impl AsRef<Path>, mode: &Permissions) -> Result<Handle, Error> {
        let path = path.as_ref();
        let mode = Mode::from_raw_mode(mode.mode() & 0o7777);
        let mut done = PathBuf::from(".");
        for part in path.components() {
            let name = match part {
                Component::Normal(name) => name,
                Component::ParentDir => return Err(Error::climbs(path)),
                _ => continue,
            };
            let parent = self.place(&done, OFlags::DIRECTORY)?;
            done.push(name);
            match rustix::fs::mkdirat(&parent, name, mode) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(errno) => return Err(Error::of(path)(errno)),
            }
        }
        self.place(&done, OFlags::DIRECTORY).map(Handle)
    }

    /// Open a file that is made where it is missing; its own name is never followed as a link.
    pub fn create_file(
        &self,
        path: impl AsRef<Path>,
        flags: OpenFlags,
        mode: &Permissions,
    ) -> Result<File, Error> {
        let path = path.as_ref();
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::climbs(path));
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let parent = self.place(parent, OFlags::DIRECTORY)?;
        let flags = flags.0 | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode.mode() & 0o7777);
        openat(&parent, name, flags, mode).map(File::from).map_err(Error::of(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("root"), dir.path().join("outside"));
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("way")).unwrap();
        std::os::unix::fs::symlink("/etc", inside.join("there")).unwrap();
        let root = Root::open(&inside).unwrap();
        let (folder, file) = (Permissions::from_mode(0o755), Permissions::from_mode(0o644));
        assert!(root.mkdir_all("/way/new", &folder).is_err());
        assert!(root.mkdir_all("/a/../b", &folder).is_err());
        root.mkdir_all("/etc/deep", &folder).unwrap();
        // An absolute link leads to the root's own /etc.
        root.create_file("/there/made", OpenFlags::O_EXCL | OpenFlags::O_CREAT, &file).unwrap();
        assert!(inside.join("etc/made").exists());
        root.resolve("/there/deep").unwrap();
        assert!(root.resolve("/way").is_err());
        std::os::unix::fs::symlink("/etc/made", inside.join("link")).unwrap();
        assert!(root.create_file("/link", OpenFlags::O_CREAT, &file).is_err());
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    }
}
