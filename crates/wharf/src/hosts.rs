//! The hosts that `wharf up` runs on this machine: each an agent in namespaces and a cgroup of its
//! own, started again when it ends, and left running with its tasks when the server stops.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use core_types::{AccountId, Region, Scope};
use host_agent::config::{INSTANCE_TYPE, Source};
use host_network::addresses::Zone;
use host_network::{CleanOptions, HostPlace, Machine, MachineOptions, cgroups, clean};
use plane_engine::Engine;
use serde_json::json;
use service_ec2::reports::{HostReady, NetworkReady};
use service_iam::hosts::HostSession;
use service_iam::ops::Issued;
use tokio::sync::Notify;

use crate::data_dir::DataDir;
use crate::runtime::RuntimeKind;

/// What the command line says of hosts.
#[derive(Clone, clap::Args)]
pub struct HostArguments {
    /// Hosts to run on this machine, in the availability zones a and b by turns
    #[arg(long, env = "WHARF_HOSTS", default_value_t = 2, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=64))]
    hosts: u16,
    /// CPU units of each host, 1024 to a core [default: the machine's, divided by N]
    #[arg(long, env = "WHARF_HOST_CPU", value_name = "UNITS")]
    #[arg(value_parser = clap::value_parser!(u64).range(128..))]
    host_cpu: Option<u64>,
    /// Memory of each host [default: the machine's, divided by N]
    #[arg(long, env = "WHARF_HOST_MEMORY", value_name = "MIB")]
    #[arg(value_parser = clap::value_parser!(u64).range(64..))]
    host_memory: Option<u64>,
    /// The addresses of hosts and tasks [default: a free 10.x.0.0/16]
    #[arg(long, env = "WHARF_VPC_CIDR", value_name = "CIDR")]
    vpc_cidr: Option<ipnet::Ipv4Net>,
    /// What the hosts are called where machines have types; a host's own ECS_INSTANCE_TYPE (in its
    /// ecs.config) holds over it [default: wharf.host]
    #[arg(long, env = "WHARF_INSTANCE_TYPE", value_name = "TYPE")]
    instance_type: Option<String>,
    /// What runs the hosts' containers
    #[arg(long, env = "WHARF_RUNTIME", value_enum, default_value_t)]
    runtime: RuntimeKind,
    /// Leave /etc/hosts alone: hosts are reached by address only
    #[arg(long, env = "WHARF_NO_HOSTS_FILE")]
    no_hosts_file: bool,
    /// At the end stop all tasks and remove all hosts
    #[arg(long, env = "WHARF_RM")]
    rm: bool,
}

impl HostArguments {
    /// As `--rm` does.
    pub fn remove_at_end(&mut self) {
        self.rm = true;
    }
}

/// A host's settings, in its folder.
const SETTINGS: &str = "ecs.config";
const TYPE_VARIABLE: &str = "ECS_INSTANCE_TYPE";
/// Sessions last this long, and are renewed long before.
const SESSION: Duration = Duration::from_secs(36 * 3600);
const RENEWAL: Duration = Duration::from_secs(6 * 3600);
/// An agent that ends at once is started again after growing waits between these.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LAST_WAIT: Duration = Duration::from_secs(30);
const HEALTHY: Duration = Duration::from_secs(30);
/// AWS: the agent's exit code for "do not start me again".
const TERMINAL: i32 = 5;

/// The machine's side, before anything runs.
pub struct Hosts {
    machine: Machine,
    arguments: HostArguments,
    dir: DataDir,
    places: Vec<HostPlace>,
}

/// Hosts that run.
pub struct Running {
    hosts: Hosts,
    agents: Arc<Agents>,
    keepers: Vec<tokio::task::JoinHandle<()>>,
}

/// The agents of the hosts that this server keeps.
#[derive(Default)]
pub struct Agents {
    /// Their process ids, for the end.
    pids: Mutex<Vec<u32>>,
    /// By the host's name and by its id: how its keeper is asked to start the agent again.
    again: Mutex<BTreeMap<String, Arc<Notify>>>,
}

