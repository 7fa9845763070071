//! Which runtime a host's containers have: the one in this binary, or an external runc.

use anyhow::{Context, Result};
use clap::ValueEnum;
use host_runtime::doctor::find_program;
use host_runtime::{Config, Shimmed};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RuntimeKind {
    /// In this binary: nothing to install
    #[default]
    Embedded,
    /// The runc that is in the path, with the same bundles
    Runc,
}

impl RuntimeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            RuntimeKind::Embedded => "embedded",
            RuntimeKind::Runc => "runc",
        }
    }

    pub fn open(self, config: Config) -> Result<Shimmed> {
        Ok(match self {
            RuntimeKind::Embedded => Shimmed::embedded(config)?,
            RuntimeKind::Runc => {
                let program = find_program("runc").context("runc is not on this machine")?;
                Shimmed::runc(config, program)?
            }
        })
    }
}
