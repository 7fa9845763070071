//! `wharf explain`: why a task is where it is, or nowhere.

use std::process::ExitCode;

use anyhow::Context;
use service_ecs::explain::{Explained, NextTask};

use crate::client;
use crate::data_dir::DataDirArgument;
use crate::endpoint::Endpoint;
use crate::operator::ExplainRequest;
use crate::root_key::RootKey;

#[derive(clap::Args)]
pub struct Arguments {
    /// A task's id, a service's name, a task definition's family, or the ARN of one of these
    #[arg(value_name = "TASK|SERVICE|TASKDEF")]
    what: String,
    /// The cluster that it is in
    #[arg(long, env = "ECS_CLUSTER", default_value = "default")]
    cluster: String,
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// Print JSON
    #[arg(long, env = "WHARF_JSON")]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = arguments.data_dir.resolve()?;
    let endpoint = Endpoint::read(&dir)?.context("no server runs on this data folder")?;
    let key = RootKey::load(&dir)?.context("there is no root-key.json")?;
    let request = ExplainRequest {
        region: endpoint.region.to_string(),
        cluster: arguments.cluster.clone(),
        what: arguments.what.clone(),
    };
    let body = serde_json::to_vec(&request)?;
    let explained: Explained = client::ask(&endpoint, &key, "POST", "explain", body)?;
    match arguments.json {
        true => println!("{}", serde_json::to_string_pretty(&explained)?),
        false => print!("{}", told(&explained)),
    }
    Ok(ExitCode::SUCCESS)
}

fn told(explained: &Explained) -> String {
    let mut lines = vec![explained.subject.clone()];
    lines.extend(explained.facts.iter().map(|fact| format!("  {fact}")));
    if let Some(next) = &explained.next_task {
        lines.push(String::new());
        lines.extend(next_task(next));
    }
    lines.join("\n") + "\n"
}

fn next_task(next: &NextTask) -> Vec<String> {
    let NextTask { asks_for, instances, fit, refusals } = next;
    let mut lines = vec!["One more such task".to_owned()];
    lines.push(format!("  asks for  {}", asks_for.join(", ")));
    lines.push(match (instances, fit) {
        (0, _) => "  finds no instance at all".to_owned(),
        (all, 0) => format!("  fits on none of {all} instances"),
        (all, fit) => format!("  fits on {fit} of {all} instances"),
    });
    for refusal in refusals {
        lines.push(format!("  {:>6} × {}", refusal.count, refusal.reason));
        for example in &refusal.examples {
            let machine = example.machine.as_deref();
            let name = machine.map_or_else(|| example.instance.to_string(), str::to_owned);
            lines.push(format!("           {name}: {}", example.detail));
        }
        let more = refusal.count - refusal.examples.len();
        if more > 0 {
            lines.push(format!("           and {more} more"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use service_ecs::explain::{Example, Refusal};

    use super::*;

    #[test]
    fn reasons_stand_with_their_numbers() {
        let example = Example {
            instance: core_types::Id128([1; 16]),
            machine: Some("i-0".into()),
            detail: "512 MiB are needed, 100 are left.".to_owned(),
        };
        let refusal =
            Refusal { reason: "RESOURCE:MEMORY".to_owned(), count: 12, examples: vec![example] };
        let next = NextTask {
            asks_for: vec!["512 MiB".to_owned()],
            instances: 12,
            fit: 0,
            refusals: vec![refusal],
        };
        let explained =
            Explained { subject: "service web".to_owned(), facts: vec![], next_task: Some(next) };
        let text = told(&explained);
        assert!(text.contains("fits on none of 12 instances"), "{text}");
        assert!(text.contains("12 × RESOURCE:MEMORY"), "{text}");
        assert!(text.contains("i-0: 512 MiB are needed, 100 are left."), "{text}");
        assert!(text.contains("and 11 more"), "{text}");
    }
}
