//! A layer's archive becomes a directory for overlayfs: whiteouts turn into 0/0 devices and opaque
//! marks. Nothing outside the directory can be reached, because every path is opened by the kernel
//! with the layer as its root (`openat2`, RESOLVE_IN_ROOT), whatever symlinks stand in between.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use crate::tarstream::{Entry, Kind, TarError, TarStream};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const AUFS: &[u8] = b".wh..wh.";
const OPAQUE_MARK: &str = "trusted.overlay.opaque";
const LONGEST_PATH: usize = 4095;
const LONGEST_NAME: usize = 255;
/// As many as Linux follows in one path.
const MOST_LINKS: usize = 40;
/// Paths of directories are remembered until the end, when their times are set.
const MOST_REMEMBERED: usize = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error(transparent)]
    Tar(#[from] TarError),
    #[error("{what} {path:?}: {source}")]
    Io {
        what: &'static str,
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("invalid path {0:?} in the layer: it leads outside of it")]
    Outside(String),
    #[error("invalid path {path:?} in the layer: {why}")]
    Path { path: String, why: &'static str },
    #[error("{0}")]
    Limit(String),
}

impl UnpackError {
    pub fn is_disk_full(&self) -> bool {
        match self {
            UnpackError::Io { source, .. } => crate::error::is_full(source),
            _ => false,
        }
    }
}

type Result<T, E = UnpackError> = std::result::Result<T, E>;

/// How much a layer may be. The defaults are far beyond any image that is meant well.
#[derive(Clone, Debug)]
pub struct Limits {
    pub entries: u64,
    /// Bytes of all files together, holes included.
    pub bytes: u64,
    /// How many times its compressed size a layer may be, once it is larger than `ratio_from`.
    pub ratio: u64,
    pub ratio_from: u64,
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { entries: 2_000_000, bytes: 256 << 30, ratio: 400, ratio_from: 4 << 30, depth: 256 }
    }
}

/// What became of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    pub entries: u64,
    pub bytes: u64,
}

/// Unpacks into `root`, an empty directory. `compressed` is the archive's size on the wire.
pub fn unpack<R: Read>(
    archive: &mut TarStream<R>,
    root: &Path,
    compressed: u64,
    limits: &Limits,
) -> Result<Unpacked> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty())
        .map_err(|e| io_error("opening", root.as_os_str().as_bytes(), e))?;
    let mut layer = Layer {
        root,
        parent: None,
        times: Vec::new(),
        remembered: 0,
        done: Unpacked::default(),
        compressed,
        limits,
    };
    while let Some(entry) = archive.next()? {
        layer.add(&entry, archive)?;
    }
    layer.set_times()?;
    Ok(layer.done)
}

struct Layer<'l> {
    root: OwnedFd,
    /// The last parent, since an archive lists a directory's files one after the other.
    parent: Option<(Vec<u8>, OwnedFd)>,
    times: Vec<(Vec<u8>, (i64, u32))>,
    remembered: usize,
    done: Unpacked,
    compressed: u64,
    limits: &'l Limits,
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(&path[..path.len().min(300)]).into_owned()
}

fn io_error(what: &'static str, path: &[u8], source: impl Into<io::Error>) -> UnpackError {
    UnpackError::Io { what, path: shown(path), source: source.into() }
}

/// The path below the root, without `.`, `..` and doubled slashes, as Docker cleans it.
fn clean(path: &[u8], depth: usize) -> Result<Vec<u8>> {
    let refuse = |why| Err(UnpackError::Path { path: shown(path), why });
    if path.len() > LONGEST_PATH {
        return refuse("longer than 4095 bytes");
    }
    if path.contains(&0) {
        return refuse("a zero byte");
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if parts.pop().is_none() {
                    return Err(UnpackError::Outside(shown(path)));
                }
            }
            part if part.len() > LONGEST_NAME => return refuse("a name longer than 255 bytes"),
            part => parts.push(part),
        }
    }
    if parts.len() > depth {
        return refuse("nested too deeply");
    }
    Ok(parts.join(&b'/'))
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// The names that a path or a symlink goes through, the first one last.
fn steps(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|b| *b == b'/').filter(|name| !matches!(name, [] | [b'.']));
    names.rev().map(<[u8]>::to_vec).collect()
}

