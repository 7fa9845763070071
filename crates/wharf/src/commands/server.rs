//! `wharf server`: the control plane alone.

use std::process::ExitCode;

use crate::server;
use crate::settings::Settings;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: Settings,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    server::run(&arguments.settings, "control plane", None, &|_, _| {})
}
