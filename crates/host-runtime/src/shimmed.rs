//! The embedded runtime and runc, as an agent sees them: folders with records, shims to start, and
//! nothing kept in memory.

mod exec;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use rustix::fs::{MemfdFlags, SealFlags};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::cgroups::{self, Group};
use crate::error::{Error, Result};
use crate::logs::{self, Follower};
use crate::record::{self, Answer, Dir, Process, ShimRecord};
use crate::shim::short_path;
use crate::watch::Watch;
use crate::{
    ContainerSpec, Created, Exec, ExecSpec, Exit, GroupSpec, LogReader, LogsFrom, Runtime, SIGKILL,
    Started, State, Stats, Status, bundle, check_id,
};

/// An answer is a line of this length at most.
const ANSWER_LIMIT: u64 = 64 << 10;
/// A killed container's shim has this long to write down the end.
const SHIM_PATIENCE: Duration = Duration::from_secs(10);

/// The program that becomes a container's shim.
#[derive(Clone)]
pub struct ShimProgram {
    path: PathBuf,
    /// Words before the shim's own: `shim` for the wharf binary.
    words: Vec<String>,
    /// All that a shim finds in its environment, beside PATH.
    environment: Vec<(String, String)>,
    /// Keeps `path` alive where it is a copy in memory.
    _copy: Option<Arc<OwnedFd>>,
}

impl ShimProgram {
    /// This very program, as one copy in memory that nobody can write to any more: not a container
    /// that finds a way to /proc/PID/exe, and not an upgrade that replaces the file. All shims of an
    /// agent share its pages.
    pub fn current(words: &[&str]) -> Result<Self> {
        let path = Path::new("/proc/self/exe");
        let failed = || Error::file("cannot copy", path);
        let mut file = File::open(path).map_err(failed())?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let copy = rustix::fs::memfd_create("wharf-shim", flags)
            .map_err(|errno| Error::system("a file in memory")(errno.into()))?;
        let mut copy = File::from(copy);
        std::io::copy(&mut file, &mut copy).map_err(failed())?;
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&copy, seals)
            .map_err(|errno| Error::system("seal a file in memory")(errno.into()))?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd()));
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Ok(Self { path, words, environment: Vec::new(), _copy: Some(Arc::new(copy.into())) })
    }

    /// A program on disk.
    pub fn at(path: impl Into<PathBuf>, words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { path: path.into(), words, environment: Vec::new(), _copy: None }
    }

    /// With variables in the environment of its shims, such as settings of their allocator.
    pub fn with(mut self, variables: &[(&str, &str)]) -> Self {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.environment.extend(owned);
        self
    }
}

pub struct Config {
    /// Where containers' folders lie; one runtime's alone.
    pub state_dir: PathBuf,
    /// The cgroup below which everything is made: `/wharf/…`.
    pub cgroup_root: String,
    pub shim: ShimProgram,
}

/// Containers in shims of their own; the kernel's part is done by libcontainer or by runc.
pub struct Shimmed {
    state_dir: PathBuf,
    cgroup_root: String,
    shim: ShimProgram,
    runc: Option<PathBuf>,
}

impl Shimmed {
    pub fn embedded(config: Config) -> Result<Self> {
        Self::open(config, None)
    }

    pub fn runc(config: Config, program: PathBuf) -> Result<Self> {
        Self::open(config, Some(program))
    }

