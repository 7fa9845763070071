//! Namespaces that outlive whoever made them: a bind mount of a namespace's file holds it until it is unmounted.
//!
//! A namespace belongs to a thread, so each step into one runs on a thread of its own, which ends with the step:
//! nothing of the caller's changes, and a process started by such a thread is born inside.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::error::{Error, Result};

/// A kind of namespace, by the name of its file under `/proc/<pid>/ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Network,
    Mount,
    Names,
}

impl Kind {
    pub fn file(self) -> &'static str {
        match self {
            Kind::Network => "net",
            Kind::Mount => "mnt",
            Kind::Names => "uts",
        }
    }

    fn link(self) -> LinkNameSpaceType {
        match self {
            Kind::Network => LinkNameSpaceType::Network,
            Kind::Mount => LinkNameSpaceType::Mount,
            Kind::Names => LinkNameSpaceType::HostNameAndNISDomainName,
        }
    }
}

/// Runs `work` on a thread of its own and answers with what it answers.
pub fn apart<T: Send>(name: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.to_owned());
        let running = thread
            .spawn_scoped(scope, work)
            .map_err(|e| Error::kernel("start a thread for a namespace", e))?;
        running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Moves the calling thread, which must be about to end, into fresh namespaces.
pub fn unshare(network: bool, mounts_and_names: bool) -> Result<()> {
    let mut flags = UnshareFlags::empty();
    if network {
        flags |= UnshareFlags::NEWNET;
    }
    if mounts_and_names {
        flags |= UnshareFlags::NEWNS | UnshareFlags::NEWUTS | UnshareFlags::FS;
    }
    raw::unshare(flags).map_err(|e| Error::kernel("make namespaces", e))
}

/// Moves the calling thread, which must be about to end, into pinned namespaces.
pub fn enter(pins: &[(Kind, &Path)]) -> Result<()> {
    // All files are opened first: inside another mount namespace their paths mean something else.
    let mut files = Vec::with_capacity(pins.len());
    for (kind, path) in pins {
        files.push((
            *kind,
            File::open(path).map_err(|e| Error::file("open the namespace", *path, e))?,
        ));
    }
    for (kind, file) in files {
        if kind == Kind::Mount {
            // The kernel refuses a thread that shares its root and working directory with others.
            raw::unshare(UnshareFlags::FS)
                .map_err(|e| Error::kernel("leave the shared root", e))?;
        }
        rustix::thread::move_into_link_name_space(file.as_fd(), Some(kind.link()))
            .map_err(|e| Error::kernel(format!("enter the namespace ({})", kind.file()), e))?;
    }
    Ok(())
}

/// Runs `work` inside a pinned network namespace.
pub fn inside<T: Send>(pin: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    apart("in-namespace", || {
        enter(&[(Kind::Network, pin)])?;
        work()
    })
}

/// Pins the calling thread's namespace of a kind.
pub fn pin(kind: Kind, path: &Path) -> Result<()> {
    pin_from(kind, &format!("/proc/thread-self/ns/{}", kind.file()), path)
}

/// Pins another thread's namespace: a mount namespace can't hold itself.
pub fn pin_of(kind: Kind, thread: rustix::thread::Pid, path: &Path) -> Result<()> {
    let source = format!("/proc/self/task/{}/ns/{}", thread.as_raw_nonzero(), kind.file());
    pin_from(kind, &source, path)
}

fn pin_from(_kind: Kind, source: &str, path: &Path) -> Result<()> {
    File::create(path).map_err(|e| Error::file("create", path, e))?;
    rustix::mount::mount_bind(source, path).map_err(|e| Error::file("pin a namespace at", path, e))
}

/// Whether a namespace is pinned there (and not just its empty file).
pub fn is_pinned(path: &Path) -> bool {
    const NSFS_MAGIC: i64 = 0x6e73_6673;
    rustix::fs::statfs(path).is_ok_and(|fs| fs.f_type == NSFS_MAGIC)
}

/// Whether a pinned network namespace is the one that a process is in.
pub fn is_of(pin: &Path, pid: u32) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &Path| fs::metadata(path).ok().map(|at| (at.dev(), at.ino()));
    let own = identity(pin);
    own.is_some() && own == identity(Path::new(&format!("/proc/{pid}/ns/net")))
}

/// Lets go of a pinned namespace; one that is not there is let go of already.
pub fn unpin(path: &Path) -> Result<()> {
    while is_pinned(path) {
        rustix::mount::unmount(path, UnmountFlags::DETACH)
            .map_err(|e| Error::file("unpin the namespace", path, e))?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// A folder in memory of its own whose mounts no other mount namespace is told of: without this a pinned mount
/// namespace would be refused, and pins would spread into every namespace made later.
pub fn private_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| Error::file("create", path, e))?;
    if mounts_under(path)?.iter().any(|mount| mount == path) {
        return Ok(());
    }
    let options: Option<&std::ffi::CStr> = Some(c"mode=0711,size=64m");
    rustix::mount::mount("wharf", path, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options)
        .map_err(|e| Error::file("mount a folder at", path, e))?;
    rustix::mount::mount_change(path, MountPropagationFlags::PRIVATE)
        .map_err(|e| Error::file("make private", path, e))
}

/// Mount points at and under a path in the calling thread's namespace, deepest last.
pub fn mounts_under(path: &Path) -> Result<Vec<std::path::PathBuf>> {
    let file = "/proc/thread-self/mountinfo";
    let text = fs::read_to_string(file).map_err(|e| Error::file("read", file, e))?;
    Ok(mount_points(&text).into_iter().filter(|mount| mount.starts_with(path)).collect())
}

/// The fifth field of each line, with the kernel's octal escapes undone.
fn mount_points(text: &str) -> Vec<std::path::PathBuf> {
    text.lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|field| unescape(field).into())
        .collect()
}

pub(crate) fn unescape(field: &str) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt;
    let bytes = field.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes.get(at + 1..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if bytes[at] == b'\\' => {
                plain.push(byte);
                at += 4;
            }
            _ => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    std::ffi::OsString::from_vec(plain)
}

/// The one call that the borrow checker can't judge.
#[allow(unsafe_code)]
mod raw {
    use rustix::thread::UnshareFlags;

    pub fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
        assert!(!flags.contains(UnshareFlags::FILES), "the table of open files stays shared");
        // SAFETY: what makes `unshare` unsafe is a table of open files of one's own, which was ruled out above.
        unsafe { rustix::thread::unshare_unsafe(flags) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mount_points_are_read_with_their_spaces() {
        let text = "22 1 0:20 / / rw - ext4 /dev/x rw\n30 22 0:3 net:[4] /run/a\\040b\\134c rw - nsfs nsfs rw\n";
        let expected: Vec<std::path::PathBuf> = vec!["/".into(), "/run/a b\\c".into()];
        assert_eq!(mount_points(text), expected);
    }

    proptest! {
        #[test]
        fn any_mount_table_is_read_without_harm(text in "[ a-z0-9/\\\\\\n]{0,200}") {
            let _ = mount_points(&text);
        }
    }
}
