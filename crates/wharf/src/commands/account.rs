//! `wharf account`: further accounts, each with a root key of its own.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use core_types::AccountId;

use crate::client;
use crate::data_dir::{DataDir, DataDirArgument};
use crate::endpoint::Endpoint;
use crate::operator::{AccountTold, OpenRequest, Opened};
use crate::root_key::RootKey;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make an account and its root key.
    Create {
        /// The account's number, or a name (its IAM alias) for a number that is drawn
        account: String,
        #[command(flatten)]
        data_dir: DataDirArgument,
        /// Print JSON
        #[arg(long, env = "WHARF_JSON")]
        json: bool,
    },
    /// List the accounts.
    List {
        #[command(flatten)]
        data_dir: DataDirArgument,
        /// Print JSON
        #[arg(long, env = "WHARF_JSON")]
        json: bool,
    },
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.what {
        What::Create { account, data_dir, json } => create(account, &data_dir.resolve()?, *json),
        What::List { data_dir, json } => list(&data_dir.resolve()?, *json),
    }
}

fn server(dir: &DataDir) -> anyhow::Result<(Endpoint, RootKey)> {
    let endpoint = Endpoint::find(dir)?;
    let key = RootKey::load(dir)?.context("there is no root-key.json")?;
    Ok((endpoint, key))
}

fn create(account: &str, dir: &DataDir, json: bool) -> anyhow::Result<ExitCode> {
    let number: Option<AccountId> = account.parse().ok();
    let alias = number.is_none().then(|| account.into());
    let (endpoint, key) = server(dir)?;
    let request = serde_json::to_vec(&OpenRequest { account: number, alias })?;
    let opened: Opened = client::ask(&endpoint, &key, "POST", "accounts", request)?;
    opened.save(dir)?;
    if json {
        println!("{}", serde_json::to_string(&opened)?);
    } else {
        println!("account {}, root key {}", opened.account, opened.key.access_key_id);
        println!("use it: eval \"$(wharf env --account {account}{})\"", dir.flag());
    }
    Ok(ExitCode::SUCCESS)
}

fn list(dir: &DataDir, json: bool) -> anyhow::Result<ExitCode> {
    let (endpoint, key) = server(dir)?;
    let accounts: Vec<AccountTold> = client::ask(&endpoint, &key, "GET", "accounts", Vec::new())?;
    if json {
        println!("{}", serde_json::to_string(&accounts)?);
        return Ok(ExitCode::SUCCESS);
    }
    for AccountTold { account, alias, created_at } in accounts {
        println!("{account} {created_at} {}", alias.as_deref().unwrap_or("-"));
    }
    Ok(ExitCode::SUCCESS)
}

impl Opened {
    fn file(account: AccountId) -> String {
        format!("root-key-{account}.json")
    }

    fn save(&self, dir: &DataDir) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        dir.write_private(&Opened::file(self.account), &text).map(|_| ())
    }

    /// The key of an account made here, by its number or name.
    pub fn find(dir: &DataDir, account: &str) -> anyhow::Result<Opened> {
        for file in dir.list("root-key-")? {
            let Some(bytes) = dir.read(&file)? else { continue };
            let opened: Opened =
                serde_json::from_slice(&bytes).with_context(|| format!("{file} is damaged"))?;
            if opened.account.to_string() == account || opened.alias.as_deref() == Some(account) {
                return Ok(opened);
            }
        }
        anyhow::bail!("{} keeps no key of an account {account}", dir.path().display())
    }
}