    fn open(config: Config, runc: Option<PathBuf>) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        Group::new(&config.cgroup_root)?;
        let state_dir = std::path::absolute(&config.state_dir)
            .map_err(Error::file("cannot find", &config.state_dir))?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&state_dir)
            .map_err(Error::file("cannot make", &state_dir))?;
        let Config { cgroup_root, shim, .. } = config;
        Ok(Self { state_dir, cgroup_root, shim, runc })
    }

    fn dir(&self, id: &str) -> Result<Dir> {
        check_id(id)?;
        Ok(Dir(self.state_dir.join(id)))
    }

    /// The folder of a container that is there.
    fn known(&self, id: &str) -> Result<Dir> {
        let dir = self.dir(id)?;
        if dir.0.is_dir() { Ok(dir) } else { Err(Error::NotFound(id.to_owned())) }
    }

    fn shims_group(&self) -> String {
        format!("{}/shims", self.cgroup_root)
    }

    fn group_of(&self, id: &str, record: Option<&ShimRecord>) -> Result<Group> {
        match record.map(|record| record.cgroup.as_str()).filter(|path| !path.is_empty()) {
            Some(path) => Group::new(path),
            None => Group::new(&format!("{}/{id}", self.cgroup_root)),
        }
    }

    fn command(&self, dir: &Dir) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.shim.path);
        command.args(&self.shim.words).arg("--dir").arg(&dir.0);
        command.args(["--group", &self.shims_group()]);
        if let Some(runc) = &self.runc {
            command.arg("--runc").arg(runc);
        }
        // Nothing of the agent's environment is a container's business, nor its engine's.
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(self.shim.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    async fn spawn(&self, dir: &Dir, id: &str) -> Result<u32> {
        let messages = dir.messages();
        let messages = File::create(&messages).map_err(Error::file("cannot make", &messages))?;
        let mut child = self
            .command(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(messages)
            .spawn()
            .map_err(Error::system("start a shim"))?;
        let out = child.stdout.take().expect("its output is piped");
        let mut line = String::new();
        let read = tokio::io::AsyncReadExt::take(BufReader::new(out), ANSWER_LIMIT)
            .read_line(&mut line)
            .await;
        // The shim is this process's child until one of the two ends.
        tokio::spawn(async move { child.wait().await });
        read.map_err(Error::system("read a shim's answer"))?;
        match serde_json::from_str(&line) {
            Ok(Answer::Ready { pid }) => Ok(pid),
            Ok(Answer::Failed { create, text }) => Err(Answer::error(create, text)),
            _ => Err(Error::Shim { id: id.to_owned(), text: last_words(dir) }),
        }
    }

    /// The same with a cgroup in any case.
    fn with_group(&self, spec: &ContainerSpec) -> Result<ContainerSpec> {
        let mut spec = spec.clone();
        let default = || format!("{}/{}", self.cgroup_root, spec.id);
        spec.cgroup = Some(spec.cgroup.clone().unwrap_or_else(default));
        Group::new(spec.cgroup.as_deref().unwrap_or_default())?;
        Ok(spec)
    }

    /// A container in a folder that is there.
    async fn make(&self, dir: &Dir, spec: &ContainerSpec) -> Result<Created> {
        let made = match record::write(&dir.spec(), spec) {
            Ok(()) => self.spawn(dir, &spec.id).await,
            Err(error) => Err(error),
        };
        match made {
            Ok(pid) => Ok(Created { pid }),
            Err(error) => {
                let _ = self.delete(&spec.id).await;
                Err(error)
            }
        }
    }

    /// End its processes and its shim; the folder stays.
    async fn end(&self, id: &str, dir: &Dir) -> Result<()> {
        let log = record::read::<ContainerSpec>(&dir.spec()).ok().flatten();
        // A shim that is only just beginning finds nothing to make.
        let _ = std::fs::remove_file(dir.spec());
        let record: Option<ShimRecord> = record::read(&dir.shim()).ok().flatten();
        let group = self.group_of(id, record.as_ref())?;
        let first = group.clone();
        blocking(move || if first.exists() { first.kill() } else { Ok(()) }).await?;
        if let Some(shim) = record.as_ref().map(|record| record.shim) {
            // One that holds back output for a reader is not waited for.
            let patience = if dir.exit().exists() { Duration::from_secs(1) } else { SHIM_PATIENCE };
            if tokio::time::timeout(patience, process_end(shim)).await.is_err() {
                shim.signal(SIGKILL).map_err(Error::system("kill a shim"))?;
                process_end(shim).await?;
            }
        }
        if let Some(spec) = log {
            logs::mark_end(&log_dir(dir, &spec));
        }
        blocking(move || {
            if group.exists() {
                group.kill()?;
                group.remove()?;
            }
            Ok(())
        })
        .await
    }

    /// Whose shim has gone without a word has no owner: end it and say so.
    fn declare_lost(&self, id: &str, dir: &Dir, record: Option<&ShimRecord>) -> Result<Exit> {
        let group = self.group_of(id, record)?;
        let oom_killed = group.oom_kills() > 0;
        if group.exists() {
            group.kill()?;
            group.remove()?;
        }
        let exit = Exit {
            code: None,
            signal: None,
            oom_killed,
            started_at: record.and_then(|record| record.started_at),
            finished_at: record::now(),
            reason: Some(
                "the container's shim was killed; how the container ended is unknown".into(),
            ),
        };
        dir.record_exit(&exit)?;
        if let Ok(Some(spec)) = record::read::<ContainerSpec>(&dir.spec()) {
            logs::mark_end(&log_dir(dir, &spec));
        }
        Ok(record::read(&dir.exit())?.unwrap_or(exit))
    }

    fn load(&self, id: &str, dir: &Dir) -> Result<State> {
        let record: Option<ShimRecord> = record::read(&dir.shim())?;
        let mut exit: Option<Exit> = record::read(&dir.exit())?;
        let alive = record.as_ref().is_some_and(|record| record.shim.alive());
        if exit.is_none() && record.is_some() && !alive {
            // It may have written its last word in this very moment.
            exit = record::read(&dir.exit())?;
            if exit.is_none() {
                exit = Some(self.declare_lost(id, dir, record.as_ref())?);
            }
        }
        let record = record.unwrap_or_default();
        let status = match (&exit, record.started_at, record.container) {
            (Some(_), _, _) => Status::Stopped,
            (None, Some(_), _) => Status::Running,
            (None, None, Some(_)) => Status::Created,
            (None, None, None) => Status::Creating,
        };
        Ok(State {
            id: id.to_owned(),
            status,
            pid: record.container.filter(|_| exit.is_none()).map_or(0, |c| c.pid),
            spec: record::read(&dir.spec())?,
            created_at: record.created_at,
            started_at: exit.as_ref().map_or(record.started_at, |exit| exit.started_at),
            exit,
        })
    }

    fn container(&self, id: &str) -> Result<Option<Process>> {
        let dir = self.known(id)?;
        let record: Option<ShimRecord> = record::read(&dir.shim())?;
        if dir.exit().exists() {
            return Ok(None);
        }
        Ok(record.and_then(|record| record.container))
    }
}

fn log_dir(dir: &Dir, spec: &ContainerSpec) -> PathBuf {
    spec.stdio.log.as_ref().map_or_else(|| dir.log(), |files| files.dir.clone())
}

fn last_words(dir: &Dir) -> String {
    const MOST: u64 = 2048;
    let mut text = String::new();
    if let Ok(file) = File::open(dir.messages()) {
        let _ = file.take(MOST).read_to_string(&mut text);
    }
    if text.is_empty() { "it ended without a word".into() } else { text }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::system("a thread")(std::io::Error::other(error))),
    }
}

