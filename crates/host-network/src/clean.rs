//! Removing everything that Wharf left on this machine for a data directory, and nothing else. What to remove is known
//! by the directory's tag alone, so that it works when the directory, the server and all notes are gone.
//!
//! Processes are found by where they are (a cgroup of the tag, a namespace that the tag pins), never by what they are
//! called, and are ended through a handle that can't come to mean another process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::UnmountFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Serialize;

use crate::cgroups;
use crate::error::{Error, Result};
use crate::hosts_file;
use crate::machine::{MachineState, forwarding};
use crate::namespaces;
use crate::netlink::{Batch, Socket, links, nft};
use crate::sysctl;
use crate::tag::{self, Tag};

/// Whose things to remove, and where to look.
#[derive(Clone, Debug)]
pub struct CleanOptions {
    /// It need not exist any more.
    pub data_dir: PathBuf,
    pub hosts_file: PathBuf,
    pub run: PathBuf,
}

impl CleanOptions {
    pub fn new(data_dir: impl Into<PathBuf>) -> CleanOptions {
        CleanOptions {
            data_dir: data_dir.into(),
            hosts_file: "/etc/hosts".into(),
            run: tag::RUN.into(),
        }
    }
}

/// What kind of thing was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Of a Docker Engine, as the next one: known to whoever speaks with it, and no kernel's.
    Container,
    Image,
    Process,
    Table,
    Link,
    Namespace,
    Mount,
    Cgroup,
    HostsFile,
    Forwarding,
    Folder,
}

impl What {
    /// One, and more of them.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            What::Container => ("container", "containers"),
            What::Image => ("image", "images"),
            What::Process => ("process", "processes"),
            What::Table => ("nftables table", "nftables tables"),
            What::Link => ("link", "links"),
            What::Namespace => ("namespace", "namespaces"),
            What::Mount => ("mount", "mounts"),
            What::Cgroup => ("cgroup", "cgroups"),
            What::HostsFile => ("block in", "blocks in"),
            What::Forwarding => ("forwarding of", "forwardings of"),
            What::Folder => ("folder", "folders"),
        }
    }
}

/// One thing that was left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Leftover {
    pub kind: What,
    pub name: String,
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, _) = self.kind.words();
        write!(f, "{kind} {}", self.name)
    }
}

/// What `clean` did.
#[derive(Debug, Default, Serialize)]
pub struct Cleaned {
    pub removed: Vec<Leftover>,
    /// What resisted, with the reason.
    pub failed: Vec<(Leftover, String)>,
}

/// Lists what `clean` would remove.
pub fn leftovers(options: &CleanOptions) -> Result<Vec<Leftover>> {
    Ok(Scene::look(options)?.leftovers())
}

/// Removes everything, going on where one thing resists.
pub fn clean(options: &CleanOptions) -> Result<Cleaned> {
    let mut done = Cleaned::default();
    let scene = Scene::look(options)?;
    done.end_processes(&scene);
    // What the processes held may have gone with them; what is still there is removed.
    let scene = Scene { processes: BTreeMap::new(), ..Scene::look(options)? };
    done.remove_links(&scene)?;
    for path in scene.mounts.iter().rev() {
        done.note(What::Mount, path.display(), unmount(path));
    }
    for path in &scene.pins {
        done.note(What::Namespace, path.display(), namespaces::unpin(path));
    }
    for path in scene.cgroups.iter().rev() {
        done.note(What::Cgroup, path.display(), remove_cgroup(path));
    }
    if scene.block {
        let path = &options.hosts_file;
        let removed = hosts_file::write(path, &scene.tag, &[]).map(|_| ());
        done.note(What::HostsFile, path.display(), removed);
    }
    for link in &scene.forwarding {
        done.note(What::Forwarding, link, sysctl::write(&forwarding(link), "0"));
    }
    if let Some(folder) = &scene.folder {
        done.note(What::Folder, folder.display(), remove_folder(folder));
    }
    cgroups::remove_empty_parents();
    // Fails, as it should, while another data directory's folder is in it.
    let _ = fs::remove_dir(&options.run);
    Ok(done)
}

/// Everything of a tag, as it is found.
struct Scene {
    tag: Tag,
    processes: BTreeMap<i32, String>,
    tables: Vec<String>,
    links: Vec<links::Link>,
    pins: Vec<PathBuf>,
    mounts: Vec<PathBuf>,
    cgroups: Vec<PathBuf>,
    block: bool,
    forwarding: Vec<String>,
    folder: Option<PathBuf>,
}

