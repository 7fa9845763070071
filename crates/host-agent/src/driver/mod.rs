//! The hands of the engine: each step carried out with images, runtime and network, and its outcome
//! told as an observation. A step that fails becomes the container's reason.

mod adopt;
pub(crate) mod container;
mod copy_up;
mod files;
mod handover;
mod links;
mod network;
mod pause;
mod process;
mod pull;
mod router;
mod tmpfs;
mod volumes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use core_types::Time;
use host_images::{Image, PullBehavior, Registry, Store};
use host_network::Inside;
use host_runtime::{ExecSpec, ProcessSpec, Resources, Runtime, SIGTERM};
use tokio::io::AsyncReadExt;
use tokio::sync::{Notify, Semaphore};

use crate::clock;
use crate::engine::{Binding, Event, Failure, Probe, Step};
use crate::logs::Logs;
use crate::tasks::{Given, Live};

pub use adopt::Found;

/// Containers that are made at the same time: each wants a processor for a few milliseconds.
const AT_ONCE: usize = 8;
const PULLS_AT_ONCE: usize = 4;
/// AWS: the agent keeps this much of a health check's output.
const PROBE_OUTPUT: u64 = 1024;

pub struct Settings {
    /// What belongs to this host alone.
    pub dir: PathBuf,
    /// The parent of the tasks' cgroups, absolute within every hierarchy; `None` where tasks have none,
    /// and the runtime has a place for each container.
    pub cgroup: Option<String>,
    /// The control plane as tasks reach it; none where they cannot.
    pub endpoint: Option<String>,
    /// The CA of the control plane, where it is not in the system's store.
    pub ca: Option<PathBuf>,
    pub region: String,
    pub cluster: String,
    pub instance_id: Option<String>,
    pub privileged: bool,
    pub pull: PullBehavior,
    pub registry: Arc<Registry>,
    pub docker_auth: Option<serde_json::Value>,
    pub start_timeout: Duration,
    pub logs: Arc<Logs>,
}

pub struct Driver {
    pub runtime: Arc<dyn Runtime>,
    pub images: Store,
    pub network: Arc<Inside>,
    pub settings: Settings,
    making: Semaphore,
    pulling: Semaphore,
    /// Pulls under way, by container.
    pulls: Mutex<BTreeMap<String, Arc<Notify>>>,
    /// Images by container, while their tasks live.
    used: Mutex<BTreeMap<String, Arc<Image>>>,
    /// One image at a time goes to a runtime with a store of its own: two of one are one.
    handing_over: tokio::sync::Mutex<()>,
}

impl Driver {
    pub fn new(
        runtime: Arc<dyn Runtime>,
        images: Store,
        network: Arc<Inside>,
        settings: Settings,
    ) -> Arc<Driver> {
        Arc::new(Driver {
            runtime,
            images,
            network,
            settings,
            making: Semaphore::new(AT_ONCE),
            pulling: Semaphore::new(PULLS_AT_ONCE),
            pulls: Mutex::default(),
            used: Mutex::default(),
            handing_over: tokio::sync::Mutex::default(),
        })
    }

    /// Carry a step out; the outcome, where there is one to tell.
    pub async fn carry_out(self: &Arc<Self>, live: &Arc<Live>, step: Step) -> Option<Event> {
        let given = &live.given;
        match step {
            Step::PrepareNetwork => Some(match self.prepare(given).await {
                Ok(()) => Event::NetworkReady,
                Err(failure) => Event::NetworkFailed(failure),
            }),
            Step::ReleaseNetwork => {
                self.release(given).await;
                Some(Event::NetworkReleased)
            }
            Step::Pull { part } => Some(self.pull(live, part).await),
            Step::CancelPull { part } => {
                let pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(pull) = pulls.get(&given.container_id(part)) {
                    pull.notify_one();
                }
                None
            }
            Step::Create { part, run } => Some(match self.create(live, part, run).await {
                Ok(bindings) => Event::Created { part, run, bindings },
                Err(failure) => Event::Failed { part, failure },
            }),
            Step::Start { part, run } => Some(self.start(live, part, run).await),
            Step::Probe { part, run } => {
                let probe = self.probe(given, part).await;
                Some(Event::Probed { part, run, probe })
            }
            Step::Terminate { part, run } => {
                let signal = self.stop_signal(given, part);
                self.signal(given, part, run, signal).await
            }
            Step::Kill { part, run } => {
                let id = given.container_id(part);
                match self.runtime.kill(&id).await {
                    Err(host_runtime::Error::NotFound(_)) => Some(Event::Vanished { part, run }),
                    Err(error) => {
                        tracing::warn!("{}: cannot be killed: {error}", id);
                        None
                    }
                    Ok(()) => None,
                }
            }
        }
    }

