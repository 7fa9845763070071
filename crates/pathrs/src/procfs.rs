//! The kernel's own /proc: an instance that is mounted nowhere, so nothing can lie over its files.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, openat2};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::error::Error;
use crate::flags::OpenFlags;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcfsBase {
    ProcRoot,
    ProcSelf,
}

#[derive(Debug)]
enum Instance {
    /// Shared by the whole process: `self` in it is whoever looks, also in a child of a namespace
    /// below.
    Shared(&'static OwnedFd),
    Own(OwnedFd),
}

#[derive(Debug)]
pub struct ProcfsHandle(Instance);

/// For those who need what `subset=pid` hides.
#[derive(Debug, Default)]
pub struct ProcfsHandleBuilder {
    unmasked: bool,
}

impl ProcfsHandleBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn unmasked(mut self) -> Self {
        self.unmasked = true;
        self
    }

    pub fn build(self) -> Result<ProcfsHandle, Error> {
        if self.unmasked {
            return Ok(ProcfsHandle(Instance::Own(mount(false)?)));
        }
        ProcfsHandle::new()
    }
}

impl ProcfsHandle {
    pub fn new() -> Result<Self, Error> {
        static SHARED: OnceLock<OwnedFd> = OnceLock::new();
        if let Some(shared) = SHARED.get() {
            return Ok(Self(Instance::Shared(shared)));
        }
        let made = mount(true)?;
        Ok(Self(Instance::Shared(SHARED.get_or_init(|| made))))
    }

    pub fn open(
        &self,
        base: ProcfsBase,
        path: impl AsRef<Path>,
        flags: OpenFlags,
    ) -> Result<File, Error> {
        let dir = match &self.0 {
            Instance::Shared(dir) => dir,
            Instance::Own(dir) => dir,
        };
        let path = match base {
            ProcfsBase::ProcRoot => path.as_ref().to_owned(),
            ProcfsBase::ProcSelf => Path::new("self").join(path),
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        openat2(dir, &path, flags.0 | OFlags::CLOEXEC, Mode::empty(), resolve)
            .map(File::from)
            .map_err(Error::of(&path))
    }
}

fn mount(masked: bool) -> Result<OwnedFd, Error> {
    detached(masked).or_else(|_| attached())
}

fn detached(masked: bool) -> rustix::io::Result<OwnedFd> {
    let fs = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    if masked {
        // Since 5.8; without it there is only more to see.
        let _ = rustix::mount::fsconfig_set_string(&fs, "subset", "pid");
    }
    rustix::mount::fsconfig_create(&fs)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NOSUID;
    rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Who may not mount takes the /proc that is there, if it is one; `NO_XDEV` then refuses whatever
/// is mounted inside.
fn attached() -> Result<OwnedFd, Error> {
    let path = Path::new("/proc");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(Error::of(path))?;
    let kind = rustix::fs::fstatfs(&dir).map_err(Error::of(path))?;
    if kind.f_type as u64 != PROC_SUPER_MAGIC as u64 {
        return Err(Error::of(path)(rustix::io::Errno::NOTSUP));
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn it_is_this_process() {
        let mut text = String::new();
        let handle = ProcfsHandle::new().unwrap();
        let mut file = handle.open(ProcfsBase::ProcSelf, "stat", OpenFlags::O_RDONLY).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert!(text.starts_with(&format!("{} (", std::process::id())));
        let whole = ProcfsHandleBuilder::new().unmasked().build().unwrap();
        whole.open(ProcfsBase::ProcRoot, "sys/kernel/ostype", OpenFlags::O_RDONLY).unwrap();
        assert!(handle.open(ProcfsBase::ProcSelf, "../1/stat", OpenFlags::O_RDONLY).is_ok());
        assert!(handle.open(ProcfsBase::ProcRoot, "../etc", OpenFlags::O_RDONLY).is_err());
        assert!(handle.open(ProcfsBase::ProcSelf, "root/etc", OpenFlags::O_RDONLY).is_err());
    }
}
