//! `wharf agent`: joins this machine, or the host whose namespaces it is born in, to a cluster.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use host_agent::config::{HELP, Source};
use host_agent::plane::credentials::Chain;
use host_agent::{Agent, AgentError};
use host_images::Store;
use host_network::{Inside, InsideOptions, PortRange, Tag};
use host_runtime::{ShimProgram, Shimmed};

use crate::logs::LogArguments;
use crate::supervisor::Signals;

#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// The cluster to join [default: ECS_CLUSTER, or default]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// The control plane's URL [default: ECS_BACKEND_HOST, or http://127.0.0.1:4566]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The file of settings
    #[arg(long, value_name = "FILE", default_value = "/etc/ecs/ecs.config")]
    config: PathBuf,
    /// What must outlive the agent [default: ECS_DATADIR, or /var/lib/ecs/data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The store of images [default: images in the data directory]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// The data directory whose host this is: `wharf up` names its own
    #[arg(long, value_name = "DIR", hide = true)]
    of: Option<PathBuf>,
    /// End when standard input does
    #[arg(long, hide = true)]
    leash: bool,
    /// The parent of the tasks' cgroups
    #[arg(long, value_name = "PATH", hide = true)]
    cgroup: Option<String>,
    #[command(flatten)]
    logs: LogArguments,
}

/// AWS: an agent that ends so must not be started again.
const TERMINAL: u8 = 5;

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    arguments.logs.start();
    let mut source = Source::default();
    source.file(&arguments.config)?;
    source.environment(std::env::vars());
    let flags = [
        ("ECS_CLUSTER", arguments.cluster.clone()),
        ("ECS_BACKEND_HOST", arguments.endpoint.clone()),
        ("ECS_DATADIR", arguments.data_dir.as_ref().map(|dir| dir.display().to_string())),
    ];
    for (name, value) in flags {
        if let Some(value) = value {
            source.set(name, &value);
        }
    }
    let config = source.config()?;
    let wharf = std::env::var("WHARF_SESSION_FILE").ok();
    let chain = Chain::from_settings(|name| match name {
        "WHARF_SESSION_FILE" => wharf.clone(),
        name => source.get(name).map(str::to_owned),
    });
    let dir = config.data_dir.clone();
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let _lock = lock(&dir)?;
    let tag = Tag::of(arguments.of.as_deref().unwrap_or(&dir));
    let cgroup = arguments.cgroup.clone().unwrap_or_else(|| format!("/{}/agent", tag.cgroup()));
    let shim = ShimProgram::current(&["shim"])?;
    let runtime = Shimmed::embedded(host_runtime::Config {
        state_dir: dir.join("containers"),
        cgroup_root: cgroup.clone(),
        shim,
    })?;
    let mut network = InsideOptions::new(tag);
    network.block_instance_metadata = config.block_imds;
    if let Some((first, last)) = config.dynamic_ports {
        network.dynamic_ports = PortRange { first, last };
    }
    let images = arguments.images.clone().unwrap_or_else(|| dir.join("images"));
    let agent = Agent {
        config,
        chain,
        runtime: Arc::new(runtime),
        images: Store::open(images)?,
        network: Arc::new(Inside::open(network).context("cannot set up the tasks' networks")?),
        cgroup,
    };
    // Two threads: an agent is many small waits, and each thread has caches of its own.
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .thread_name("wharf-agent")
        .build()
        .context("cannot start threads")?;
    threads.block_on(async {
        let mut signals = Signals::new()?;
        tokio::select! {
            ended = agent.run() => match ended {
                Err(AgentError::Registration(error)) => {
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
