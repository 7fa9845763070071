//! The Docker Engine by its API, for hosts whose tasks shall be seen in `docker ps`. The daemon is
//! the shim here: it holds output and ends, and what an agent must know again later is in labels.

mod body;
mod engine;
mod exec;
mod images;
mod logs;
mod pause;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bollard::Docker as Client;
use bollard::errors::Error as Trouble;
use bollard::models::{
    ContainerBlkioStatEntry, ContainerInspectResponse, ContainerStateStatusEnum,
    ContainerStatsResponse,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StatsOptionsBuilder, WaitContainerOptionsBuilder,
};
pub use engine::Kept;
use futures_util::StreamExt;

use crate::cgroups::Group;
use crate::error::{Error, Result};
use crate::{
    ContainerSpec, Created, Exec, ExecSpec, Exit, GroupSpec, ImageStore, LogReader, LogsFrom,
    Runtime, Started, State, Stats, Status, bundle, output,
};

/// Whose container it is, and what it was made from.
const OWNER: &str = "wharf.owner";
const SPEC: &str = "wharf.spec";
/// How long between two questions whether a daemon that was away is back, or a container gone.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// How long the daemon may take to remove a container that somebody else has told it to.
const REMOVING: Duration = Duration::from_secs(30);

pub struct Docker {
    client: Client,
    socket: PathBuf,
    /// Who makes the containers' cgroups in the Engine's place, where it is not the Engine itself.
    cgroups_of: Option<String>,
    /// Containers of other owners on the same daemon are not ours.
    owner: String,
}

fn told(error: Trouble) -> Error {
    match error {
        Trouble::DockerResponseServerError { message, .. } => Error::Docker(message),
        Trouble::SocketNotFoundError(_)
        | Trouble::RequestTimeoutError
        | Trouble::IOError { .. }
        | Trouble::HyperResponseError { .. }
        | Trouble::HyperLegacyError { .. } => Error::Away(crate::error::reason(&error)),
        error => Error::Docker(crate::error::reason(&error)),
    }
}

fn status_of(error: &Trouble) -> u16 {
    match error {
        Trouble::DockerResponseServerError { status_code, .. } => *status_code,
        _ => 0,
    }
}

impl Docker {
    /// What the daemon says that it leaves out is refused. It tells so in words only.
    async fn take_warnings(&self, spec: &ContainerSpec, all: Vec<String>) -> Result<Created> {
        let swap = spec.resources.memory_swap.is_some();
        let matters = |text: &&String| {
            text.contains("discarded") || swap && text.contains("limited without swap")
        };
        if let Some(text) = all.iter().find(matters) {
            self.delete(&spec.id).await?;
            return Err(Error::Unsupported(text.clone()));
        }
        all.iter().for_each(|text| tracing::warn!("{}: Docker says: {text}", spec.id));
        Ok(Created { pid: 0 })
    }

