//! Which runtime a host's containers have: the one in this binary, an external runc, or a Docker Engine.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::ValueEnum;
use host_network::Tag;
use host_network::doctor::firewall;
use host_runtime::doctor::find_program;
use host_runtime::{Config, Docker, Runtime, Shimmed};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RuntimeKind {
    /// In this binary: nothing to install
    #[default]
    Embedded,
    /// The runc that is in the path, with the same bundles
    Runc,
    /// The Docker Engine of this machine, by DOCKER_HOST or its usual socket
    Docker,
}

impl RuntimeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            RuntimeKind::Embedded => "embedded",
            RuntimeKind::Runc => "runc",
            RuntimeKind::Docker => "docker",
        }
    }

    pub async fn open(self, config: Config, engine: &Engine) -> Result<Arc<dyn Runtime>> {
        Ok(match self {
            RuntimeKind::Embedded => Arc::new(Shimmed::embedded(config)?),
            RuntimeKind::Runc => {
                let program = find_program("runc").context("runc is not on this machine")?;
                Arc::new(Shimmed::runc(config, program)?)
            }
            RuntimeKind::Docker => {
                let docker = Docker::open(engine.host.as_deref(), engine.tag.as_str()).await;
                if let Some(closed) = firewall() {
                    tracing::warn!("{}: {}", closed.text, closed.advice);
                }
                Arc::new(docker.context("containers cannot be run by Docker")?)
            }
        })
    }
}

/// Which Docker Engine, and whose things in it are meant.
pub struct Engine {
    /// What `DOCKER_HOST` says.
    pub host: Option<String>,
    pub tag: Tag,
}
