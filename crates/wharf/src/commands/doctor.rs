//! `wharf doctor`: what this machine can do for containers, and what to do where it cannot.

use std::process::ExitCode;

use anyhow::Context;
use host_network::doctor::{Level, examine};
use host_runtime::doctor::{Finding, Verdict, engine_test, self_test};

use crate::data_dir::DataDirArgument;
use crate::runtime::RuntimeKind;

#[derive(clap::Args)]
pub struct Arguments {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// What shall run the containers
    #[arg(long, env = "WHARF_RUNTIME", value_enum, default_value_t)]
    runtime: RuntimeKind,
    #[command(flatten)]
    data_dir: DataDirArgument,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = arguments.data_dir.resolve()?;
    // Where nothing has been started yet, the folder that will hold it says as much.
    let there =
        dir.path().ancestors().find(|path| path.is_dir()).context("no folder to look at")?;
    let mut findings = match arguments.runtime {
        RuntimeKind::Docker => of_docker()?,
        RuntimeKind::Embedded | RuntimeKind::Runc => self_test(there),
    };
    findings.extend(examine().into_iter().map(of_network));
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
        for finding in &findings {
            let mark = match finding.verdict {
                Verdict::Good => "ok     ",
                Verdict::Limited => "limited",
                Verdict::Missing => "MISSING",
            };
            println!("{mark}  {:width$}  {}", finding.name, finding.found);
            if !finding.advice.is_empty() {
                println!("         {:width$}  → {}", "", finding.advice);
            }
        }
    }
    let broken = findings.iter().any(|finding| finding.verdict == Verdict::Missing);
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn of_docker() -> anyhow::Result<Vec<Finding>> {
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let host = std::env::var("DOCKER_HOST").ok();
    Ok(threads.block_on(engine_test(host.as_deref())))
}

fn of_network(found: host_network::doctor::Finding) -> Finding {
    let verdict = match found.level {
        Level::Good => Verdict::Good,
        Level::Warning => Verdict::Limited,
        Level::Bad => Verdict::Missing,
    };
    Finding { name: found.subject, verdict, found: found.text, advice: found.advice }
}
