//! Control groups without asking which version: a path is the same in every hierarchy, and limits,
//! counters and killing are a handful of small files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::Stats;
use crate::error::{Error, Result};
use crate::spec::Resources;

const MOUNT: &str = "/sys/fs/cgroup";
/// How often an emptying group is looked at before it is given up.
const KILL_ROUNDS: u32 = 200;
const DEFAULT_PERIOD: u64 = 100_000;

/// The hierarchies of this machine.
#[derive(Debug)]
pub enum Hierarchies {
    V2,
    /// Controllers' names and where they are mounted.
    V1(BTreeMap<String, PathBuf>),
}

pub fn hierarchies() -> &'static Hierarchies {
    static FOUND: OnceLock<Hierarchies> = OnceLock::new();
    FOUND.get_or_init(detect)
}

/// Where version 2 is mounted beside version 1, without controllers. Nothing is limited there, but runc
/// and Docker put their containers into groups of the same names, and leave them and their parents.
fn beside() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let look = || {
        let mount = Path::new(MOUNT).join("unified");
        let there =
            matches!(hierarchies(), Hierarchies::V1(_)) && mount.join("cgroup.procs").exists();
        there.then_some(mount)
    };
    FOUND.get_or_init(look).as_deref()
}

fn detect() -> Hierarchies {
    if Path::new(MOUNT).join("cgroup.controllers").exists() {
        return Hierarchies::V2;
    }
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(MOUNT).into_iter().flatten().flatten() {
        let path = entry.path();
        // `cpu` and `cpuacct` may be links to one mount.
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "unified" && !name.contains(',') && path.join("cgroup.procs").exists() {
            found.insert(name, path);
        }
    }
    Hierarchies::V1(found)
}

/// Make the next moves of processes between groups quick.
///
/// The kernel lets nobody fork while it moves a process, and the first move after a pause waits until
/// all processors have noticed: 8 to 16 ms, most of what a lone container's start would take. For some
/// milliseconds after a move there is no such wait. So this process is moved to where it is, while
/// what comes before the container is still being made ready.
pub fn prepare_moves() {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some((controller, path)) = own_group(&own) else { return };
    let mount = match hierarchies() {
        Hierarchies::V2 => Some(Path::new(MOUNT)),
        Hierarchies::V1(all) => all.get(controller).map(PathBuf::as_path),
    };
    if let Some(mount) = mount {
        let _ = write(&mount.join(path.trim_start_matches('/')).join("cgroup.procs"), "0");
    }
}

/// Some controller and this process's group there; no name is version 2.
fn own_group(text: &str) -> Option<(&str, &str)> {
    text.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let controller = controllers.split(',').next().unwrap_or_default();
        let known = match hierarchies() {
            Hierarchies::V2 => controller.is_empty(),
            Hierarchies::V1(all) => all.contains_key(controller),
        };
        known.then_some((controller, path))
    })
}

/// One group in all hierarchies.
#[derive(Clone, Debug)]
pub struct Group {
    path: String,
}