impl Agents {
    fn pids(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn again(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Notify>>> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, place: &HostPlace) -> Arc<Notify> {
        let again = Arc::new(Notify::new());
        self.again().extend([&place.name, &place.id].map(|key| (key.clone(), again.clone())));
        again
    }

    /// End an agent and start it again, also one that had ended for good. False: there is no such host.
    pub fn restart(&self, host: &str) -> bool {
        let found = self.again().get(host).cloned();
        found.map(|again| again.notify_one()).is_some()
    }
}

fn end(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// What the server tells its hosts.
pub struct Plane<'a> {
    pub engine: &'a Engine,
    pub account: AccountId,
    pub region: Region,
    pub scheme: &'a str,
    pub port: u16,
    pub ca: Option<&'a Path>,
}

impl Hosts {
    /// Make what is missing of bridge and namespaces, and take back what is there.
    pub fn open(arguments: &HostArguments, dir: &DataDir, region: Region) -> Result<Hosts> {
        if !crate::process::is_root() {
            bail!("hosts need root: run `wharf up` as root, or `wharf server` without hosts");
        }
        if arguments.runtime == RuntimeKind::Docker {
            bail!(
                "hosts of `wharf up` have files and networks of their own, which a Docker Engine does \
                 not share: run `wharf server`, and `wharf agent --runtime docker` beside it"
            );
        }
        let mut options = MachineOptions::new(dir.path());
        options.vpc = arguments.vpc_cidr;
        options.domain = service_ec2::ops::private_domain(region);
        if arguments.no_hosts_file {
            options.hosts_file = None;
        }
        let mut machine = Machine::open(options).context("cannot set up the hosts' network")?;
        let mut known = machine.hosts();
        known.sort_by(|a, b| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
        let mut places = Vec::new();
        for nth in 0..usize::from(arguments.hosts) {
            let (id, name, zone) = match known.get(nth) {
                Some(place) => (place.id.clone(), place.name.clone(), place.zone),
                None => (instance_id()?, format!("host-{}", nth + 1), Zone::ALL[nth % 2]),
            };
            let place = machine.add_host(&id, zone, &name);
            places.push(place.with_context(|| format!("cannot make host {name}"))?);
        }
        Ok(Hosts { machine, arguments: arguments.clone(), dir: dir.clone(), places })
    }

    /// Where hosts reach the server, beside its own addresses.
    pub fn listen(&self, port: u16) -> Vec<SocketAddr> {
        self.machine.gateways().map(|address| SocketAddr::new(IpAddr::V4(address), port)).to_vec()
    }

    /// Start an agent in each.
    pub async fn start(self, plane: &Plane<'_>, agents: Arc<Agents>) -> Result<Running> {
        let mut keepers = Vec::new();
        self.tell(plane).await.context("the hosts' network is not told")?;
        for place in &self.places {
            let dir = self.host_dir(place);
            std::fs::create_dir_all(&dir)
                .with_context(|| format!("cannot make {}", dir.display()))?;
            let session = Session {
                engine: plane.engine.clone(),
                account: plane.account,
                host: place.id.clone(),
                file: dir.join("session.json"),
            };
            session.renew().await.context("no session for a host")?;
            keepers.push(tokio::spawn(session.keep_fresh()));
            let keeper = Keeper {
                place: place.clone(),
                kind: self.type_of(place),
                command: self.command(place, plane)?,
                cgroup: cgroups::of_agent(self.machine.tag(), &place.id),
                agents: agents.clone(),
                again: agents.keep(place),
            };
            keepers.push(tokio::spawn(keeper.run()));
        }
        Ok(Running { hosts: self, agents, keepers })
    }

    /// What EC2's part shows: the range as a VPC, the hosts as instances.
    async fn tell(&self, plane: &Plane<'_>) -> Result<()> {
        let network = NetworkReady { cidr: self.machine.vpc().cidr };
        plane.engine.report(Box::new(network)).await?;
        for place in &self.places {
            let host = HostReady {
                id: place.id.as_str().into(),
                scope: Scope::new(plane.account, plane.region),
                zone: place.zone.letter(),
                address: place.address,
                instance_type: self.type_of(place).now().into(),
            };
            plane.engine.report(Box::new(host)).await?;
        }
        Ok(())
    }

    fn type_of(&self, place: &HostPlace) -> TypeOf {
        let settings = self.host_dir(place).join(SETTINGS);
        TypeOf { settings, usual: self.arguments.instance_type.clone() }
    }

    fn host_dir(&self, place: &HostPlace) -> PathBuf {
        self.dir.path().join("hosts").join(&place.id)
    }

    fn command(&self, place: &HostPlace, plane: &Plane<'_>) -> Result<AgentCommand> {
        let dir = std::path::absolute(self.host_dir(place))?;
        let data_dir = std::path::absolute(self.dir.path())?;
        let cgroup = format!("/{}", cgroups::of_host(self.machine.tag(), &place.id));
        let share = u64::try_from(self.places.len()).unwrap_or(1).max(1);
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get()) as u64;
        let cpu = self.arguments.host_cpu.unwrap_or(cores * 1024 / share);
        let memory = self.arguments.host_memory.unwrap_or(machine_memory() / share);
        let text = |path: PathBuf| path.display().to_string();
        let (view, scope) = (plane.engine.view(), Scope::new(plane.account, plane.region));
        let vpc = service_ec2::ops::vpc_id(&view.state, scope).unwrap_or_default();
        let subnets = service_ec2::ops::subnets(&view.state, scope);
        let zone = format!("{}{}", plane.region, place.zone.letter());
        let subnet = subnets.into_iter().find(|subnet| subnet.zone_name == zone);
        let subnet = subnet.with_context(|| format!("no subnet is in {zone}"))?;
        let mut environment = vec![
            ("AWS_DEFAULT_REGION", plane.region.to_string()),
            ("ECS_BACKEND_HOST", format!("{}://{}:{}", plane.scheme, place.gateway, plane.port)),
            ("ECS_DATADIR", text(dir.clone())),
            ("ECS_INSTANCE_ID", place.id.clone()),
            ("ECS_AVAILABILITY_ZONE", zone),
            ("ECS_AVAILABILITY_ZONE_ID", subnet.zone_id),
            ("ECS_VPC_ID", vpc),
            ("ECS_SUBNET_ID", subnet.id),
            // The VPC's addresses lead to these hosts.
            ("ECS_ENABLE_TASK_ENI", "true".to_owned()),
            ("ECS_HOST_CPU", cpu.to_string()),
            ("ECS_HOST_MEMORY", memory.to_string()),
            ("WHARF_SESSION_FILE", text(dir.join("session.json"))),
        ];
        environment.extend(plane.ca.map(|ca| ("AWS_CA_BUNDLE", text(ca.to_owned()))));
        Ok(AgentCommand {
            environment,
            arguments: vec![
                "agent".to_owned(),
                "--leash".to_owned(),
                "--config".to_owned(),
                text(dir.join(SETTINGS)),
                "--images".to_owned(),
                text(data_dir.join("images")),
                "--of".to_owned(),
                text(data_dir),
                "--cgroup".to_owned(),
                cgroup,
                "--region".to_owned(),
                plane.region.to_string(),
                "--runtime".to_owned(),
                self.arguments.runtime.as_str().to_owned(),
            ],
            log: dir.join("agent.log"),
        })
    }
}

/// What a host is called where machines have types.
struct TypeOf {
    settings: PathBuf,
    usual: Option<String>,
}

impl TypeOf {
    /// Its own settings hold over what all hosts are called. They may have been changed meanwhile.
    fn now(&self) -> String {
        let mut settings = Source::default();
        if let Err(error) = settings.file(&self.settings) {
            // Its agent ends because of it.
            tracing::warn!("{error}");
        }
        let own = settings.get(TYPE_VARIABLE).or(self.usual.as_deref());
        own.unwrap_or(INSTANCE_TYPE).to_owned()
    }
}

/// AWS's shape of an instance's id.
fn instance_id() -> Result<String> {
    let mut bytes = [0; 9];
    getrandom::fill(&mut bytes)?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("i-{}", &digits[..17]))
}

