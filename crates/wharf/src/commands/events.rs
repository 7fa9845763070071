//! `wharf events`: what changes on a running server, as EventBridge would tell it.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::Value;
use service_ecs::feeds::events::{About, Event};

use crate::client;
use crate::data_dir::{DataDir, DataDirArgument};
use crate::endpoint::Endpoint;
use crate::events::{EventsRequest, EventsTold};
use crate::root_key::RootKey;

#[derive(clap::Args)]
pub struct Arguments {
    /// Go on with what comes, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Begin so many changes back [default: all that are kept, with --follow none]
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Show events of this cluster alone, by its name or ARN
    #[arg(long, env = "ECS_CLUSTER")]
    cluster: Option<String>,
    /// Show these kinds alone
    #[arg(long, value_enum, value_delimiter = ',')]
    about: Vec<Kind>,
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// Print each event as one line of JSON
    #[arg(long, env = "WHARF_JSON")]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Task,
    Instance,
    Deployment,
    Service,
    Hook,
    DaemonDeployment,
    DaemonAction,
    Capacity,
}

impl Kind {
    fn about(self) -> About {
        match self {
            Kind::Task => About::Task,
            Kind::Instance => About::ContainerInstance,
            Kind::Deployment => About::Deployment,
            Kind::Service => About::ServiceAction,
            Kind::Hook => About::Hook,
            Kind::DaemonDeployment => About::DaemonDeployment,
            Kind::DaemonAction => About::DaemonAction,
            Kind::Capacity => About::Capacity,
        }
    }
}

/// How long a server that does not answer is asked again before that is an error.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// Between two tries.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(250);
/// How long one question waits for its answer.
const WAIT_MILLIS: u64 = 5_000;

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let dir = arguments.data_dir.resolve()?;
    let last = arguments.last.unwrap_or(if arguments.follow { 0 } else { usize::MAX });
    let mut request = EventsRequest { after: None, last, wait_millis: 0 };
    let mut told = ask(&dir, &request)?;
    let mut out = io::stdout().lock();
    loop {
        if told.gap {
            eprintln!("wharf: some events were missed; what is now must be read anew");
        }
        for event in told.events.iter().filter(|event| arguments.wants(event)) {
            match arguments.json {
                true => writeln!(out, "{}", serde_json::to_string(event)?)?,
                false => writeln!(out, "{}", line(event))?,
            }
        }
        out.flush()?;
        let done = request.after == Some(told.cursor) && !arguments.follow;
        request.after = Some(told.cursor);
        if done {
            return Ok(ExitCode::SUCCESS);
        }
        request.wait_millis = if arguments.follow { WAIT_MILLIS } else { 0 };
        told = match arguments.follow {
            true => ask_patiently(&dir, &request)?,
            false => ask(&dir, &request)?,
        };
    }
}

/// The server may have moved, or be another by now.
fn ask(dir: &DataDir, request: &EventsRequest) -> Result<EventsTold> {
    let endpoint = Endpoint::read(dir)?.context("no server runs on this data folder")?;
    let key = RootKey::load(dir)?.context("there is no root-key.json")?;
    client::ask(&endpoint, &key, "POST", "events", serde_json::to_vec(request)?)
}

/// A server that starts again is waited for.
fn ask_patiently(dir: &DataDir, request: &EventsRequest) -> Result<EventsTold> {
    let since = std::time::Instant::now();
    loop {
        match ask(dir, request) {
            Ok(told) => return Ok(told),
            Err(error) if since.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}

impl Arguments {
    fn wants(&self, event: &Event) -> bool {
        let kinds = self.about.iter().map(|kind| kind.about().detail_type());
        let about =
            self.about.is_empty() || kinds.into_iter().any(|kind| kind == event.detail_type);
        let of = text(&event.detail, "clusterArn");
        let here = |wanted: &String| of == wanted || of.rsplit('/').next() == Some(wanted);
        about && self.cluster.as_ref().is_none_or(here)
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// What follows the kind in an ARN: `cluster/name`.
fn name(arn: &str) -> &str {
    arn.split_once('/').map_or(arn, |(_, rest)| rest)
}

fn line(event: &Event) -> String {
    let detail = &event.detail;
    let what = event.resources.first().map(|arn| name(arn)).unwrap_or_default();
    let told = match event.detail_type.as_str() {
        kind if kind == About::Task.detail_type() => task(detail),
        kind if kind == About::ContainerInstance.detail_type() => instance(detail),
        kind if kind == About::Capacity.detail_type() => capacity(detail),
        _ => {
            let (name, reason) = (text(detail, "eventName"), text(detail, "reason"));
            format!("{name} {reason}").trim_end().to_owned()
        }
    };
    let kind = event.detail_type.trim_start_matches("ECS ").trim_end_matches(" State Change");
    format!("{} {:<18} {what}  {told}", event.time, kind.to_lowercase())
}

fn task(detail: &Value) -> String {
    let (last, desired) = (text(detail, "lastStatus"), text(detail, "desiredStatus"));
    let mut told = last.to_owned();
    if desired != last {
        told += &format!(" (to be {desired})");
    }
    told += &format!("  {}", name(text(detail, "taskDefinitionArn")));
    if let Some(host) = detail["containerInstanceArn"].as_str() {
        told += &format!(" on {}", name(host));
    }
    match text(detail, "stoppedReason") {
        "" => told,
        reason => told + &format!(": {reason}"),
    }
}

fn capacity(detail: &Value) -> String {
    format!(
        "{} size {}, reservation {}%: {} needed, {} there. {}",
        text(detail, "eventName"),
        detail["desiredSize"],
        detail["capacityProviderReservation"],
        detail["neededInstances"],
        detail["currentInstances"],
        text(detail, "reason"),
    )
}

fn instance(detail: &Value) -> String {
    let connected = detail["agentConnected"].as_bool() == Some(true);
    let agent = if connected { "connected" } else { "not connected" };
    let left = |name: &str| {
        let all = detail["remainingResources"].as_array();
        let one = all.into_iter().flatten().find(|one| one["name"].as_str() == Some(name));
        one.and_then(|one| one["integerValue"].as_i64()).unwrap_or_default()
    };
    let tasks = &detail["runningTasksCount"];
    let (cpu, memory) = (left("CPU"), left("MEMORY"));
    format!(
        "{} agent {agent}, {tasks} tasks running, {cpu} CPU units and {memory} MiB left",
        text(detail, "status")
    )
}
