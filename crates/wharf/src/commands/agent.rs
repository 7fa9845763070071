//! `wharf agent`: joins this machine, or the host whose namespaces it is born in, to a cluster.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use host_agent::Agent;
use host_agent::config::{Config, HELP, Source};
use host_agent::plane::credentials::{Chain, CredentialsError};
use host_agent::plane::identity;
use host_agent::plane::managed::{Activation, Managed};
use host_agent::plane::metadata::{ENDPOINT, Metadata};
use host_images::Store;
use host_network::{Inside, InsideOptions, PortRange, Tag};
use host_runtime::ShimProgram;

use crate::logs::LogArguments;
use crate::runtime::{Engine, RuntimeKind};
use crate::small::{FRUGAL, become_small};
use crate::supervisor::{Signals, raise_file_limit};

#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// The cluster to join [default: default]
    #[arg(long, env = "ECS_CLUSTER", value_name = "NAME")]
    cluster: Option<String>,
    /// The control plane's URL [default: http://127.0.0.1:4566]
    #[arg(long, env = "ECS_BACKEND_HOST", value_name = "URL")]
    endpoint: Option<String>,
    /// The region [default: AWS_DEFAULT_REGION, or us-east-1]
    #[arg(long, value_name = "REGION")]
    region: Option<core_types::Region>,
    /// Join from outside of the cloud, with an activation of `aws ssm create-activation`
    #[arg(long, env = "WHARF_ACTIVATION_ID", value_name = "ID", requires = "activation_code")]
    activation_id: Option<String>,
    /// The code of that activation
    #[arg(long, env = "WHARF_ACTIVATION_CODE", value_name = "CODE", requires = "activation_id")]
    #[arg(hide_env_values = true)]
    activation_code: Option<String>,
    /// The file of settings
    #[arg(long, value_name = "FILE", default_value = "/etc/ecs/ecs.config")]
    config: PathBuf,
    /// What must outlive the agent [default: /var/lib/ecs/data]
    #[arg(long, env = "ECS_DATADIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The store of images [default: images in the data directory]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// What runs the containers
    #[arg(long, env = "WHARF_RUNTIME", value_enum, default_value_t)]
    runtime: RuntimeKind,
    /// The data directory whose host this is: `wharf up` names its own
    #[arg(long, value_name = "DIR", hide = true)]
    of: Option<PathBuf>,
    /// Dial anew when the control plane has said nothing for so many seconds, and up to as many more
    #[arg(long, value_name = "SECONDS", default_value_t = 60, hide_short_help = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    silence: u64,
    /// End when standard input does
    #[arg(long, hide = true)]
    leash: bool,
    /// The parent of the tasks' cgroups
    #[arg(long, value_name = "PATH", hide = true)]
    cgroup: Option<String>,
    #[command(flatten)]
    logs: LogArguments,
}

/// Threads for calls that wait for the kernel: enough that a few that wait long hold nobody up.
const BLOCKING: usize = 6;
/// AWS: an agent that ends so must not be started again.
const TERMINAL: u8 = 5;

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    become_small()?;
    arguments.logs.start();
    raise_file_limit();
    let mut source = Source::default();
    source.file(&arguments.config)?;
    source.environment(std::env::vars());
    let flags = [
        ("ECS_CLUSTER", arguments.cluster.clone()),
        ("ECS_BACKEND_HOST", arguments.endpoint.clone()),
        ("AWS_DEFAULT_REGION", arguments.region.map(|region| region.to_string())),
        ("ECS_DATADIR", arguments.data_dir.as_ref().map(|dir| dir.display().to_string())),
    ];
    for (name, value) in flags {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            source.set(name, &value);
        }
    }
    let mut config = source.config()?;
    config.silence = Duration::from_secs(arguments.silence);
    if arguments.of.is_some() {
        // In a network of its own, which this machine alone reaches.
        config.introspection = std::net::Ipv4Addr::UNSPECIFIED;
    }
    let dir = config.data_dir.clone();
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let _lock = lock(&dir)?;
    let (chain, identity) = identity(arguments, &source, &mut config)?;
    let tag = Tag::of(arguments.of.as_deref().unwrap_or(&dir));
    let cgroup = arguments.cgroup.clone().unwrap_or_else(|| format!("/{}/agent", tag.cgroup()));
    let shim = ShimProgram::current(&["shim"])?.with(&FRUGAL);
    // Two threads: an agent is many small waits, and each thread has caches of its own.
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .thread_name("wharf-agent")
        .build()
        .context("cannot start threads")?;
    let engine = Engine { host: source.get("DOCKER_HOST").map(str::to_owned), tag: tag.clone() };
    let containers = host_runtime::Config {
        state_dir: dir.join("containers"),
        cgroup_root: cgroup.clone(),
        shim,
    };
    let runtime = threads.block_on(arguments.runtime.open(containers, &engine))?;
    let mut network = InsideOptions::new(tag);
    network.block_instance_metadata = config.block_imds;
    if let Some((first, last)) = config.dynamic_ports {
        network.dynamic_ports = PortRange { first, last };
    }
    let images = arguments.images.clone().unwrap_or_else(|| dir.join("images"));
    let agent = Agent {
        config,
        chain,
        identity,
        runtime,
        images: Store::open(images)?,
        network: Arc::new(Inside::open(network).context("cannot set up the tasks' networks")?),
        cgroup,
    };
    threads.block_on(async {
        let mut signals = Signals::new()?;
        tokio::select! {
            ended = agent.run() => match ended {
                Err(error) if error.is_terminal() => {
                    eprintln!("wharf: {error}");
                    Ok(ExitCode::from(TERMINAL))
                }
                ended => Ok(ended.map(|()| ExitCode::SUCCESS)?),
            },
            () = end_of_input(), if arguments.leash => {
                tracing::info!("the server is gone; tasks go on");
                Ok(ExitCode::SUCCESS)
            }
            () = signals.any() => {
                tracing::info!("stopping; tasks go on");
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

/// Who this host is: what it was activated as, whose keys it has, or what its metadata say.
fn identity(
    arguments: &Arguments,
    source: &Source,
    config: &mut Config,
) -> Result<(Chain, Option<identity::Source>)> {
    let activation = arguments.activation_id.clone().zip(arguments.activation_code.clone());
    let activation = activation.map(|(id, code)| Activation { id, code });
    if let Some(managed) = Managed::open(&config.data_dir, &config.endpoint, activation)? {
        // AWS: a machine with an activation is one outside of the cloud, and goes by no other keys.
        config.external = true;
        return Ok((Chain::default(), Some(identity::Source::Managed(managed))));
    }
    let session = std::env::var("WHARF_SESSION_FILE").ok();
    let chain = Chain::from_settings(|name| match name {
        "WHARF_SESSION_FILE" => session.clone(),
        name => source.get(name).map(str::to_owned),
    });
    let metadata = metadata(source, &chain);
    Ok((chain, metadata))
}

/// AWS: a machine without keys of its own asks its instance metadata.
fn metadata(source: &Source, chain: &Chain) -> Option<identity::Source> {
    let disabled = source.get("AWS_EC2_METADATA_DISABLED");
    let none = matches!(chain.current(), Err(CredentialsError::None(_)));
    if !none || disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let endpoint = source.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(ENDPOINT);
    let endpoint = endpoint.trim_end_matches('/').to_owned();
    Some(identity::Source::Metadata(Metadata { endpoint }))
}

/// Two agents of one host would each start what the other has started.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("agent.lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another agent runs on {}: stop it, or give another --data-dir", dir.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

async fn end_of_input() {
    let (ended, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = wait.await;
}
