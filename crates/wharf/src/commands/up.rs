//! `wharf up`: all in one on this machine, hosts included.

use std::process::ExitCode;

use anyhow::Context;

use super::misuse;
use crate::hosts::HostArguments;
use crate::settings::Settings;
use crate::{demo, server};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    hosts: HostArguments,
    /// Show what it does: a service of three tasks, watched until Ctrl-C removes all (data, too,
    /// which is a folder of its own unless --data-dir names a new one)
    #[arg(long, env = "WHARF_DEMO")]
    demo: bool,
}

const WHAT: &str = "control plane and hosts";

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match arguments.demo {
        true => demonstrate(arguments),
        false => server::run(&arguments.settings, WHAT, Some(&arguments.hosts), &|_, _| {}),
    }
}

fn demonstrate(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (mut settings, mut hosts) = (arguments.settings.clone(), arguments.hosts.clone());
    let own = std::env::temp_dir().join(format!("wharf-demo-{}", std::process::id()));
    let dir = settings.data_dir.or(own);
    // All that is in it goes at the end.
    if dir.path().exists() {
        return misuse(format!(
            "--demo removes its data at the end: give it a folder that is not there yet, not {}",
            dir.path().display()
        ));
    }
    if settings.state.is_shared() {
        return misuse("--demo removes its data at the end: leave --state out");
    }
    if settings.json {
        return misuse("--demo is for people to read: leave --json out");
    }
    hosts.remove_at_end();
    settings.logs.make_room();
    let ran = server::run(&settings, WHAT, Some(&hosts), &|endpoint, hosts| {
        demo::start(endpoint.clone(), hosts, dir.clone());
    });
    let removed = std::fs::remove_dir_all(dir.path());
    let code = ran?;
    removed.with_context(|| format!("cannot remove {}", dir.path().display()))?;
    Ok(code)
}
