//! Whose an object is: everything that Wharf leaves in the kernel carries a hash of the data directory's path, so
//! that it is found, and found to be Wharf's and this directory's, also after the directory is gone.

use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Where pinned namespaces and the small files beside them live; gone after a reboot, as the namespaces are.
pub const RUN: &str = "/run/wharf";
/// The parent of all of Wharf's cgroups, in each hierarchy.
pub const CGROUP: &str = "wharf";
/// The prefix of every nftables table.
const TABLE: &str = "wharf-";

/// Eight hexadecimal digits that stand for a data directory.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Tag(String);

impl Tag {
    /// The tag of a data directory, which need not exist (any more).
    pub fn of(data_dir: &Path) -> Tag {
        let path = resolved(data_dir);
        let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
        Tag(hex::encode(&digest[..4]))
    }

    /// The tag that a name carries after `prefix`, if it is one.
    pub fn read(text: &str) -> Option<Tag> {
        let valid = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Tag(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bridge that stands for the VPC.
    pub fn vpc_bridge(&self) -> String {
        format!("wb{}", self.0)
    }

    /// The bridge that holds the gateway address of a host's tasks.
    pub fn task_bridge(&self) -> String {
        format!("wg{}", self.0)
    }

    /// What the names of links to hosts begin with.
    pub fn host_links(&self) -> String {
        format!("wh{}-", self.0)
    }

    /// What the names of links to tasks begin with.
    pub fn task_links(&self) -> String {
        format!("wt{}-", self.0)
    }

    /// Whether a link is one that Wharf made for this data directory.
    pub fn owns_link(&self, name: &str) -> bool {
        name == self.vpc_bridge()
            || name == self.task_bridge()
            || [self.host_links(), self.task_links()].iter().any(|prefix| {
                name.strip_prefix(prefix.as_str()).is_some_and(|rest| {
                    !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())
                })
            })
    }

    /// The table of a machine's side, and the one of a host's.
    pub fn machine_table(&self) -> String {
        format!("{TABLE}{}", self.0)
    }

    pub fn host_table(&self) -> String {
        format!("{TABLE}{}-tasks", self.0)
    }

    pub fn owns_table(&self, name: &str) -> bool {
        name == self.machine_table() || name == self.host_table()
    }

    /// The folder of pins and states.
    pub fn run_dir(&self, run: &Path) -> PathBuf {
        run.join(&self.0)
    }

    /// The cgroup that holds everything of this data directory, relative to each hierarchy's root.
    pub fn cgroup(&self) -> String {
        format!("{CGROUP}/{}", self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path without symbolic links as far as it exists: a directory keeps its tag when its last part is deleted.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut missing = Vec::new();
    let mut there = absolute.as_path();
    loop {
        if let Ok(real) = there.canonicalize() {
            return missing.iter().rev().fold(real, |path, part| path.join(part));
        }
        match (there.parent(), there.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name.to_owned());
                there = parent;
            }
            _ => return absolute,
        }
    }
}

/// Names become files and lines of /etc/hosts, so little is allowed in them.
pub fn check_name(name: &str) -> Result<()> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.bytes().all(allowed) {
        return Err(Error::Name(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_tag_when_it_is_gone_or_reached_by_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let before = Tag::of(&data);
        std::fs::create_dir(&data).unwrap();
        assert_eq!(Tag::of(&data), before);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert_eq!(Tag::of(&link.join("data")), before);
        assert_ne!(Tag::of(dir.path()), before);
    }

    #[test]
    fn only_our_own_names_are_ours() {
        let tag = Tag::of(Path::new("/a"));
        let other = Tag::of(Path::new("/b"));
        for name in [tag.vpc_bridge(), tag.task_bridge(), format!("{}12", tag.host_links())] {
            assert!(tag.owns_link(&name) && !other.owns_link(&name) && name.len() <= 15, "{name}");
        }
        for name in ["eth0", "docker0", &tag.host_links(), &format!("{}1x", tag.task_links())] {
            assert!(!tag.owns_link(name), "{name}");
        }
        assert!(format!("{}9999", tag.task_links()).len() <= 15);
    }

    #[test]
    fn names_that_would_leave_the_folder_are_refused() {
        for name in ["", ".", "..", "a/b", "../a", "a b", "a\nb", ".hidden"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("i-0123456789abcdef0").is_ok());
    }
}