/// Until this process has ended.
async fn process_end(process: Process) -> Result<()> {
    let Some(fd) = process.open() else { return Ok(()) };
    let fd = record::poll(fd).map_err(Error::system("watch a process"))?;
    fd.readable().await.map(drop).map_err(Error::system("watch a process"))
}

#[async_trait]
impl Runtime for Shimmed {
    fn name(&self) -> &'static str {
        if self.runc.is_some() { "runc" } else { "embedded" }
    }

    async fn expect(&self) {
        let _ = tokio::task::spawn_blocking(cgroups::prepare_moves).await;
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<Created> {
        bundle::check(spec)?;
        let dir = self.dir(&spec.id)?;
        let spec = self.with_group(spec)?;
        match std::fs::create_dir(&dir.0) {
            Ok(()) => self.make(&dir, &spec).await,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Error::Exists(spec.id.clone()))
            }
            Err(error) => Err(Error::file("cannot make", &dir.0)(error)),
        }
    }

    async fn recreate(&self, spec: &ContainerSpec) -> Result<Created> {
        let Ok(dir) = self.known(&spec.id) else { return self.create(spec).await };
        bundle::check(spec)?;
        let spec = self.with_group(spec)?;
        self.end(&spec.id, &dir).await?;
        let folder = dir.clone();
        blocking(move || folder.keep_upper_alone()).await?;
        self.make(&dir, &spec).await
    }

    fn holds_namespaces(&self) -> bool {
        self.runc.is_none()
    }

    async fn start(&self, id: &str) -> Result<Started> {
        let dir = self.known(id)?;
        let lost = |error: std::io::Error| Error::Shim { id: id.into(), text: error.to_string() };
        let folder = File::open(&dir.0).map_err(Error::file("cannot open", &dir.0))?;
        let stream = tokio::net::UnixStream::connect(short_path(&folder, "shim.sock"));
        let mut stream = match stream.await {
            Ok(stream) => stream,
            Err(_) if dir.exit().exists() => return Err(Error::NotRunning(id.to_owned())),
            Err(error) => return Err(lost(error)),
        };
        stream.write_all(b"start\n").await.map_err(lost)?;
        let mut line = String::new();
        let reader = tokio::io::AsyncReadExt::take(BufReader::new(stream), ANSWER_LIMIT);
        tokio::pin!(reader);
        reader.read_line(&mut line).await.map_err(lost)?;
        match serde_json::from_str(&line) {
            Ok(Answer::Started { pid, at }) => {
                Ok(Started { pid, at: SystemTime::UNIX_EPOCH + Duration::from_millis(at) })
            }
            Ok(Answer::Failed { create, text }) => Err(Answer::error(create, text)),
            _ => Err(Error::Shim { id: id.into(), text: last_words(&dir) }),
        }
    }

    async fn signal(&self, id: &str, signal: i32) -> Result<()> {
        match self.container(id)? {
            Some(process) => process.signal(signal).map_err(Error::system("send a signal")),
            None => Ok(()),
        }
    }

    async fn kill(&self, id: &str) -> Result<()> {
        let dir = self.known(id)?;
        let record: Option<ShimRecord> = record::read(&dir.shim())?;
        let group = self.group_of(id, record.as_ref())?;
        blocking(move || group.kill()).await
    }

    async fn wait(&self, id: &str) -> Result<Exit> {
        let dir = self.known(id)?;
        let watch = Watch::of(&dir.0).map_err(Error::file("cannot watch", &dir.0))?;
        loop {
            if let Some(exit) = record::read(&dir.exit())? {
                return Ok(exit);
            }
            let record: Option<ShimRecord> = record::read(&dir.shim())?;
            match record {
                Some(record) if record.shim.alive() => {
                    tokio::select! {
                        ended = process_end(record.shim) => ended?,
                        () = watch.changed() => {}
                    }
                }
                _ => {
                    self.known(id)?;
                    if let Some(exit) = self.load(id, &dir)?.exit {
                        return Ok(exit);
                    }
                    // Its shim has not begun yet: that makes a file.
                    watch.changed().await;
                }
            }
        }
    }

    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<Exec> {
        let dir = self.known(id)?;
        if spec.process.args.is_empty() {
            return Err(Error::Invalid("No exec command specified".into()));
        }
        exec::start(self.command(&dir), &dir, spec).await
    }

    async fn stats(&self, id: &str) -> Result<Stats> {
        let dir = self.known(id)?;
        let record: Option<ShimRecord> = record::read(&dir.shim())?;
        self.group_of(id, record.as_ref())?.stats()
    }

    async fn delete(&self, id: &str) -> Result<()> {
        let Ok(dir) = self.known(id) else { return check_id(id) };
        self.end(id, &dir).await?;
        let id = id.to_owned();
        blocking(move || {
            // Renamed first: a folder is there whole or not at all.
            let gone = dir.0.with_file_name(format!(".{id}"));
            std::fs::rename(&dir.0, &gone).map_err(Error::file("cannot remove", &dir.0))?;
            std::fs::remove_dir_all(&gone).map_err(Error::file("cannot remove", &gone))
        })
        .await
    }

    async fn list(&self) -> Result<Vec<State>> {
        let entries = std::fs::read_dir(&self.state_dir)
            .map_err(Error::file("cannot read", &self.state_dir))?;
        let mut all = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                // Half removed by an agent that was killed.
                let _ = std::fs::remove_dir_all(entry.path());
                continue;
            }
            if check_id(&name).is_ok() && entry.path().is_dir() {
                all.push(self.load(&name, &Dir(entry.path()))?);
            }
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    async fn state(&self, id: &str) -> Result<State> {
        let dir = self.known(id)?;
        self.load(id, &dir)
    }

    async fn logs(&self, id: &str, from: LogsFrom) -> Result<Box<dyn LogReader>> {
        let dir = self.known(id)?;
        let spec: ContainerSpec =
            record::read(&dir.spec())?.ok_or_else(|| Error::NotFound(id.to_owned()))?;
        Ok(Box::new(Follower::open(log_dir(&dir, &spec), from)?))
    }

    async fn create_group(&self, group: &GroupSpec) -> Result<()> {
        let (made, resources) = (Group::new(&group.path)?, group.resources.clone());
        blocking(move || {
            made.create()?;
            made.limit(&resources)
        })
        .await
    }

    async fn remove_group(&self, path: &str) -> Result<()> {
        let group = Group::new(path)?;
        blocking(move || {
            if group.exists() {
                group.kill()?;
                group.remove()?;
            }
            Ok(())
        })
        .await
    }
}
