//! A folder becomes a layer's archive, the same bytes each time: entries in the order of their
//! names, times as given, owners root unless kept. What is the same has then the same digest.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use tar::{Builder, EntryType, Header};

use crate::error::{At, Error, Result};

/// Folders are walked this deep; a deeper one is a loop of mounts or a mistake.
const DEEPEST: usize = 256;

/// How the archive's entries look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Seconds since 1970 for every entry, `None` to keep the files' own.
    pub mtime: Option<u64>,
    pub owner: Option<(u32, u32)>,
}

/// Writes entries below `/`; parents that were not added are made on the way.
pub struct Packer<W: Write> {
    builder: Builder<W>,
    look: Look,
    dirs: BTreeMap<PathBuf, ()>,
    links: BTreeMap<(u64, u64), PathBuf>,
}

impl<W: Write> Packer<W> {
    pub fn new(to: W, look: Look) -> Packer<W> {
        Packer { builder: Builder::new(to), look, dirs: BTreeMap::new(), links: BTreeMap::new() }
    }

    pub fn finish(self) -> io::Result<W> {
        self.builder.into_inner()
    }

    /// Adds a file or a whole folder as `to`. A folder's own attributes are taken, too.
    pub fn add(&mut self, from: &Path, to: &Path) -> Result<()> {
        let to = inside(to)?;
        self.parents(&to)?;
        self.walk(from, &to, DEEPEST)
    }

    fn parents(&mut self, to: &Path) -> Result<()> {
        let mut all: Vec<&Path> =
            to.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).collect();
        all.reverse();
        for dir in all {
            if self.dirs.insert(dir.to_owned(), ()).is_none() {
                let mut header = Header::new_gnu();
                header.set_entry_type(EntryType::Directory);
                header.set_mode(0o755);
                header.set_mtime(self.look.mtime.unwrap_or(0));
                self.append(header, dir, io::empty(), 0)?;
            }
        }
        Ok(())
    }

    fn walk(&mut self, from: &Path, to: &Path, depth: usize) -> Result<()> {
        if depth == 0 {
            return Err(Error::invalid(
                "folder",
                format!("{} is nested too deeply", from.display()),
            ));
        }
        let found = fs::symlink_metadata(from).at("looking at", from)?;
        if !found.is_dir() {
            return self.leaf(from, to, &found);
        }
        if !to.as_os_str().is_empty() && self.dirs.insert(to.to_owned(), ()).is_none() {
            let mut header = self.header(&found);
            header.set_entry_type(EntryType::Directory);
            self.append(header, to, io::empty(), 0)?;
        }
        let entries = fs::read_dir(from).at("listing", from)?;
        let names =
            entries.map(|entry| entry.map(|e| e.file_name())).collect::<io::Result<Vec<_>>>();
        let mut names = names.at("listing", from)?;
        names.sort();
        for name in names {
            self.walk(&from.join(&name), &to.join(&name), depth - 1)?;
        }
        Ok(())
    }

    fn leaf(&mut self, from: &Path, to: &Path, found: &Metadata) -> Result<()> {
        let kind = found.file_type();
        let mut header = self.header(found);
        if kind.is_symlink() {
            let target = fs::read_link(from).at("reading link", from)?;
            header.set_entry_type(EntryType::Symlink);
            let linked = self.builder.append_link(&mut header, to, target);
            return linked.at("packing", from);
        }
        if kind.is_socket() {
            // Nobody listens on it in a container, and archives cannot hold one.
            return Ok(());
        }
        if kind.is_file() && found.nlink() > 1 {
            let inode = (found.dev(), found.ino());
            if let Some(first) = self.links.get(&inode) {
                header.set_entry_type(EntryType::Link);
                return self.builder.append_link(&mut header, to, first).at("packing", from);
            }
            self.links.insert(inode, to.to_owned());
        }
        if kind.is_file() {
            let file = fs::File::open(from).at("opening", from)?;
            return self.append(header, to, file, found.len());
        }
        header.set_entry_type(match () {
            () if kind.is_char_device() => EntryType::Char,
            () if kind.is_block_device() => EntryType::Block,
            () => EntryType::Fifo,
        });
        let (major, minor) = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
        header
            .set_device_major(major)
            .and_then(|()| header.set_device_minor(minor))
            .at("packing", from)?;
        self.append(header, to, io::empty(), 0)
    }

    fn header(&self, found: &Metadata) -> Header {
        let mut header = Header::new_gnu();
        header.set_mode(found.mode() & 0o7777);
        let (uid, gid) = self.look.owner.unwrap_or((found.uid(), found.gid()));
        header.set_uid(u64::from(uid));
        header.set_gid(u64::from(gid));
        header.set_mtime(self.look.mtime.unwrap_or(u64::try_from(found.mtime()).unwrap_or(0)));
        header
    }

    /// A file that grows or shrinks while it is read would break the archive: exactly `size`.
    fn append(
        &mut self,
        mut header: Header,
        to: &Path,
        data: impl io::Read,
        size: u64,
    ) -> Result<()> {
        header.set_size(size);
        let mut data = Exactly { inner: data, left: size };
        self.builder.append_data(&mut header, to, &mut data).at("packing", to)
    }
}

struct Exactly<R> {
    inner: R,
    left: u64,
}

impl<R: io::Read> io::Read for Exactly<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut into[..most])?;
        if n == 0 {
            return Err(io::Error::other("the file shrank while it was read"));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// A path in an image, relative to its root.
fn inside(path: &Path) -> Result<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => clean.push(name),
            Component::ParentDir | Component::Prefix(_) => {
                let shown = String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned();
                return Err(Error::invalid("path in the image", shown));
            }
        }
    }
    Ok(clean)
}