    async fn create(
        &self,
        live: &Arc<Live>,
        part: usize,
        run: u32,
    ) -> Result<Vec<Binding>, Failure> {
        let given = &live.given;
        let ready = self.settings.logs.open(live, part).await?;
        let _place = self.making.acquire().await;
        let attachment = self.attach(given, part).await?;
        let image = self.image(given, part)?;
        let spec = self.container_spec(live, part, &image, attachment.as_ref()).await?;
        let failed = |e: host_runtime::Error| {
            let name = match e.phase() {
                host_runtime::Phase::Create => Failure::CREATE,
                host_runtime::Phase::Start => Failure::START,
            };
            Failure::new(name, reason(&e))
        };
        let created = match self.runtime.create(&spec).await {
            // AWS: a restart starts the same container, with what it has written.
            Err(host_runtime::Error::Exists(_)) if run > 0 => self.runtime.recreate(&spec).await,
            // Left by an agent that died between making it and remembering it.
            Err(host_runtime::Error::Exists(_)) => {
                self.runtime.delete(&spec.id).await.map_err(failed)?;
                self.runtime.create(&spec).await
            }
            other => other,
        };
        created.map_err(failed)?;
        self.settings.logs.ship(given, part, &self.log_dir(given, part), ready);
        Ok(network::bindings(given, part, attachment.as_ref()))
    }

    async fn start(self: &Arc<Self>, live: &Arc<Live>, part: usize, run: u32) -> Event {
        let id = live.given.container_id(part);
        let starting = self.runtime.start(&id);
        let started = match tokio::time::timeout(self.settings.start_timeout, starting).await {
            Ok(Ok(started)) => started,
            Ok(Err(error)) => {
                return Event::Failed {
                    part,
                    failure: Failure::new(Failure::START, reason(&error)),
                };
            }
            Err(_) => {
                let after = self.settings.start_timeout.as_secs();
                let text =
                    format!("Could not transition to started; timed out after waiting {after}s");
                return Event::Failed { part, failure: Failure::new(Failure::TIMEOUT, text) };
            }
        };
        let since = started.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        self.watch(live, part, run);
        Event::Started { part, run, at }
    }

    /// Tell how a container ends, whenever that is.
    pub(crate) fn watch(self: &Arc<Self>, live: &Arc<Live>, part: usize, run: u32) {
        let (driver, live) = (self.clone(), live.clone());
        tokio::spawn(async move {
            let id = live.given.container_id(part);
            let event = match driver.runtime.wait(&id).await {
                Ok(exit) => {
                    driver.settings.logs.finish(&id).await;
                    exited(part, run, &exit)
                }
                Err(error) => {
                    tracing::warn!("{id}: its end cannot be seen: {error}");
                    Event::Vanished { part, run }
                }
            };
            let _ = live.events.send(event).await;
        });
    }

    async fn probe(&self, given: &Given, part: usize) -> Probe {
        let check = given.configs[part].0.healthcheck.as_ref();
        let timeout = given.spec.parts[part].health.as_ref().map(|check| check.timeout);
        let (Some(check), Some(timeout)) = (check, timeout) else {
            return Probe { exit_code: Some(0), output: String::new() };
        };
        let args: Vec<String> = match check.test.split_first() {
            Some((kind, rest)) if kind == "CMD-SHELL" => ["/bin/sh".to_owned(), "-c".to_owned()]
                .into_iter()
                .chain(rest.iter().cloned())
                .collect(),
            Some((kind, rest)) if kind == "CMD" => rest.to_vec(),
            _ => check.test.clone(),
        };
        let process = ProcessSpec { args, ..ProcessSpec::default() };
        let spec = ExecSpec { process, size: None };
        let id = given.container_id(part);
        let running = async {
            let mut exec = self.runtime.exec(&id, &spec).await?;
            let mut output = Vec::new();
            let _ = (&mut exec.stdout).take(PROBE_OUTPUT).read_to_end(&mut output).await;
            let code = exec.control.wait().await?;
            Ok::<_, host_runtime::Error>((code, String::from_utf8_lossy(&output).into_owned()))
        };
        match tokio::time::timeout(timeout, running).await {
            Ok(Ok((code, output))) => Probe { exit_code: Some(code), output },
            Ok(Err(error)) => Probe { exit_code: None, output: reason(&error) },
            Err(_) => {
                let after = timeout.as_secs();
                let output = format!("Health check exceeded timeout ({after}s)");
                Probe { exit_code: None, output }
            }
        }
    }

