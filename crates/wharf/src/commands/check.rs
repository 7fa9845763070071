//! `wharf check`: every invariant, on live state, or on the journal where no server runs.

use std::process::ExitCode;

use anyhow::Context;

use crate::client;
use crate::data_dir::DataDirArgument;
use crate::endpoint::Endpoint;
use crate::operator::Checked;
use crate::root_key::RootKey;
use crate::settings::StateArgument;
use crate::{slices, state};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// Where no server runs: whose journal to look into, `embedded` or etcd://…
    #[arg(long, env = "WHARF_STATE", value_name = "WHERE", default_value = "embedded")]
    state: StateArgument,
    /// Look into the journal even while a server runs
    #[arg(long, env = "WHARF_OFFLINE")]
    offline: bool,
    /// Print JSON
    #[arg(long, env = "WHARF_JSON")]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = arguments.data_dir.resolve()?;
    let running = match arguments.offline {
        true => None,
        false => Endpoint::read(&dir)?,
    };
    let (checked, looked_at) = match running {
        Some(endpoint) => {
            let key = RootKey::load(&dir)?.context("there is no root-key.json")?;
            let at = endpoint.first().to_owned();
            (client::ask::<Checked>(&endpoint, &key, "GET", "check", Vec::new())?, at)
        }
        None => {
            let state = state::load(&arguments.state, &dir.journal())?;
            let violations = slices::registry().check(&state);
            (Checked { revision: state.rev(), violations }, "the journal".to_owned())
        }
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&checked)?);
    } else {
        let Checked { revision, violations } = &checked;
        violations.iter().for_each(|violation| println!("violated: {violation}"));
        match violations.len() {
            0 => println!("all invariants hold at revision {revision} ({looked_at})"),
            n => println!("{n} violations at revision {revision} ({looked_at})"),
        }
    }
    Ok(if checked.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