/// MiB.
fn machine_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// A host's identity: a session of the hosts' role, in a file that its agent reads.
struct Session {
    engine: Engine,
    account: AccountId,
    host: String,
    file: PathBuf,
}

impl Session {
    async fn renew(&self) -> Result<()> {
        let Session { account, host, .. } = self;
        let report = HostSession { account: *account, host: host.clone(), lasts: SESSION };
        let issued = self.engine.report(Box::new(report)).await?;
        let issued = issued.downcast::<Issued>().ok().context("no session was issued")?;
        let text = json!({
            "accessKeyId": issued.access_key_id,
            "secretAccessKey": &*issued.secret,
            "sessionToken": issued.token,
            "expiration": issued.expires.to_string(),
        });
        crate::data_dir::write_private(&self.file, text.to_string().as_bytes())
    }

    async fn keep_fresh(self) {
        loop {
            tokio::time::sleep(RENEWAL).await;
            if let Err(error) = self.renew().await {
                tracing::warn!("the session of {} was not renewed: {error:#}", self.host);
            }
        }
    }
}

struct AgentCommand {
    environment: Vec<(&'static str, String)>,
    arguments: Vec<String>,
    log: PathBuf,
}

/// Keeps one agent running.
struct Keeper {
    place: HostPlace,
    kind: TypeOf,
    command: AgentCommand,
    cgroup: String,
    agents: Arc<Agents>,
    again: Arc<Notify>,
}

impl Keeper {
    async fn run(self) {
        let mut wait = FIRST_WAIT;
        loop {
            let begun = std::time::Instant::now();
            let name = &self.place.name;
            match self.run_once().await {
                Ok(Some(TERMINAL)) => {
                    tracing::error!(
                        "the agent of {name} must not go on: see {}; `wharf host restart {name}` \
                         tries again",
                        self.log()
                    );
                    self.again.notified().await;
                    wait = FIRST_WAIT;
                    continue;
                }
                Ok(code) => tracing::warn!("the agent of {name} ended ({code:?}) and is restarted"),
                Err(error) => tracing::error!("the agent of {name} does not start: {error:#}"),
            }
            if begun.elapsed() > HEALTHY {
                wait = FIRST_WAIT;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.again.notified() => {}
            }
            wait = (wait * 2).min(LAST_WAIT);
        }
    }