impl Layer<'_> {
    fn add<R: Read>(&mut self, entry: &Entry, data: &mut TarStream<R>) -> Result<()> {
        self.count(entry)?;
        let path = clean(&entry.path, self.limits.depth)?;
        if path.is_empty() {
            return self.root_itself(entry);
        }
        let (parent, name) = split(&path);
        let name = name.to_vec();
        let dir = self.open_parent(parent)?;
        if name == OPAQUE {
            return self.mark_opaque(&dir, &path);
        }
        if name.starts_with(AUFS) {
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return whiteout(&dir, hidden, &path);
        }
        let replaced_whiteout = self.make_room(&dir, &name, entry, &path)?;
        match entry.kind {
            Kind::Directory => self.directory(&dir, &name, entry, &path, replaced_whiteout),
            Kind::File => self.file(&dir, &name, entry, &path, data),
            Kind::Hardlink => self.hardlink(&dir, &name, entry, &path),
            Kind::Symlink => self.symlink(&dir, &name, entry, &path),
            Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => node(&dir, &name, entry, &path),
        }
    }

    fn count(&mut self, entry: &Entry) -> Result<()> {
        self.done.entries += 1;
        if self.done.entries > self.limits.entries {
            return Err(UnpackError::Limit(format!(
                "the layer has more than {} entries",
                self.limits.entries
            )));
        }
        if entry.kind != Kind::File {
            return Ok(());
        }
        self.done.bytes = self.done.bytes.saturating_add(entry.size.max(entry.stored));
        let (bytes, limits) = (self.done.bytes, self.limits);
        if bytes > limits.bytes {
            return Err(UnpackError::Limit(format!(
                "the layer is larger than {} bytes when unpacked",
                limits.bytes
            )));
        }
        if bytes > limits.ratio_from && bytes / limits.ratio > self.compressed {
            return Err(UnpackError::Limit(format!(
                "the layer's {} bytes unpack to more than {} times as much",
                self.compressed, limits.ratio
            )));
        }
        Ok(())
    }

    /// The archive's entry for the layer's own directory sets how the container's `/` looks.
    fn root_itself(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Directory {
            return Err(UnpackError::Path { path: "/".into(), why: "the root is a directory" });
        }
        let root = self.reopen(&self.root, b"/")?;
        set_attributes(&root, entry, b"/")?;
        self.remember(Vec::new(), entry)
    }

    fn reopen(&self, dir: &OwnedFd, path: &[u8]) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(dir, c".", flags, Mode::empty())
            .map_err(|e| io_error("opening", path, e))
    }

    fn remember(&mut self, path: Vec<u8>, entry: &Entry) -> Result<()> {
        self.remembered += path.len() + 64;
        if self.remembered > MOST_REMEMBERED {
            return Err(UnpackError::Limit("the layer has too many directories".into()));
        }
        self.times.push((path, entry.mtime));
        Ok(())
    }

    /// Opens a directory as the container would see it: symlinks are followed, but end in the layer.
    fn open_in_root(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        if path.is_empty() {
            return rustix::io::fcntl_dupfd_cloexec(&self.root, 0);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        loop {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), within) {
                // The kernel saw a rename somewhere and could not be sure; asking again is the cure.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// The parent, made if the archive has not listed it.
    fn open_parent(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let again = |dir: &OwnedFd| {
            rustix::io::fcntl_dupfd_cloexec(dir, 0).map_err(|e| io_error("opening", path, e))
        };
        if let Some((last, dir)) = &self.parent
            && last == path
        {
            return again(dir);
        }
        let dir = match self.open_in_root(path) {
            Ok(dir) => dir,
            // The walk finds out what is in the way.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => self.make_parents(path)?,
            Err(error) => return Err(io_error("opening directory", path, error)),
        };
        let copy = again(&dir)?;
        self.parent = Some((path.to_vec(), dir));
        Ok(copy)
    }

    /// Walks the path as the container would, and makes what the layer does not have of it. A symlink
    /// may lead to a folder of a layer below, which this one has not got: then it gets one of the same
    /// name, in which overlayfs shows both layers' files.
    fn make_parents(&self, path: &[u8]) -> Result<OwnedFd> {
        let failed = |e| io_error("making directory", path, e);
        let refuse = |why| UnpackError::Path { path: shown(path), why };
        let mut way = vec![self.open_in_root(b"").map_err(failed)?];
        let mut ahead: Vec<Vec<u8>> = steps(path);
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            if name == b".." {
                // The root's parent is the root.
                way.truncate(way.len().saturating_sub(1).max(1));
                continue;
            }
            let here = &way[way.len() - 1];
            match rustix::fs::mkdirat(here, &name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(failed(error)),
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(here, &name, flags, Mode::empty()) {
                Ok(dir) if way.len() <= self.limits.depth => way.push(dir),
                Ok(_) => return Err(refuse("nested too deeply")),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(refuse("its symlinks lead round in a circle"));
                    }
                    let target = match rustix::fs::readlinkat(here, &name, Vec::new()) {
                        Ok(target) => target.into_bytes(),
                        Err(Errno::INVAL) => {
                            return Err(refuse("a file stands where it has a folder"));
                        }
                        Err(error) => return Err(failed(error)),
                    };
                    if target.starts_with(b"/") {
                        way.truncate(1);
                    }
                    ahead.extend(steps(&target));
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(way.pop().expect("the root is never left"))
    }

    fn mark_opaque(&self, dir: &OwnedFd, path: &[u8]) -> Result<()> {
        set_opaque(&self.reopen(dir, path)?, path)
    }

    /// Removes what an earlier entry left under the name. True: that was a whiteout.
    fn make_room(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        path: &[u8],
    ) -> Result<bool> {
        let found = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            other => other.map_err(|e| io_error("looking at", path, e))?,
        };
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind == FileType::Directory && entry.kind == Kind::Directory {
            return Ok(false);
        }
        self.parent = None;
        let place = in_dir(dir, name);
        let removed = match kind {
            FileType::Directory => std::fs::remove_dir_all(&place),
            _ => std::fs::remove_file(&place),
        };
        removed.map_err(|e| io_error("replacing", path, e))?;
        Ok(kind == FileType::CharacterDevice && found.st_rdev == 0)
    }

    fn directory(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        path: &[u8],
        replaced_whiteout: bool,
    ) -> Result<()> {
        match rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(io_error("making directory", path, error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(dir, name, flags, Mode::empty())
            .map_err(|e| io_error("opening", path, e))?;
        set_attributes(&made, entry, path)?;
        if replaced_whiteout {
            set_opaque(&made, path)?;
        }
        self.remember(path.to_vec(), entry)
    }

    fn file<R: Read>(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        path: &[u8],
        data: &mut TarStream<R>,
    ) -> Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))
            .map_err(|e| io_error("creating", path, e))?;
        let mut file = File::from(file);
        match &entry.sparse {
            None => write_part(data, &mut file, entry.stored, path)?,
            Some(parts) => {
                for (offset, length) in parts {
                    let at = file.seek(SeekFrom::Start(*offset));
                    at.map_err(|e| io_error("writing", path, e))?;
                    write_part(data, &mut file, *length, path)?;
                }
                file.set_len(entry.size).map_err(|e| io_error("writing", path, e))?;
            }
        }
        set_attributes(&file, entry, path)?;
        let times = timestamps(entry.mtime);
        rustix::fs::futimens(&file, &times).map_err(|e| io_error("setting times of", path, e))
    }

    /// Both ends are opened within the layer, so that neither name can lead out of it.
    fn hardlink(&mut self, dir: &OwnedFd, name: &[u8], entry: &Entry, path: &[u8]) -> Result<()> {
        let target = clean(&entry.link, self.limits.depth)?;
        let (from, from_name) = split(&target);
        if from_name.is_empty() || target == path {
            return Err(UnpackError::Path {
                path: shown(path),
                why: "a link to itself or the root",
            });
        }
        let failed = |e| UnpackError::Io {
            what: "linking",
            path: format!("{} to {}", shown(path), shown(&target)),
            source: io::Error::from(e),
        };
        let from = self.open_in_root(from).map_err(failed)?;
        rustix::fs::linkat(&from, from_name, dir, name, AtFlags::empty()).map_err(failed)
    }

    fn symlink(&mut self, dir: &OwnedFd, name: &[u8], entry: &Entry, path: &[u8]) -> Result<()> {
        self.parent = None;
        if entry.link.is_empty() || entry.link.len() > LONGEST_PATH || entry.link.contains(&0) {
            return Err(UnpackError::Path {
                path: shown(path),
                why: "an impossible symlink target",
            });
        }
        rustix::fs::symlinkat(entry.link.as_slice(), dir, name)
            .map_err(|e| io_error("making symlink", path, e))?;
        set_node_attributes(dir, name, entry, path)
    }

    /// Directories get their times last, since what is put into them changes these. A directory
    /// that a later entry replaced is passed over.
    fn set_times(&self) -> Result<()> {
        for (path, mtime) in &self.times {
            let Ok(dir) = self.open_in_root(path) else { continue };
            let dir = self.reopen(&dir, path)?;
            rustix::fs::futimens(&dir, &timestamps(*mtime))
                .map_err(|e| io_error("setting times of", path, e))?;
        }
        Ok(())
    }
}