impl Scene {
    fn look(options: &CleanOptions) -> Result<Scene> {
        let tag = Tag::of(&options.data_dir);
        let folder = tag.run_dir(&options.run);
        let tables = nft::tables(&mut Socket::netfilter()?)?;
        let links = links::list(&mut Socket::route()?)?;
        let pins: Vec<_> = namespaces::mounts_under(&folder)?
            .into_iter()
            .filter(|path| *path != folder && namespaces::is_pinned(path))
            .collect();
        let cgroups = cgroups::all(&tag)?;
        let state =
            [&folder, &options.data_dir].map(|path| MachineState::read(path).unwrap_or_default());
        let mut forwarding: BTreeSet<String> = BTreeSet::new();
        if !others_are_there(&options.run, &tag) {
            forwarding.extend(state.into_iter().flat_map(|state| state.forwarding));
        }
        Ok(Scene {
            processes: processes(&cgroups, &pins),
            tables: tables.into_iter().filter(|name| tag.owns_table(name)).collect(),
            links: links.into_iter().filter(|link| tag.owns_link(&link.name)).collect(),
            mounts: data_mounts(&options.data_dir)?,
            pins,
            cgroups,
            block: hosts_file::has_block(&options.hosts_file, &tag),
            forwarding: forwarding.into_iter().filter(|link| forwards(link)).collect(),
            folder: folder.exists().then_some(folder),
            tag,
        })
    }

    fn leftovers(&self) -> Vec<Leftover> {
        let paths =
            |paths: &[PathBuf]| paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
        let lists = [
            (
                What::Process,
                self.processes.iter().map(|(pid, name)| format!("{pid} ({name})")).collect(),
            ),
            (What::Table, self.tables.clone()),
            (What::Link, self.links.iter().map(|link| link.name.clone()).collect()),
            (What::Mount, paths(&self.mounts)),
            (What::Namespace, paths(&self.pins)),
            (What::Cgroup, paths(&self.cgroups)),
            (What::Forwarding, self.forwarding.clone()),
            (What::Folder, paths(self.folder.as_slice())),
        ];
        let all = lists.into_iter().flat_map(|(kind, names): (What, Vec<String>)| {
            names.into_iter().map(move |name| Leftover { kind, name })
        });
        let block =
            self.block.then(|| Leftover { kind: What::HostsFile, name: "/etc/hosts".to_owned() });
        all.chain(block).collect()
    }
}

impl Cleaned {
    fn note(&mut self, kind: What, name: impl fmt::Display, result: Result<()>) {
        let leftover = Leftover { kind, name: name.to_string() };
        match result {
            Ok(()) => self.removed.push(leftover),
            Err(error) => self.failed.push((leftover, error.to_string())),
        }
    }

    fn remove_links(&mut self, scene: &Scene) -> Result<()> {
        let mut filter = Socket::netfilter()?;
        for name in &scene.tables {
            let mut batch = Batch::default();
            batch.begin();
            nft::Table { batch: &mut batch, name }.delete();
            batch.commit();
            self.note(What::Table, name, filter.send(&batch));
        }
        let mut route = Socket::route()?;
        for link in &scene.links {
            let mut batch = Batch::default();
            links::delete(&mut batch, link.index);
            let removed = match route.send(&batch) {
                // Its namespace was on its way out and took it along.
                Err(error) if error.os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => {
                    Ok(())
                }
                other => other,
            };
            self.note(What::Link, &link.name, removed);
        }
        Ok(())
    }

    /// Ends all processes, and those that they start meanwhile.
    fn end_processes(&mut self, scene: &Scene) {
        /// Rounds after which whoever still makes new processes is left to the report.
        const ROUNDS: usize = 100;
        let mut named: BTreeMap<i32, String> = BTreeMap::new();
        let mut left = scene.processes.clone();
        for _ in 0..ROUNDS {
            if left.is_empty() {
                break;
            }
            scene.cgroups.iter().for_each(|group| cgroups::hold(group));
            let ended: Vec<OwnedFd> =
                left.keys().filter_map(|pid| end(*pid, &scene.cgroups, &scene.pins)).collect();
            wait(&ended);
            named.extend(left);
            left = processes(&scene.cgroups, &scene.pins);
        }
        for (pid, name) in named {
            let result = match left.contains_key(&pid) {
                true => Err(Error::Unknown("it did not end".to_owned())),
                false => Ok(()),
            };
            self.note(What::Process, format!("{pid} ({name})"), result);
        }
    }
}