    async fn until_gone(&self, id: &str) -> Result<()> {
        loop {
            match self.inspect(id).await {
                Ok(_) => tokio::time::sleep(BETWEEN_LOOKS).await,
                Err(Error::NotFound(_)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    async fn inspect(&self, id: &str) -> Result<ContainerInspectResponse> {
        crate::check_id(id)?;
        self.client.inspect_container(id, None).await.map_err(|error| match status_of(&error) {
            404 => Error::NotFound(id.to_owned()),
            _ => told(error),
        })
    }
}

fn millis(text: Option<&String>) -> Option<u64> {
    let stamp: jiff::Timestamp = text?.parse().ok()?;
    // The year 1 is Docker's way to say never.
    u64::try_from(stamp.as_millisecond()).ok().filter(|millis| *millis > 0)
}

fn state_of(id: &str, answer: &ContainerInspectResponse) -> State {
    let state = answer.state.clone().unwrap_or_default();
    let labels = answer.config.as_ref().and_then(|config| config.labels.clone());
    let spec = labels.and_then(|labels| serde_json::from_str(labels.get(SPEC)?).ok());
    let status = match state.status {
        Some(ContainerStateStatusEnum::CREATED) => Status::Created,
        Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD) => Status::Stopped,
        _ if state.running == Some(true) => Status::Running,
        _ => Status::Stopped,
    };
    let started_at = millis(state.started_at.as_ref());
    let finished_at = millis(state.finished_at.as_ref()).unwrap_or(0);
    let exit = (status == Status::Stopped).then(|| Exit {
        code: state.exit_code.and_then(|code| i32::try_from(code).ok()),
        // The daemon tells only the sum: 137 may be a kill and may be said by the program.
        signal: None,
        oom_killed: state.oom_killed.unwrap_or(false),
        // Docker notes the start once the program runs; a short one has ended before that.
        started_at: started_at.map(|at| at.min(finished_at)),
        finished_at,
        reason: state.error.clone().filter(|text| !text.is_empty()),
    });
    State {
        id: id.to_owned(),
        status,
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0),
        spec,
        created_at: answer
            .created
            .as_ref()
            .and_then(|created| millis(Some(&created.to_string())))
            .unwrap_or(0),
        started_at,
        exit,
    }
}

fn stats_of(answer: &ContainerStatsResponse) -> Stats {
    let cpu = answer.cpu_stats.clone().unwrap_or_default();
    let usage = cpu.cpu_usage.clone().unwrap_or_default();
    let throttling = cpu.throttling_data.clone().unwrap_or_default();
    let memory = answer.memory_stats.clone().unwrap_or_default();
    let detail = memory.stats.clone().unwrap_or_default();
    let first = |names: [&str; 2]| names.iter().find_map(|name| detail.get(*name)).copied();
    let pids = answer.pids_stats.clone().unwrap_or_default();
    let blkio = answer.blkio_stats.clone().unwrap_or_default();
    let (read_bytes, write_bytes) = sums(blkio.io_service_bytes_recursive);
    let (read_operations, write_operations) = sums(blkio.io_serviced_recursive);
    Stats {
        cpu_total: usage.total_usage.unwrap_or(0),
        cpu_user: usage.usage_in_usermode,
        cpu_system: usage.usage_in_kernelmode,
        cpu_periods: throttling.periods,
        cpu_throttled_periods: throttling.throttled_periods,
        cpu_throttled_time: throttling.throttled_time,
        memory_usage: memory.usage.unwrap_or(0),
        memory_max_usage: memory.max_usage,
        memory_limit: memory.limit,
        memory_inactive_file: first(["total_inactive_file", "inactive_file"]).unwrap_or(0),
        memory_rss: first(["total_rss", "anon"]),
        memory_cache: first(["total_cache", "file"]),
        read_bytes,
        write_bytes,
        read_operations,
        write_operations,
        pids: pids.current,
        pids_limit: pids.limit,
        oom_kills: 0,
    }
}

fn sums(entries: Option<Vec<ContainerBlkioStatEntry>>) -> (Option<u64>, Option<u64>) {
    let entries = entries.unwrap_or_default();
    let sum = |kind: &str| {
        let of_kind = entries
            .iter()
            .filter(|entry| entry.op.as_deref().is_some_and(|op| op.eq_ignore_ascii_case(kind)));
        (!entries.is_empty()).then(|| of_kind.filter_map(|entry| entry.value).sum())
    };
    (sum("read"), sum("write"))
}

#[async_trait]
impl Runtime for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<Created> {
        bundle::check(spec)?;
        let mut body = body::create(spec)?;
        if spec.pause {
            body.image = Some(self.pause_image().await?);
            body.entrypoint = Some(vec![pause::PROGRAM.to_owned()]);
            body.cmd = None;
        }
        let labels = body.labels.get_or_insert_default();
        labels.insert(OWNER.to_owned(), self.owner.clone());
        let text = serde_json::to_string(spec).map_err(|error| Error::Create(error.to_string()))?;
        labels.insert(SPEC.to_owned(), text);
        let options = CreateContainerOptionsBuilder::default().name(&spec.id).build();
        match self.client.create_container(Some(options), body).await {
            Ok(made) => {
                if let Some(log) = &spec.stdio.log {
                    let (socket, container) = (self.socket.clone(), spec.id.clone());
                    output::Kept { socket, container }.note(&log.dir)?;
                }
                self.take_warnings(spec, made.warnings).await
            }
            Err(error) if status_of(&error) == 409 => Err(Error::Exists(spec.id.clone())),
            Err(error) => Err(match told(error) {
                Error::Docker(text) => Error::Create(format!("Error response from daemon: {text}")),
                error => error,
            }),
        }
    }

    async fn recreate(&self, spec: &ContainerSpec) -> Result<Created> {
        // The daemon starts a stopped container anew by itself.
        match self.inspect(&spec.id).await {
            Ok(_) => Ok(Created { pid: 0 }),
            Err(Error::NotFound(_)) => self.create(spec).await,
            Err(error) => Err(error),
        }
    }

    fn holds_namespaces(&self) -> bool {
        true
    }

    fn joins_paths(&self) -> bool {
        false
    }

    fn images(&self) -> Option<&dyn ImageStore> {
        Some(self)
    }

    async fn start(&self, id: &str) -> Result<Started> {
        crate::check_id(id)?;
        self.client.start_container(id, None).await.map_err(told)?;
        let state = state_of(id, &self.inspect(id).await?);
        let at = Duration::from_millis(state.started_at.unwrap_or(0));
        Ok(Started { pid: state.pid, at: SystemTime::UNIX_EPOCH + at })
    }

    async fn signal(&self, id: &str, signal: i32) -> Result<()> {
        crate::check_id(id)?;
        let options = KillContainerOptionsBuilder::default().signal(&signal.to_string()).build();
        match self.client.kill_container(id, Some(options)).await {
            // Not running: as everywhere, no error.
            Err(error) if status_of(&error) == 409 => Ok(()),
            Err(error) if status_of(&error) == 404 => Err(Error::NotFound(id.to_owned())),
            Err(error) => Err(told(error)),
            Ok(()) => Ok(()),
        }
    }

    async fn kill(&self, id: &str) -> Result<()> {
        // The daemon's engine kills the whole group when the first process is gone.
        self.signal(id, crate::SIGKILL).await
    }

    async fn wait(&self, id: &str) -> Result<Exit> {
        loop {
            let state = match self.inspect(id).await {
                Ok(answer) => state_of(id, &answer),
                // Its containers may go on without a daemon (`live-restore`), and their ends are told
                // by the next one.
                Err(Error::Away(_)) => {
                    tokio::time::sleep(BETWEEN_LOOKS).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(exit) = state.exit {
                return Ok(exit);
            }
            let until = if state.status == Status::Created { "next-exit" } else { "not-running" };
            let options = WaitContainerOptionsBuilder::default().condition(until).build();
            let mut ended = self.client.wait_container(id, Some(options));
            match ended.next().await {
                // A code other than 0 is an error for the library; the daemon knows it as well.
                None | Some(Ok(_) | Err(Trouble::DockerContainerWaitError { .. })) => {}
                Some(Err(error)) if status_of(&error) == 404 => {}
                Some(Err(error)) => match told(error) {
                    Error::Away(_) => {}
                    error => return Err(error),
                },
            }
        }
    }

    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<Exec> {
        crate::check_id(id)?;
        if spec.process.args.is_empty() {
            return Err(Error::Invalid("No exec command specified".into()));
        }
        exec::start(&self.client, id, spec).await
    }

    async fn stats(&self, id: &str) -> Result<Stats> {
        crate::check_id(id)?;
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let answer = self.client.stats(id, Some(options)).next().await;
        let answer = answer.ok_or_else(|| Error::NotRunning(id.to_owned()))?.map_err(told)?;
        if answer.pids_stats.as_ref().is_none_or(|pids| pids.current.is_none()) {
            return Err(Error::NotRunning(id.to_owned()));
        }
        Ok(stats_of(&answer))
    }

    async fn delete(&self, id: &str) -> Result<()> {
        crate::check_id(id)?;
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.client.remove_container(id, Some(options)).await {
            Err(error) if status_of(&error) == 404 => Ok(()),
            // Begun already, as by an agent that was killed since.
            Err(error) if status_of(&error) == 409 => {
                let gone = tokio::time::timeout(REMOVING, self.until_gone(id)).await;
                gone.unwrap_or_else(|_| Err(told(error)))
            }
            Err(error) => Err(told(error)),
            Ok(()) => Ok(()),
        }
    }

    async fn list(&self) -> Result<Vec<State>> {
        let filter = HashMap::from([("label".to_owned(), vec![format!("{OWNER}={}", self.owner)])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filter).build();
        let answers = self.client.list_containers(Some(options)).await.map_err(told)?;
        let mut all = Vec::new();
        for answer in answers {
            let names = answer.names.unwrap_or_default();
            let Some(id) = names.first().map(|name| name.trim_start_matches('/')) else { continue };
            match self.inspect(id).await {
                Ok(answer) => all.push(state_of(id, &answer)),
                // Gone between the two questions.
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    async fn state(&self, id: &str) -> Result<State> {
        Ok(state_of(id, &self.inspect(id).await?))
    }

    async fn logs(&self, id: &str, from: LogsFrom) -> Result<Box<dyn LogReader>> {
        let answer = self.inspect(id).await?;
        let terminal = answer.config.and_then(|config| config.tty).unwrap_or(false);
        Ok(Box::new(logs::open(&self.client, id, from, terminal)))
    }

    fn refuses_groups(&self) -> Option<String> {
        let of = self.cgroups_of.as_ref()?;
        Some(format!("the Docker Engine leaves cgroups to {of} (its cgroup driver)"))
    }

    async fn create_group(&self, group: &GroupSpec) -> Result<()> {
        if let Some(why) = self.refuses_groups() {
            return Err(Error::Unsupported(why));
        }
        let made = Group::new(&group.path)?;
        made.create()?;
        made.limit(&group.resources)
    }

    async fn remove_group(&self, path: &str) -> Result<()> {
        let group = Group::new(path)?;
        if group.exists() {
            group.kill()?;
            group.remove()?;
        }
        Ok(())
    }
}