fn write_part<R: Read>(
    data: &mut TarStream<R>,
    file: &mut File,
    length: u64,
    path: &[u8],
) -> Result<()> {
    let mut left = length;
    let mut buffer = vec![0; 64 << 10];
    while left > 0 {
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = data.read(&mut buffer[..most]).map_err(TarError::from)?;
        if n == 0 {
            return Err(TarError::Short.into());
        }
        file.write_all(&buffer[..n]).map_err(|e| io_error("writing", path, e))?;
        left -= n as u64;
    }
    Ok(())
}

/// A name in an open directory, for calls that take paths only.
fn in_dir(dir: &OwnedFd, name: &[u8]) -> PathBuf {
    let mut place = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
    place.push(std::ffi::OsStr::from_bytes(name));
    place
}

fn timestamps((tv_sec, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec, tv_nsec: i64::from(nanos) };
    Timestamps { last_access: time, last_modification: time }
}

/// The layers below show nothing of this directory.
fn set_opaque(dir: impl AsFd, path: &[u8]) -> Result<()> {
    rustix::fs::fsetxattr(dir, OPAQUE_MARK, b"y", XattrFlags::empty())
        .map_err(|e| io_error("marking as opaque", path, e))
}

/// Hides a name of the layers below; what this layer itself has under the name stays, and is then
/// all there is of it.
fn whiteout(dir: &OwnedFd, hidden: &[u8], path: &[u8]) -> Result<()> {
    if matches!(hidden, b"" | b"." | b"..") {
        return Err(UnpackError::Path { path: shown(path), why: "a whiteout of nothing" });
    }
    let mode = Mode::empty();
    match rustix::fs::mknodat(dir, hidden, FileType::CharacterDevice, mode, 0) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(dir, hidden, flags, Mode::empty()) {
                Ok(own) => set_opaque(&own, path),
                Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
                Err(error) => Err(io_error("looking at", path, error)),
            }
        }
        Err(error) => Err(io_error("making whiteout", path, error)),
    }
}