impl Group {
    /// `path` is absolute and plain: no `..`, nothing empty.
    pub fn new(path: &str) -> Result<Self> {
        let plain = path.len() > 1
            && path.len() < 1024
            && path.starts_with('/')
            && path[1..].split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        if !plain {
            return Err(Error::Invalid(format!("\"{path}\" is not a cgroup path")));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// The group's directories, with their controllers' names (`""` is v2).
    fn dirs(&self) -> Vec<(&'static str, PathBuf)> {
        let below = &self.path[1..];
        match hierarchies() {
            Hierarchies::V2 => vec![("", Path::new(MOUNT).join(below))],
            Hierarchies::V1(all) => {
                all.iter().map(|(name, mount)| (name.as_str(), mount.join(below))).collect()
            }
        }
    }

    /// The same, and where others may have made it.
    fn everywhere(&self) -> Vec<PathBuf> {
        let own = self.dirs().into_iter().map(|(_, dir)| dir);
        own.chain(beside().map(|mount| mount.join(&self.path[1..]))).collect()
    }

    fn dir(&self, controller: &str) -> Option<PathBuf> {
        let dirs = self.dirs();
        let found = dirs.into_iter().find(|(name, _)| name.is_empty() || *name == controller);
        found.map(|(_, dir)| dir)
    }

    /// Its directory, where there is but one hierarchy.
    pub fn unified(&self) -> Option<PathBuf> {
        matches!(hierarchies(), Hierarchies::V2).then(|| self.dir("")).flatten()
    }

    pub fn exists(&self) -> bool {
        self.everywhere().iter().any(|dir| dir.exists())
    }

    /// Make it everywhere, with the controllers of v2 handed down to it.
    pub fn create(&self) -> Result<()> {
        for (name, dir) in self.dirs() {
            let below = match hierarchies() {
                Hierarchies::V2 => Path::new(MOUNT).to_owned(),
                Hierarchies::V1(all) => all[name].clone(),
            };
            let mut at = below;
            for part in self.path[1..].split('/') {
                if name.is_empty() {
                    hand_down(&at);
                }
                at.push(part);
                make_dir(&at)?;
                if name == "cpuset" {
                    inherit_cpuset(&at)?;
                }
            }
            debug_assert_eq!(at, dir);
        }
        Ok(())
    }

    pub fn add(&self, pid: u32) -> Result<()> {
        for (_, dir) in self.dirs() {
            let file = dir.join("cgroup.procs");
            write(&file, &pid.to_string()).map_err(Error::file("cannot enter", &file))?;
        }
        Ok(())
    }

    pub fn limit(&self, resources: &Resources) -> Result<()> {
        check(resources)?;
        match hierarchies() {
            Hierarchies::V2 => self.limit_v2(resources),
            Hierarchies::V1(_) => self.limit_v1(resources),
        }
    }

    fn set(&self, controller: &str, file: &str, value: &str) -> Result<()> {
        let Some(dir) = self.dir(controller) else {
            return Err(Error::Unsupported(format!(
                "this machine has no {controller} cgroup controller, needed for {file}"
            )));
        };
        let path = dir.join(file);
        write(&path, value).map_err(|source| {
            Error::Create(format!("failed to write \"{value}\" to {}: {source}", path.display()))
        })
    }

    fn has(&self, controller: &str, file: &str) -> bool {
        self.dir(controller).is_some_and(|dir| dir.join(file).exists())
    }

    fn limit_v2(&self, r: &Resources) -> Result<()> {
        if let Some(shares) = r.cpu_shares {
            // The usual mapping of 2–262144 onto 1–10000.
            let weight = 1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142;
            self.set("cpu", "cpu.weight", &weight.to_string())?;
        }
        if r.cpu_quota.is_some() || r.cpu_period.is_some() {
            let quota = match r.cpu_quota {
                Some(quota) if quota > 0 => quota.to_string(),
                _ => "max".into(),
            };
            let period = r.cpu_period.unwrap_or(DEFAULT_PERIOD);
            self.set("cpu", "cpu.max", &format!("{quota} {period}"))?;
        }
        if let Some(set) = &r.cpuset {
            self.set("cpuset", "cpuset.cpus", set)?;
        }
        if let Some(memory) = r.memory {
            self.set("memory", "memory.max", &memory.to_string())?;
            if self.has("memory", "memory.swap.max") {
                // v2 counts swap alone, the definition counts both.
                let swap = match swap_total(r) {
                    Some(-1) => "max".into(),
                    Some(total) => (total as u64).saturating_sub(memory).to_string(),
                    None => memory.to_string(),
                };
                self.set("memory", "memory.swap.max", &swap)?;
            }
        }
        if let Some(reservation) = r.memory_reservation {
            self.set("memory", "memory.low", &reservation.to_string())?;
        }
        if r.swappiness.is_some_and(|s| s != 60) {
            return Err(Error::Unsupported("swappiness cannot be set with cgroup v2".into()));
        }
        if let Some(pids) = r.pids {
            self.set("pids", "pids.max", &pids_text(pids))?;
        }
        Ok(())
    }

    fn limit_v1(&self, r: &Resources) -> Result<()> {
        if let Some(shares) = r.cpu_shares {
            self.set("cpu", "cpu.shares", &shares.clamp(2, 262_144).to_string())?;
        }
        if let Some(period) = r.cpu_period {
            self.set("cpu", "cpu.cfs_period_us", &period.to_string())?;
        }
        if let Some(quota) = r.cpu_quota {
            self.set("cpu", "cpu.cfs_quota_us", &quota.to_string())?;
        }
        if let Some(set) = &r.cpuset {
            self.set("cpuset", "cpuset.cpus", set)?;
        }
        if let Some(memory) = r.memory {
            self.limit_memory_v1(memory, swap_total(r))?;
        }
        if let Some(reservation) = r.memory_reservation {
            self.set("memory", "memory.soft_limit_in_bytes", &reservation.to_string())?;
        }
        if let Some(swappiness) = r.swappiness {
            self.set("memory", "memory.swappiness", &swappiness.to_string())?;
        }
        if let Some(pids) = r.pids {
            self.set("pids", "pids.max", &pids_text(pids))?;
        }
        Ok(())
    }

    /// The kernel wants memory ≤ memory and swap at every moment, so a rise begins with the sum.
    fn limit_memory_v1(&self, memory: u64, total: Option<i64>) -> Result<()> {
        let both = "memory.memsw.limit_in_bytes";
        let memory_text = memory.to_string();
        let total = total.filter(|_| self.has("memory", both)).map(|total| total.to_string());
        let first = self.set("memory", "memory.limit_in_bytes", &memory_text);
        if let Some(total) = &total {
            self.set("memory", both, total)?;
        }
        match first {
            Ok(()) => Ok(()),
            Err(_) => self.set("memory", "memory.limit_in_bytes", &memory_text),
        }
    }

    /// Processes in it and below it.
    pub fn processes(&self) -> Vec<i32> {
        let dir = self.dir("freezer").or_else(|| self.dir("pids")).or_else(|| self.dir("memory"));
        let mut pids = Vec::new();
        if let Some(dir) = dir {
            collect(&dir, &mut pids);
        }
        pids
    }

    /// Kill all processes in it and below it, and see that they are gone.
    pub fn kill(&self) -> Result<()> {
        for round in 0..KILL_ROUNDS {
            if let Hierarchies::V2 = hierarchies()
                && let Some(dir) = self.dir("")
            {
                // One write kills all at once, newly forked ones included (since 5.14).
                let _ = write(&dir.join("cgroup.kill"), "1");
            }
            let pids = self.processes();
            if pids.is_empty() {
                return Ok(());
            }
            // Frozen, nothing forks away between reading and killing, and no pid is used again.
            self.freeze(true);
            for pid in self.processes() {
                if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
            self.freeze(false);
            std::thread::sleep(std::time::Duration::from_millis(u64::from(round.min(20))));
        }
        Err(Error::System {
            what: "processes in a cgroup do not die",
            source: io::Error::new(io::ErrorKind::TimedOut, self.path.clone()),
        })
    }

    fn freeze(&self, on: bool) {
        let (file, value) = match hierarchies() {
            Hierarchies::V2 => ("cgroup.freeze", if on { "1" } else { "0" }),
            Hierarchies::V1(_) => ("freezer.state", if on { "FROZEN" } else { "THAWED" }),
        };
        if let Some(dir) = self.dir("freezer") {
            let _ = write(&dir.join(file), value);
        }
    }

    /// Remove it and everything below; its processes must be gone.
    pub fn remove(&self) -> Result<()> {
        for dir in self.everywhere() {
            remove_tree(&dir).map_err(Error::file("cannot remove cgroup", &dir))?;
        }
        Ok(())
    }

    pub fn oom_kills(&self) -> u64 {
        let (controller, file) = match hierarchies() {
            Hierarchies::V2 => ("", "memory.events"),
            Hierarchies::V1(_) => ("memory", "memory.oom_control"),
        };
        self.keyed(controller, file).get("oom_kill").copied().unwrap_or(0)
    }

    fn text(&self, controller: &str, file: &str) -> Option<String> {
        fs::read_to_string(self.dir(controller)?.join(file)).ok()
    }

    fn number(&self, controller: &str, file: &str) -> Option<u64> {
        self.text(controller, file)?.trim().parse().ok()
    }

    /// Files of `key value` lines.
    fn keyed(&self, controller: &str, file: &str) -> BTreeMap<String, u64> {
        parse_keyed(&self.text(controller, file).unwrap_or_default())
    }

    pub fn stats(&self) -> Result<Stats> {
        if !self.exists() {
            return Err(Error::NotRunning(self.path.rsplit('/').next().unwrap_or("").into()));
        }
        Ok(match hierarchies() {
            Hierarchies::V2 => self.stats_v2(),
            Hierarchies::V1(_) => self.stats_v1(),
        })
    }

    fn stats_v2(&self) -> Stats {
        let cpu = self.keyed("", "cpu.stat");
        let memory = self.keyed("", "memory.stat");
        let io = parse_io_v2(&self.text("", "io.stat").unwrap_or_default());
        let micros = |key: &str| cpu.get(key).map(|micros| micros * 1000);
        Stats {
            cpu_total: micros("usage_usec").unwrap_or(0),
            cpu_user: micros("user_usec"),
            cpu_system: micros("system_usec"),
            cpu_periods: cpu.get("nr_periods").copied(),
            cpu_throttled_periods: cpu.get("nr_throttled").copied(),
            cpu_throttled_time: micros("throttled_usec"),
            memory_usage: self.number("", "memory.current").unwrap_or(0),
            memory_max_usage: self.number("", "memory.peak"),
            memory_limit: self.number("", "memory.max"),
            memory_inactive_file: memory.get("inactive_file").copied().unwrap_or(0),
            memory_rss: memory.get("anon").copied(),
            memory_cache: memory.get("file").copied(),
            read_bytes: io.get("rbytes").copied(),
            write_bytes: io.get("wbytes").copied(),
            read_operations: io.get("rios").copied(),
            write_operations: io.get("wios").copied(),
            pids: self.number("", "pids.current"),
            pids_limit: self.number("", "pids.max"),
            oom_kills: self.oom_kills(),
        }
    }

    fn stats_v1(&self) -> Stats {
        /// A tick of /proc and `cpuacct.stat`.
        const TICK: u64 = 10_000_000;
        let ticks = self.keyed("cpuacct", "cpuacct.stat");
        let cpu = self.keyed("cpu", "cpu.stat");
        let memory = self.keyed("memory", "memory.stat");
        let bytes = self.text("blkio", "blkio.throttle.io_service_bytes_recursive");
        let times = self.text("blkio", "blkio.throttle.io_serviced_recursive");
        let (bytes, times) =
            (parse_blkio(&bytes.unwrap_or_default()), parse_blkio(&times.unwrap_or_default()));
        // Without a limit v1 shows the largest number of pages.
        let limit = self.number("memory", "memory.limit_in_bytes").filter(|l| *l < 1 << 62);
        Stats {
            cpu_total: self.number("cpuacct", "cpuacct.usage").unwrap_or(0),
            cpu_user: ticks.get("user").map(|t| t * TICK),
            cpu_system: ticks.get("system").map(|t| t * TICK),
            cpu_periods: cpu.get("nr_periods").copied(),
            cpu_throttled_periods: cpu.get("nr_throttled").copied(),
            cpu_throttled_time: cpu.get("throttled_time").copied(),
            memory_usage: self.number("memory", "memory.usage_in_bytes").unwrap_or(0),
            memory_max_usage: self.number("memory", "memory.max_usage_in_bytes"),
            memory_limit: limit,
            memory_inactive_file: memory.get("total_inactive_file").copied().unwrap_or(0),
            memory_rss: memory.get("total_rss").copied(),
            memory_cache: memory.get("total_cache").copied(),
            read_bytes: bytes.map(|b| b.0),
            write_bytes: bytes.map(|b| b.1),
            read_operations: times.map(|t| t.0),
            write_operations: times.map(|t| t.1),
            pids: self.number("pids", "pids.current"),
            pids_limit: self.number("pids", "pids.max"),
            oom_kills: self.oom_kills(),
        }
    }
}

/// What Docker refuses before the kernel would, in its words where it has some.
pub fn check(r: &Resources) -> Result<()> {
    const MEMORY_LEAST: u64 = 6 << 20;
    let invalid = |text: String| Err(Error::Invalid(text));
    if r.memory.is_some_and(|memory| memory < MEMORY_LEAST) {
        return invalid("Minimum memory limit allowed is 6MB".into());
    }
    if let (Some(reservation), Some(memory)) = (r.memory_reservation, r.memory)
        && reservation > memory
    {
        return invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage".into(),
        );
    }
    if let (Some(swap), Some(memory)) = (r.memory_swap, r.memory)
        && swap >= 0
        && (swap as u64) < memory
        && swap != 0
    {
        return invalid(
            "Minimum memoryswap limit should be larger than memory limit, see usage".into(),
        );
    }
    if r.memory_swap.is_some_and(|swap| swap > 0) && r.memory.is_none() {
        return invalid(
            "You should always set the Memory limit when using Memoryswap limit".into(),
        );
    }
    if r.memory_swap.is_some_and(|swap| swap < -1) {
        return invalid(format!("invalid memory and swap: {}", r.memory_swap.unwrap_or(0)));
    }
    if let Some(swappiness) = r.swappiness.filter(|s| *s > 100) {
        return invalid(format!(
            "Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        ));
    }
    if let Some(period) = r.cpu_period.filter(|p| !(1_000..=1_000_000).contains(p)) {
        return invalid(format!(
            "CPU cfs period can not be less than 1ms or larger than 1s: {period}"
        ));
    }
    if r.cpu_quota.is_some_and(|quota| (0..1_000).contains(&quota)) {
        return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)".into());
    }
    if let Some(score) = r.oom_score_adj.filter(|s| !(-1000..=1000).contains(s)) {
        return invalid(format!("Invalid value {score}, range for oom score adj is [-1000, 1000]"));
    }
    Ok(())
}

/// Memory and swap together; AWS: without a word on swap a container gets as much as its memory.
pub fn swap_total(r: &Resources) -> Option<i64> {
    match (r.memory_swap, r.memory) {
        (Some(0) | None, Some(memory)) => Some(i64::try_from(memory.saturating_mul(2)).ok()?),
        (other, _) => other,
    }
}

fn pids_text(pids: i64) -> String {
    if pids > 0 { pids.to_string() } else { "max".into() }
}

fn write(path: &Path, value: &str) -> io::Result<()> {
    // Without O_CREAT: a file that the kernel does not have shall not be told as EPERM.
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    io::Write::write_all(&mut file, value.as_bytes())
}

fn make_dir(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::file("cannot make cgroup", path)(error))
        }
        _ => Ok(()),
    }
}

