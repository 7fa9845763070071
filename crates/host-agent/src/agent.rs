//! The agent put together: settings and the host's hands in, a running agent out.

use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use host_endpoints::{Door, Pace, serve};
use host_images::{Policy, Registry, Settings, Store};
use host_network::Inside;
use host_runtime::Runtime;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::acs::{Acs, Endpoints};
use crate::config::Config;
use crate::driver::{self, Driver};
use crate::exec::Sessions;
use crate::journal::{Journal, JournalError};
use crate::known::{Place, Shown};
use crate::logs::Logs;
use crate::meter::Meter;
use crate::plane::api::Api;
use crate::plane::connect::{ConnectError, Connector};
use crate::plane::credentials::Chain;
use crate::plane::identity::{self, IdentityError, Source};
use crate::registration::{self, RegistrationError, Resources};
use crate::tasks::{Parts, Tasks};
use crate::tcs::Tcs;

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("cannot set up the client of registries: {0}")]
    Registry(#[from] host_images::Error),
    #[error("cannot listen on port {port}: {source}")]
    Listen { port: u16, source: std::io::Error },
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    #[error("this host has no identity: {0}")]
    Identity(#[from] IdentityError),
    #[error("ECS_ENABLE_TASK_CPU_MEM_LIMIT=true: {0}")]
    Limits(String),
}

impl AgentError {
    /// Whether starting the agent again would end in the same way.
    pub fn is_terminal(&self) -> bool {
        matches!(
            self,
            AgentError::Registration(_)
                | AgentError::Identity(IdentityError::Refused(_))
                | AgentError::Limits(_)
        )
    }
}

/// What an agent works with.
pub struct Agent {
    pub config: Config,
    pub chain: Chain,
    /// Who lends this host its session, where it has no keys of its own.
    pub identity: Option<Source>,
    pub runtime: Arc<dyn Runtime>,
    pub images: Store,
    pub network: Arc<Inside>,
    /// The parent of the tasks' cgroups.
    pub cgroup: String,
}

impl Agent {
    /// Run until the host is refused for good. Dropping the future leaves all containers running.
    pub async fn run(self) -> Result<(), AgentError> {
        let mut config = self.config;
        let limits = has_limits(config.task_limits, self.runtime.refuses_groups())?;
        config.task_limits = Some(limits);
        let journal = Journal::open(&config.data_dir, config.checkpoint)?;
        let connector = Arc::new(Connector::new(config.ca.as_deref()));
        let api = Api::new(&config.endpoint, &config.region, self.chain, connector)?;
        let api = Arc::new(api);
        let logs = Logs::new(self.runtime.clone(), api.clone(), config.cluster.clone());
        let driver = Driver::new(
            self.runtime,
            self.images,
            self.network,
            driver::Settings {
                dir: config.data_dir.clone(),
                cgroup: limits.then_some(self.cgroup),
                endpoint: reachable(&config.endpoint),
                ca: config.ca.clone(),
                region: config.region.clone(),
                cluster: config.cluster.clone(),
                instance_id: config.instance_id.clone(),
                privileged: config.privileged,
                pull: config.pull,
                registry: registry(&config)?,
                docker_auth: config.docker_auth.clone(),
                start_timeout: config.start_timeout,
                logs,
            },
        );
        let resources = Resources::of(&config);
        let tasks = Tasks::new(Parts {
            journal: journal.clone(),
            driver,
            api: api.clone(),
            cluster: config.cluster.clone(),
            stop_timeout: config.stop_timeout,
            cleanup_wait: config.cleanup_wait,
            cpu: resources.cpu,
            memory: resources.memory,
        });
        let meter = Arc::new(Meter::default());
        let instance = Arc::new(OnceLock::new());
        let shown = Arc::new(Shown {
            tasks: tasks.clone(),
            meter: meter.clone(),
            api: api.clone(),
            cluster: config.cluster.clone(),
            instance: instance.clone(),
            place: Place {
                zone: config.availability_zone.clone().unwrap_or_default(),
                zone_id: config.availability_zone_id.clone().unwrap_or_default(),
                vpc_id: config.vpc_id.clone().unwrap_or_default(),
            },
            memory: registration::machine_memory() << 20,
        });
        let mut work = JoinSet::new();
        serve_endpoints(shown, &config, &mut work).await?;
        work.spawn(meter.clone().run(tasks.clone()));
        work.spawn(sweep_images(tasks.clone(), config.clone()));
        // Containers are looked after before the plane is asked anything: it may be away.
        tasks.restore().await;
        work.spawn(tasks.clone().clean_up());
        if let Some(source) = self.identity {
            borrow(&api, source, &mut work).await?;
        }
        let arn = registration::register(&api, &config, &journal).await?;
        let _ = instance.set(arn.clone());
        tracing::info!("registered as {arn}");
        let cluster = config.cluster.clone();
        let endpoints = Endpoints::new(api.clone(), cluster.clone(), arn.clone());
        work.spawn(
            Tcs {
                api: api.clone(),
                tasks: tasks.clone(),
                meter,
                endpoints: endpoints.clone(),
                cluster: cluster.clone(),
                instance: arn.clone(),
                metrics: config.metrics,
                silence: config.silence,
            }
            .run(),
        );
        let connected = watch::Sender::new(false);
        let sessions = Sessions::new(api.clone(), tasks.clone(), cluster.clone(), arn.clone());
        let silence = config.silence;
        let instance = arn;
        let acs = Acs { api, tasks, cluster, instance, endpoints, sessions, silence, connected };
        acs.run().await;
        Ok(())
    }
}

/// A first session, and its successors.
async fn borrow(api: &Arc<Api>, source: Source, work: &mut JoinSet<()>) -> Result<(), AgentError> {
    let first = match identity::renew(api, &source).await {
        Ok(first) => first,
        Err(error @ IdentityError::Refused(_)) => return Err(error.into()),
        Err(error) => {
            // Registration waits for it.
            tracing::warn!("this host has no session yet: {error}");
            Duration::ZERO
        }
    };
    work.spawn(identity::keep_fresh(api.clone(), source, first));
    Ok(())
}

/// AWS: the ports of the agent, inside this host's network.
const CONTAINERS: u16 = host_network::METADATA_PORT;
const OPERATOR: u16 = 51678;

async fn serve_endpoints(
    shown: Arc<Shown>,
    config: &Config,
    work: &mut JoinSet<()>,
) -> Result<(), AgentError> {
    let pace = config.metadata_rate.map_or_else(Pace::default, |(rate, burst)| Pace {
        steady: f64::from(rate),
        burst: f64::from(burst),
    });
    for (address, port, door) in [
        (Ipv4Addr::LOCALHOST, CONTAINERS, Door::Containers(pace)),
        (config.introspection, OPERATOR, Door::Operator),
    ] {
        let listener = TcpListener::bind((address, port)).await;
        let listener = listener.map_err(|source| AgentError::Listen { port, source })?;
        let shown = shown.clone();
        work.spawn(async move {
            if let Err(error) = serve(listener, shown, door).await {
                tracing::error!("port {port} is served no more: {error}");
            }
        });
    }
    Ok(())
}

/// Images that no container has used for a while make room for others.
async fn sweep_images(tasks: Arc<Tasks>, config: Config) {
    let Some(every) = config.image_cleanup.filter(|_| config.pull.cleans_up()) else { return };
    loop {
        tokio::time::sleep(every).await;
        let images = tasks.driver.images.clone();
        let policy = Policy {
            minimum_age: config.image_minimum_age,
            most: config.images_per_cleanup,
            ..Policy::default()
        };
        let sweep = move || images.sweep(&policy, jiff::Timestamp::now());
        match tokio::task::spawn_blocking(sweep).await {
            Ok(Ok(_)) => tasks.driver.sweep_handed_over().await,
            Ok(Err(error)) => tracing::warn!("images were not cleaned up: {error}"),
            Err(error) => tracing::error!("the clean-up of images ended badly: {error}"),
        }
    }
}

/// Whether tasks can have limits of their own here. AWS: an agent that was told to have them ends where
/// it cannot; one that was told nothing does without.
fn has_limits(wanted: Option<bool>, refused: Option<String>) -> Result<bool, AgentError> {
    match (wanted, refused) {
        (Some(true), Some(why)) => Err(AgentError::Limits(why)),
        (None, Some(why)) => {
            tracing::warn!(
                "tasks that have cpu or memory of their own are not taken, as if by \
                 ECS_ENABLE_TASK_CPU_MEM_LIMIT=false: {why}"
            );
            Ok(false)
        }
        (wanted, _) => Ok(wanted.unwrap_or(true)),
    }
}

/// A control plane on the host's own loopback is out of its tasks' reach.
fn reachable(endpoint: &str) -> Option<String> {
    let uri: http::Uri = endpoint.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']);
    let loopback = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    (!loopback).then(|| endpoint.to_owned())
}

fn registry(config: &Config) -> Result<Arc<Registry>, AgentError> {
    let settings = Settings {
        patience: config.pull_inactivity,
        authorities: config.ca.iter().cloned().collect(),
        ..Settings::default()
    };
    Ok(Arc::new(Registry::new(settings).map_err(host_images::Error::from)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_had_where_they_can_be() {
        let why = || Some("systemd".to_owned());
        let found = |wanted, refused| has_limits(wanted, refused).ok();
        assert_eq!(found(None, None), Some(true));
        assert_eq!(found(Some(true), None), Some(true));
        assert_eq!(found(Some(false), None), Some(false));
        assert_eq!(found(None, why()), Some(false));
        assert_eq!(found(Some(false), why()), Some(false));
        let ended = has_limits(Some(true), why()).unwrap_err();
        assert!(ended.is_terminal() && ended.to_string().ends_with("systemd"), "{ended}");
    }
}
