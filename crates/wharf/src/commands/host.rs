//! `wharf host`: what an operator does to a host of `wharf up`.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use crate::client;
use crate::data_dir::{DataDir, DataDirArgument};
use crate::endpoint::Endpoint;
use crate::operator::RestartRequest;
use crate::root_key::RootKey;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Start a host's agent again. Its tasks go on; a host that was deregistered joins anew, and what
    /// was left running on it is stopped.
    Restart {
        /// A name or an id, as `wharf up` told them
        #[arg(value_name = "HOST")]
        host: String,
        #[command(flatten)]
        data_dir: DataDirArgument,
    },
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.what {
        What::Restart { host, data_dir } => restart(host, &data_dir.resolve()?),
    }
}

fn restart(host: &str, dir: &DataDir) -> anyhow::Result<ExitCode> {
    let endpoint = Endpoint::find(dir)?;
    let key = RootKey::load(dir)?.context("there is no root-key.json")?;
    let request = serde_json::to_vec(&RestartRequest { host: host.to_owned() })?;
    let done: RestartRequest = client::ask(&endpoint, &key, "POST", "hosts/restart", request)?;
    println!("the agent of {} is started again", done.host);
    Ok(ExitCode::SUCCESS)
}
