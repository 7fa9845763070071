//! The marked block in /etc/hosts: hosts are found by name from this machine. It is the one thing that Wharf writes
//! outside its own folders, so whatever is not between its two lines stays as it is, byte for byte.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::tag::Tag;

/// Bigger files are left alone: this is no hosts file.
const LIMIT: u64 = 16 << 20;

/// A host's address and the names it goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub address: Ipv4Addr,
    pub names: Vec<String>,
}

fn begin(tag: &Tag) -> String {
    format!("# BEGIN wharf {tag}")
}

fn end(tag: &Tag) -> String {
    format!("# END wharf {tag}")
}

/// The file with the block of this tag replaced; removed, where there are no entries.
fn edited(text: &str, tag: &Tag, entries: &[Entry]) -> String {
    let (begin, end) = (begin(tag), end(tag));
    let mut kept = String::with_capacity(text.len());
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        if line.trim_end() != begin {
            kept.push_str(line);
            continue;
        }
        // A block whose last line someone deleted ends where its entries do.
        while let Some(next) = lines.peek() {
            let next = next.trim_end();
            if next == end {
                lines.next();
                break;
            }
            if !next.ends_with(&comment(tag)) {
                break;
            }
            lines.next();
        }
    }
    if entries.is_empty() {
        return kept;
    }
    if !kept.is_empty() && !kept.ends_with('\n') {
        kept.push('\n');
    }
    kept.push_str(&begin);
    kept.push('\n');
    for entry in entries {
        kept.push_str(&format!("{} {} {}\n", entry.address, entry.names.join(" "), comment(tag)));
    }
    kept.push_str(&end);
    kept.push('\n');
    kept
}

fn comment(tag: &Tag) -> String {
    format!("# wharf {tag}")
}

/// Writes the block; answers whether anything changed.
pub fn write(path: &Path, tag: &Tag, entries: &[Entry]) -> Result<bool> {
    let _lock = lock(path)?;
    let size = fs::metadata(path).map_or(0, |m| m.len());
    if size > LIMIT {
        let source = io::Error::other("it is too big for a hosts file");
        return Err(Error::file("edit", path, source));
    }
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::file("read", path, error)),
    };
    let new = edited(&text, tag, entries);
    if new == text {
        return Ok(false);
    }
    replace(path, &new).map_err(|e| Error::file("write", path, e))?;
    Ok(true)
}

/// Whether the file holds a block of this tag.
pub fn has_block(path: &Path, tag: &Tag) -> bool {
    fs::read_to_string(path)
        .is_ok_and(|text| text.lines().any(|line| line.trim_end() == begin(tag)))
}

/// Two servers may start at once.
fn lock(path: &Path) -> Result<File> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let folder = File::open(folder).map_err(|e| Error::file("open", folder, e))?;
    rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|e| Error::file("lock the folder of", path, e))?;
    Ok(folder)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Behind a symbolic link the file itself is replaced, not the link.
    let path: PathBuf = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(".{name}.wharf"));
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&aside)?;
    file.write_all(text.as_bytes())?;
    match fs::metadata(&path) {
        Ok(old) => {
            file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
            std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        Err(_) => file.set_permissions(fs::Permissions::from_mode(0o644))?,
    }
    file.sync_all()?;
    match fs::rename(&aside, &path) {
        Ok(()) => Ok(()),
        Err(error) => {
            let _ = fs::remove_file(&aside);
            // Containers have this file bind-mounted, which no rename can replace: it is written in place.
            if rustix::io::Errno::from_io_error(&error) != Some(rustix::io::Errno::BUSY) {
                return Err(error);
            }
            fs::write(&path, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(last: u8, name: &str) -> Entry {
        Entry { address: Ipv4Addr::new(10, 0, 0, last), names: vec![name.to_owned()] }
    }

    #[test]
    fn a_block_is_added_replaced_and_removed() {
        let tag = Tag::of(Path::new("/a"));
        let before = "127.0.0.1 localhost";
        let one = edited(before, &tag, &[entry(4, "one")]);
        let block = format!("# BEGIN wharf {tag}\n10.0.0.4 one # wharf {tag}\n# END wharf {tag}\n");
        assert_eq!(one, format!("127.0.0.1 localhost\n{block}"));
        let after = format!("{one}10.9.9.9 mine\n");
        let two = edited(&after, &tag, &[entry(5, "two")]);
        assert!(
            two.contains("10.0.0.5 two")
                && !two.contains("10.0.0.4")
                && two.contains("10.9.9.9 mine")
        );
        assert_eq!(edited(&after, &tag, &[]), "127.0.0.1 localhost\n10.9.9.9 mine\n");
    }

    #[test]
    fn a_block_without_its_end_takes_nothing_else_with_it() {
        let tag = Tag::of(Path::new("/a"));
        let text = edited("", &tag, &[entry(4, "one")]).replace(&end(&tag), "") + "10.9.9.9 mine\n";
        assert_eq!(edited(&text, &tag, &[]), "\n10.9.9.9 mine\n");
    }

    #[test]
    fn the_file_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        fs::write(&path, "127.0.0.1 localhost\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let tag = Tag::of(Path::new("/a"));
        assert!(write(&path, &tag, &[entry(4, "one")]).unwrap());
        assert!(has_block(&path, &tag));
        assert!(!write(&path, &tag, &[entry(4, "one")]).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(write(&path, &tag, &[]).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "127.0.0.1 localhost\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    proptest! {
        #[test]
        fn what_is_not_ours_stays(text in "([ -~]{0,20}\n){0,8}", other in 0u8..3) {
            let tag = Tag::of(Path::new("/a"));
            let others = Tag::of(Path::new("/b"));
            let text = edited(&text, &others, &vec![entry(9, "other"); usize::from(other)]);
            let added = edited(&text, &tag, &[entry(4, "one"), entry(5, "two")]);
            prop_assert_eq!(edited(&added, &tag, &[]), text.clone());
            prop_assert_eq!(edited(&added, &tag, &[entry(4, "one"), entry(5, "two")]), added);
        }
    }
}