    fn log(&self) -> String {
        self.command.log.display().to_string()
    }

    async fn run_once(&self) -> Result<Option<i32>> {
        let AgentCommand { environment, arguments, log } = &self.command;
        let out = std::fs::File::options().create(true).append(true).open(log);
        let out = out.with_context(|| format!("cannot open {}", log.display()))?;
        let mut command = Command::new("/proc/self/exe");
        command.args(arguments).env_clear();
        for name in ["PATH", "HOME", "WHARF_LOG", "RUST_LOG"] {
            command.envs(std::env::var(name).ok().map(|value| (name, value)));
        }
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.env(TYPE_VARIABLE, self.kind.now());
        // A group of its own: what ends the server from a terminal leaves the agent to us.
        command.process_group(0).stdout(out.try_clone()?).stderr(out);
        // It ends when this pipe does, so that a server that was killed leaves no agents: the next one
        // starts its own.
        command.stdin(Stdio::piped());
        let place = self.place.clone();
        let child =
            tokio::task::spawn_blocking(move || host_network::spawn_in_host(&place, &mut command));
        let mut child = child.await??;
        let pid = child.id();
        if let Err(error) = cgroups::adopt(&self.cgroup, pid) {
            tracing::warn!("the agent of {} has no cgroup of its own: {error}", self.place.name);
        }
        self.agents.pids().push(pid);
        let leash = child.stdin.take();
        let mut ended = tokio::task::spawn_blocking(move || child.wait());
        let ended = tokio::select! {
            ended = &mut ended => ended,
            () = self.again.notified() => {
                tracing::info!("the agent of {} is started again", self.place.name);
                end(pid);
                ended.await
            }
        };
        drop(leash);
        self.agents.pids().retain(|agent| *agent != pid);
        Ok(ended??.code())
    }
}

impl Running {
    /// What there is, for whoever started it.
    pub fn told(&self) -> Vec<(String, String, String)> {
        let each =
            |place: &HostPlace| (place.name.clone(), place.id.clone(), place.address.to_string());
        self.hosts.places.iter().map(each).collect()
    }

    /// End the agents. Tasks go on, unless they were to be removed with the hosts.
    pub async fn stop(self) -> Result<()> {
        self.keepers.iter().for_each(|keeper| keeper.abort());
        self.agents.pids().iter().copied().for_each(end);
        if !self.hosts.arguments.rm {
            return Ok(());
        }
        let options = CleanOptions::new(self.hosts.dir.path());
        let hosts = self.hosts.dir.path().join("hosts");
        drop(self.hosts);
        let cleaned = tokio::task::spawn_blocking(move || clean(&options)).await??;
        for (leftover, why) in &cleaned.failed {
            tracing::error!("could not remove {leftover}: {why}");
        }
        let _ = std::fs::remove_dir_all(hosts);
        Ok(())
    }

    pub fn removes(&self) -> bool {
        self.hosts.arguments.rm
    }
}
