//! Where Wharf's processes are: cgroups named after the data directory, in each hierarchy that is mounted. The layout
//! below `wharf/<tag>` is the agent's and the runtime's; that everything lies below it is agreed here.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::tag::Tag;

/// The hierarchies' mount points: one of version 2, or many of version 1, or both.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let file = "/proc/thread-self/mountinfo";
    let text = fs::read_to_string(file).map_err(|e| Error::file("read", file, e))?;
    Ok(mounted(&text))
}

fn mounted(text: &str) -> Vec<PathBuf> {
    let lines = text.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let kind = after.split(' ').next()?;
        let point = before.split(' ').nth(4)?;
        matches!(kind, "cgroup" | "cgroup2")
            .then(|| PathBuf::from(crate::namespaces::unescape(point)))
    });
    lines.collect()
}

/// The cgroup of a host under `wharf up`: its agent, its shims and its containers lie below it.
pub fn of_host(tag: &Tag, host: &str) -> String {
    format!("{}/{host}", tag.cgroup())
}

/// The agent's own: with cgroup v2 a group has members or limits those below it, not both.
pub fn of_agent(tag: &Tag, host: &str) -> String {
    format!("{}/agent", of_host(tag, host))
}

/// Makes a cgroup in every hierarchy and moves a process there. In hierarchies that want no processes beside
/// sub-groups, or whose settings must be made first (cpuset), the process stays where it was.
pub fn adopt(cgroup: &str, pid: u32) -> Result<()> {
    let mut moved = false;
    let mut last = None;
    for hierarchy in hierarchies()? {
        let folder = hierarchy.join(cgroup);
        let done = fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("cgroup.procs"), pid.to_string()));
        match done {
            Ok(()) => moved = true,
            Err(error) => last = Some(Error::file("move a process to the cgroup", folder, error)),
        }
    }
    match last {
        Some(error) if !moved => Err(error),
        _ => Ok(()),
    }
}

/// Every cgroup of a data directory that exists, parents before children.
pub fn all(tag: &Tag) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for hierarchy in hierarchies()? {
        descend(&hierarchy.join(tag.cgroup()), &mut found)?;
    }
    Ok(found)
}

fn descend(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file("read the cgroup", folder, error)),
    };
    found.push(folder.to_owned());
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            descend(&entry.path(), found)?;
        }
    }
    Ok(())
}

/// The processes directly in a cgroup; none where it is gone.
pub fn members(folder: &Path) -> BTreeSet<i32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).filter(|pid| *pid > 0).collect()
}

/// Keeps a cgroup's processes from making more of themselves while they are ended.
pub fn hold(folder: &Path) {
    // Files that this hierarchy lacks are no loss: it is one of several means to one end.
    for (file, value) in [("pids.max", "0"), ("cgroup.kill", "1")] {
        let path = folder.join(file);
        if path.exists() {
            let _ = fs::write(path, value);
        }
    }
}

pub fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove the cgroup", folder, error))
        }
        _ => Ok(()),
    }
}

/// Removes the parent of all data directories' cgroups where none is left.
pub fn remove_empty_parents() {
    for hierarchy in hierarchies().unwrap_or_default() {
        // Another data directory's cgroup in it makes this fail, as it should.
        let _ = fs::remove_dir(hierarchy.join(crate::tag::CGROUP));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_versions_are_found() {
        let text = "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                    31 25 0:27 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw\n\
                    32 25 0:28 / /tmp rw - tmpfs tmpfs rw\n";
        let expected: [PathBuf; 2] =
            ["/sys/fs/cgroup/memory".into(), "/sys/fs/cgroup/unified".into()];
        assert_eq!(mounted(text), expected);
    }

    proptest! {
        #[test]
        fn any_mount_table_is_read_without_harm(text in "[ a-z0-9/\\-\\n]{0,200}") {
            let _ = mounted(&text);
        }
    }
}
