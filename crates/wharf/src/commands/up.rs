//! `wharf up`: all in one on this machine, hosts included.

use std::process::ExitCode;

use crate::hosts::HostArguments;
use crate::server;
use crate::settings::Settings;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    hosts: HostArguments,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    server::run(&arguments.settings, "control plane and hosts", Some(&arguments.hosts))
}