/// Let the groups below have what this one has of controllers.
fn hand_down(dir: &Path) {
    if has_members(dir) {
        // The kernel refuses some controllers to a group with members, and takes others at the price of
        // the groups below, which then take no processes at all.
        if dir != Path::new(MOUNT) || !make_room(dir) {
            return;
        }
    }
    let all = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
    for controller in all.split_whitespace() {
        // One by one: a controller that cannot be handed down must not keep the others.
        let _ = write(&dir.join("cgroup.subtree_control"), &format!("+{controller}"));
    }
}

/// Processes of its own, and not the kernel's own root, which is no group like others.
fn has_members(dir: &Path) -> bool {
    let members = || fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    dir.join("cgroup.type").exists() && !members().trim().is_empty()
}

/// Move the members of a container's root group into a group below it. Inside of a container (Docker's, say)
/// everything begins there, and nothing else makes room.
fn make_room(root: &Path) -> bool {
    let below = root.join("init");
    if make_dir(&below).is_err() {
        return false;
    }
    // Who forks meanwhile is found in the next round.
    for _ in 0..KILL_ROUNDS {
        let members = fs::read_to_string(root.join("cgroup.procs")).unwrap_or_default();
        if members.trim().is_empty() {
            return true;
        }
        for pid in members.lines() {
            let _ = write(&below.join("cgroup.procs"), pid);
        }
    }
    false
}

