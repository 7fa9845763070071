//! `wharf simulate`: what a plan would do, in a world of its own: no server, no container.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use sim::plan::{self, Plan};

#[derive(clap::Args)]
pub struct Arguments {
    /// Hosts, groups of instances behind capacity providers, services (launch type EC2 or FARGATE),
    /// and what happens to them; see examples/simulate/
    plan: PathBuf,
    /// Also draw the timeline into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Another seed is another order of what happens at the same time
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long, env = "WHARF_JSON")]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let path = &arguments.plan;
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let plan: Plan = toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
    let timeline = match plan::carry_out(&plan, arguments.seed) {
        Ok(timeline) => timeline,
        Err(error) => bail!("{}: {error}", path.display()),
    };
    if let Some(file) = &arguments.svg {
        let drawn = sim::picture::svg(&timeline);
        std::fs::write(file, drawn).with_context(|| format!("write {}", file.display()))?;
    }
    match arguments.json {
        true => println!("{}", serde_json::to_string_pretty(&timeline)?),
        false => print!("{}", sim::picture::text(&timeline)),
    }
    Ok(ExitCode::SUCCESS)
}