fn node(dir: &OwnedFd, name: &[u8], entry: &Entry, path: &[u8]) -> Result<()> {
    let kind = match entry.kind {
        Kind::CharDevice => FileType::CharacterDevice,
        Kind::BlockDevice => FileType::BlockDevice,
        _ => FileType::Fifo,
    };
    let device = match kind {
        FileType::Fifo => 0,
        _ => rustix::fs::makedev(entry.device.0, entry.device.1),
    };
    rustix::fs::mknodat(dir, name, kind, Mode::from_raw_mode(entry.mode), device)
        .map_err(|e| io_error("making node", path, e))?;
    set_node_attributes(dir, name, entry, path)?;
    // mknod is subject to the umask, so the mode is said again.
    rustix::fs::chmodat(dir, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
        .map_err(|e| io_error("setting mode of", path, e))
}

/// Extended attributes that a file keeps. Those of overlayfs could redirect a lookup into another
/// layer, and a security label is this machine's own affair.
fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability"
        || name.starts_with(b"system.posix_acl_")
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

/// Some file systems know no `user.` attributes on some kinds of files; Docker goes on as well.
fn forgive(result: rustix::io::Result<()>, path: &[u8]) -> Result<()> {
    match result {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => Ok(()),
        Err(error) => Err(io_error("setting attributes of", path, error)),
    }
}

/// Owner first: changing it takes away setuid bits and capabilities.
fn set_attributes(file: impl AsFd, entry: &Entry, path: &[u8]) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    rustix::fs::fchown(&file, Some(uid), Some(gid))
        .map_err(|e| io_error("setting owner of", path, e))?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode))
        .map_err(|e| io_error("setting mode of", path, e))?;
    for (name, value) in entry.xattrs.iter().filter(|(name, _)| is_kept(name)) {
        let set = rustix::fs::fsetxattr(&file, name.as_slice(), value, XattrFlags::empty());
        forgive(set, path)?;
    }
    Ok(())
}

/// For what cannot be opened: symlinks, devices, pipes.
fn set_node_attributes(dir: &OwnedFd, name: &[u8], entry: &Entry, path: &[u8]) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| io_error("setting owner of", path, e))?;
    for (key, value) in entry.xattrs.iter().filter(|(key, _)| is_kept(key)) {
        let place = in_dir(dir, name);
        let set = rustix::fs::lsetxattr(&place, key.as_slice(), value, XattrFlags::empty());
        forgive(set, path)?;
    }
    let times = timestamps(entry.mtime);
    rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| io_error("setting times of", path, e))
}