fn inherit_cpuset(dir: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let mine = dir.join(file);
        let empty = fs::read_to_string(&mine).unwrap_or_default().trim().is_empty();
        if let (true, Some(parent)) = (empty, dir.parent()) {
            let value = fs::read_to_string(parent.join(file)).unwrap_or_default();
            write(&mine, value.trim()).map_err(Error::file("cannot write", &mine))?;
        }
    }
    Ok(())
}

fn collect(dir: &Path, pids: &mut Vec<i32>) {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            collect(&entry.path(), pids);
        }
    }
}

fn remove_tree(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    for round in 0..KILL_ROUNDS {
        match fs::remove_dir(dir) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // The last process may be gone for `wait` and not yet for the group.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && round + 1 < KILL_ROUNDS => {
                std::thread::sleep(std::time::Duration::from_millis(u64::from(round.min(20))));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn parse_keyed(text: &str) -> BTreeMap<String, u64> {
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(key, value)| Some((key.to_owned(), value.trim().parse().ok()?))).collect()
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`, summed over the devices.
fn parse_io_v2(text: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for pair in text.split_whitespace().filter_map(|word| word.split_once('=')) {
        if let Ok(value) = pair.1.parse::<u64>() {
            let sum: &mut u64 = sums.entry(pair.0.to_owned()).or_default();
            *sum = sum.saturating_add(value);
        }
    }
    sums
}

/// `8:0 Read 1`, `8:0 Write 2`, …: reads and writes over all devices.
fn parse_blkio(text: &str) -> Option<(u64, u64)> {
    let mut sums = None;
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let [_, kind, value] = words[..]
            && let Ok(value) = value.parse::<u64>()
        {
            let (read, write) = sums.get_or_insert((0u64, 0u64));
            match kind {
                "Read" => *read = read.saturating_add(value),
                "Write" => *write = write.saturating_add(value),
                _ => {}
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn absurd_limits_are_told() {
        let refused = |r: Resources| check(&r).unwrap_err().to_string();
        let text = refused(Resources { memory: Some(4096), ..Default::default() });
        assert_eq!(text, "Minimum memory limit allowed is 6MB");
        refused(Resources { cpu_quota: Some(5), ..Default::default() });
        refused(Resources { swappiness: Some(101), ..Default::default() });
        let half =
            Resources { memory: Some(64 << 20), memory_swap: Some(32 << 20), ..Default::default() };
        refused(half);
        check(&Resources::default()).unwrap();
    }

    #[test]
    fn paths_stay_below_their_mount() {
        for bad in ["", "/", "a", "/a/../b", "/a//b", "/a/"] {
            assert!(Group::new(bad).is_err(), "{bad}");
        }
        Group::new("/wharf/task-1/web").unwrap();
    }

    #[test]
    fn usage_files() {
        let io = parse_io_v2("8:0 rbytes=1 wbytes=2 rios=3 wios=4\n8:16 rbytes=10 x\n");
        assert_eq!((io["rbytes"], io["wios"]), (11, 4));
        assert_eq!(parse_blkio("8:0 Read 5\n8:0 Write 6\n8:0 Total 11\nTotal 11\n"), Some((5, 6)));
        assert_eq!(parse_blkio(""), None);
    }

    proptest! {
        #[test]
        fn any_kernel_text_is_survived(text in ".{0,300}") {
            parse_keyed(&text);
            parse_io_v2(&text);
            parse_blkio(&text);
        }
    }
}