    async fn signal(&self, given: &Given, part: usize, run: u32, signal: i32) -> Option<Event> {
        let id = given.container_id(part);
        match self.runtime.signal(&id, signal).await {
            Err(host_runtime::Error::NotFound(_)) => Some(Event::Vanished { part, run }),
            Err(error) => {
                tracing::warn!("{id}: signal {signal} was not taken: {error}");
                None
            }
            Ok(()) => None,
        }
    }

    /// AWS: the container's `StopSignal`, else the image's, else SIGTERM.
    fn stop_signal(&self, given: &Given, part: usize) -> i32 {
        let of_image = || {
            let image = self.image(given, part).ok()?;
            process::signal(&image.config.config.stop_signal)
        };
        process::signal(&given.configs[part].0.stop_signal).or_else(of_image).unwrap_or(SIGTERM)
    }

    /// Everything that a task left on this host.
    pub async fn remove_traces(&self, given: &Given) {
        for part in 0..given.task.containers.len() {
            let id = given.container_id(part);
            if let Err(error) = self.runtime.delete(&id).await {
                tracing::warn!("{id} was not removed: {error}");
            }
            self.let_go(&id);
            self.settings.logs.forget(&id);
        }
        self.let_namespaces_go(given).await;
        for dir in [self.task_dir(given), self.settings.dir.join("logs").join(&given.id)] {
            let remove = move || {
                tmpfs::remove_all(&dir.join("volumes"));
                std::fs::remove_dir_all(&dir)
            };
            let removed = tokio::task::spawn_blocking(remove).await;
            if let Ok(Err(error)) = removed
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!("the files of {} were not removed: {error}", given.id);
            }
        }
    }

    pub(crate) fn task_dir(&self, given: &Given) -> PathBuf {
        self.settings.dir.join("tasks").join(&given.id)
    }

    /// The task's cgroup.
    fn group(&self, given: &Given) -> Option<String> {
        Some(format!("{}/{}", self.settings.cgroup.as_ref()?, given.id))
    }

    /// One of its containers'.
    fn cgroup(&self, given: &Given, id: &str) -> Option<String> {
        Some(format!("{}/{id}", self.group(given)?))
    }
}

fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    host_runtime::reason(error)
}

pub(crate) fn exited(part: usize, run: u32, exit: &host_runtime::Exit) -> Event {
    let at = Time(i64::try_from(exit.finished_at).unwrap_or(i64::MAX));
    match exit.code {
        Some(exit_code) => Event::Exited { part, run, exit_code, oom: exit.oom_killed, at },
        None => Event::Vanished { part, run },
    }
}

/// AWS: a task's cpu is a quota over all its containers, its memory a hard limit.
fn task_limits(given: &Given) -> Resources {
    const PERIOD: u64 = 100_000;
    let mut limits = Resources::default();
    if let Some(cpu) = given.task.cpu.filter(|cpu| *cpu > 0.0) {
        limits.cpu_period = Some(PERIOD);
        limits.cpu_quota = Some((cpu * PERIOD as f64).round() as i64);
        limits.cpu_shares = Some((cpu * 1024.0).round() as u64);
    } else {
        let shares: i64 = given.task.containers.iter().map(|c| c.cpu.max(2)).sum();
        limits.cpu_shares = Some(shares as u64);
    }
    limits.memory = given.task.memory.and_then(|mib| u64::try_from(mib).ok()).map(|mib| mib << 20);
    limits
}

/// The time of a runtime's record.
pub(crate) fn time(millis: u64) -> Time {
    i64::try_from(millis).map_or_else(|_| clock::now(), Time)
}