/// Sends SIGKILL by a handle that is opened first and trusted only if the process is then still where ours are.
fn end(pid: i32, groups: &[PathBuf], pins: &[PathBuf]) -> Option<OwnedFd> {
    let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    if !processes(groups, pins).contains_key(&pid) {
        return None;
    }
    pidfd_send_signal(&handle, Signal::KILL).ok()?;
    Some(handle)
}

/// Waits until all have ended; a process that hangs in the kernel is not waited for longer than five seconds.
fn wait(handles: &[OwnedFd]) {
    let limit = std::time::Instant::now() + Duration::from_secs(5);
    for handle in handles {
        let left = limit.saturating_duration_since(std::time::Instant::now());
        let timeout =
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let _ = poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&timeout));
    }
}

/// Processes in the cgroups or in the pinned namespaces, with their names; never this one.
fn processes(groups: &[PathBuf], pins: &[PathBuf]) -> BTreeMap<i32, String> {
    let mut found: BTreeSet<i32> =
        groups.iter().flat_map(|group| cgroups::members(group)).collect();
    let namespaces: BTreeSet<(u64, u64)> = pins.iter().filter_map(|pin| identity(pin)).collect();
    if !namespaces.is_empty() {
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        found.extend(pids.filter(|pid| {
            ["net", "mnt"].iter().any(|kind| {
                identity(Path::new(&format!("/proc/{pid}/ns/{kind}")))
                    .is_some_and(|id| namespaces.contains(&id))
            })
        }));
    }
    add_descendants(&mut found);
    found.remove(&(std::process::id() as i32));
    let name = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    found.iter().map(|pid| (*pid, name(pid).trim_end().to_owned())).collect()
}

/// A container's processes are a shim's children, wherever its cgroup lies.
fn add_descendants(found: &mut BTreeSet<i32>) {
    if found.is_empty() {
        return;
    }
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut parents: Vec<(i32, i32)> = Vec::new();
    for pid in all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        parents.extend(parent(&stat).map(|parent| (pid, parent)));
    }
    loop {
        let before = found.len();
        let children: Vec<i32> = parents
            .iter()
            .filter(|(_, parent)| found.contains(parent))
            .map(|(pid, _)| *pid)
            .collect();
        found.extend(children);
        if found.len() == before {
            return;
        }
    }
}

/// The fourth field of `/proc/<pid>/stat`; the second, a name in brackets, may hold anything.
fn parent(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok().filter(|pid| *pid > 0)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Mounts that containers and images leave under the data directory. A disk that someone mounted there is theirs.
fn data_mounts(data_dir: &Path) -> Result<Vec<PathBuf>> {
    // Those of `wharf up`, and an agent's own volumes in memory.
    let folders = ["hosts", "tasks", "volumes"].map(|name| data_dir.join(name));
    let mut found = Vec::new();
    for folder in &folders {
        found.extend(namespaces::mounts_under(folder)?);
    }
    found.retain(|path| !folders.contains(path));
    Ok(found)
}

fn unmount(path: &Path) -> Result<()> {
    match rustix::mount::unmount(path, UnmountFlags::DETACH) {
        // It went with the one it was mounted on.
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(Error::file("unmount", path, error)),
    }
}

/// A cgroup stays busy for a moment after its last process was reaped.
fn remove_cgroup(path: &Path) -> Result<()> {
    let limit = std::time::Instant::now() + Duration::from_secs(2);
    loop {
        match cgroups::remove(path) {
            Err(error)
                if error.os_error() == Some(rustix::io::Errno::BUSY.raw_os_error())
                    && std::time::Instant::now() < limit =>
            {
                std::thread::yield_now();
            }
            other => return other,
        }
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    for mount in namespaces::mounts_under(folder)?.iter().rev() {
        unmount(mount)?;
    }
    fs::remove_dir_all(folder).map_err(|e| Error::file("remove", folder, e))
}

fn forwards(link: &str) -> bool {
    sysctl::read(&forwarding(link)).is_ok_and(|value| value == "1")
}

/// Whether another data directory has something here, which may rely on the links that forward.
fn others_are_there(run: &Path, own: &Tag) -> bool {
    let entries = fs::read_dir(run).into_iter().flatten().flatten();
    entries.filter_map(|entry| Tag::read(entry.file_name().to_str()?)).any(|tag| tag != *own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent("17 (a) b (c)) S 4 17 17 0"), Some(4));
        assert_eq!(parent("1 (init) S 0 1"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_harm(line in "\\PC{0,60}") {
            let _ = parent(&line);
        }
    }
}
