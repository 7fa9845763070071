//! Reports on their way to the control plane: what a report says on the wire, and patience with a
//! plane that is away.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::given::Given;
use crate::engine::{Binding, PartChange, Report, Status};
use crate::plane::api::{Api, Backoff};

/// AWS: reports are repeated for a day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Deliver a report. True when it was accepted or refused for good; `again` cuts a wait short, as
/// the plane has just been heard of.
pub async fn deliver(
    api: &Api,
    given: &Given,
    cluster: &str,
    report: &Report,
    mut again: tokio::sync::watch::Receiver<u64>,
) {
    let (operation, input) = call(given, cluster, report);
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(300), 1.7);
    let begun = tokio::time::Instant::now();
    loop {
        again.mark_unchanged();
        match api.call(operation, &input).await {
            Ok(_) => return,
            Err(error) if !error.passes() => {
                tracing::warn!(task = given.task.arn, "{operation} was refused: {error}");
                return;
            }
            Err(error) => tracing::debug!(task = given.task.arn, "{operation}: {error}"),
        }
        if begun.elapsed() > DAY {
            tracing::error!(task = given.task.arn, "{operation} was tried for a day, in vain");
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.wait()) => {}
            Ok(()) = again.changed() => {}
        }
    }
}

fn call(given: &Given, cluster: &str, report: &Report) -> (&'static str, Value) {
    let mut input = Map::new();
    let task_cluster = &given.task.task_cluster_arn;
    let cluster = if task_cluster.is_empty() { cluster } else { task_cluster };
    input.insert("cluster".into(), cluster.into());
    input.insert("task".into(), given.task.arn.as_str().into());
    let operation = match report {
        // Only a task's change has a place for managed agents. Without a status of the task's own it
        // says nothing of the task.
        Report::Container(change) if has_exec(given, change) => {
            input.insert("containers".into(), json!([container(given, change)]));
            input.insert("managedAgents".into(), exec_agents(given, std::slice::from_ref(change)));
            "SubmitTaskStateChange"
        }
        Report::Container(change) => {
            input.extend(container(given, change));
            "SubmitContainerStateChange"
        }
        Report::Digests(all) => {
            input.insert("status".into(), MANIFEST_PULLED.into());
            let parts = all.iter().map(|(part, digest)| {
                json!({
                    "containerName": given.task.containers.get(*part).map(|c| c.name.as_str()),
                    "status": MANIFEST_PULLED,
                    "imageDigest": digest,
                })
            });
            input.insert("containers".into(), parts.collect());
            "SubmitTaskStateChange"
        }
        Report::Task(change) => {
            input.insert("status".into(), change.status.as_str().into());
            optional(&mut input, "reason", change.reason.clone());
            let parts = change.parts.iter().map(|part| Value::from(container(given, part)));
            input.insert("containers".into(), parts.collect());
            if change.parts.iter().any(|part| has_exec(given, part)) {
                input.insert("managedAgents".into(), exec_agents(given, &change.parts));
            }
            for (name, time) in [
                ("pullStartedAt", change.pull_started_at),
                ("pullStoppedAt", change.pull_stopped_at),
                ("executionStoppedAt", change.execution_stopped_at),
            ] {
                optional(&mut input, name, time.map(|time| time.millis() as f64 / 1000.0));
            }
            "SubmitTaskStateChange"
        }
    };
    (operation, Value::from(input))
}

/// AWS: how far a container is that has nothing of its image but the digest.
const MANIFEST_PULLED: &str = "MANIFEST_PULLED";

/// AWS's name of the program that ExecuteCommand speaks to. Here it is this agent itself, so it runs
/// while its container does.
const EXEC_AGENT: &str = "ExecuteCommandAgent";

fn has_exec(given: &Given, change: &PartChange) -> bool {
    let container = given.task.containers.get(change.part);
    container.is_some_and(|c| c.managed_agents.iter().any(|agent| agent.name == EXEC_AGENT))
        && change.status != Status::Pending
}

fn exec_agents(given: &Given, changes: &[PartChange]) -> Value {
    let all = changes.iter().filter(|change| has_exec(given, change)).map(|change| {
        json!({
            "containerName": given.task.containers[change.part].name,
            "managedAgentName": EXEC_AGENT,
            "status": change.status.as_str(),
        })
    });
    all.collect()
}

fn optional<T: Into<Value>>(input: &mut Map<String, Value>, name: &str, value: Option<T>) {
    if let Some(value) = value {
        input.insert(name.into(), value.into());
    }
}

/// AWS: a reason has at most 255 characters.
const LONGEST_REASON: usize = 255;

fn container(given: &Given, change: &PartChange) -> Map<String, Value> {
    let mut input = Map::new();
    let name = given.task.containers.get(change.part).map(|c| c.name.as_str());
    input.insert("containerName".into(), name.unwrap_or_default().into());
    input.insert("runtimeId".into(), given.container_id(change.part).into());
    input.insert("status".into(), change.status.as_str().into());
    optional(&mut input, "exitCode", change.exit_code);
    let short = |text: &String| text.chars().take(LONGEST_REASON).collect::<String>();
    optional(&mut input, "reason", change.reason.as_ref().map(short));
    optional(&mut input, "imageDigest", change.image_digest.clone());
    if !change.bindings.is_empty() {
        input.insert("networkBindings".into(), change.bindings.iter().map(binding).collect());
    }
    input
}

/// AWS: a range is told as one, without its single ports.
fn binding(binding: &Binding) -> Value {
    let Binding { address, container_port, host_port, last, protocol } = binding;
    match last {
        Some(last) => {
            let host_last = host_port.saturating_add(last.saturating_sub(*container_port));
            json!({
                "bindIP": address,
                "containerPortRange": format!("{container_port}-{last}"),
                "hostPortRange": format!("{host_port}-{host_last}"),
                "protocol": protocol,
            })
        }
        None => json!({
            "bindIP": address,
            "containerPort": container_port,
            "hostPort": host_port,
            "protocol": protocol,
        }),
    }
}

#[cfg(test)]
mod tests {
    use aws_agent::task::{Container, ManagedAgent, Task};

    use super::*;
    use crate::tasks::given::Record;

    fn given(agents: &[&str]) -> Given {
        let agent = |name: &&str| ManagedAgent { name: (*name).into(), ..Default::default() };
        let managed_agents = agents.iter().map(agent).collect();
        let container = Container { name: "app".into(), managed_agents, ..Default::default() };
        let task = Task { arn: "arn:x/a".into(), containers: vec![container], ..Task::default() };
        Given::read(Record { task, ..Record::default() }, Duration::from_secs(1))
    }

    fn change(status: Status) -> Report {
        Report::Container(PartChange {
            part: 0,
            status,
            exit_code: None,
            reason: None,
            image_digest: None,
            bindings: Vec::new(),
        })
    }

    #[test]
    fn exec_runs_with_its_container() {
        let (operation, input) = call(&given(&[EXEC_AGENT]), "default", &change(Status::Running));
        assert_eq!(operation, "SubmitTaskStateChange");
        assert_eq!(input["status"], Value::Null);
        assert_eq!(input["containers"][0]["status"], "RUNNING");
        assert_eq!(
            input["managedAgents"],
            json!([{ "containerName": "app", "managedAgentName": EXEC_AGENT, "status": "RUNNING" }])
        );
        let (operation, input) = call(&given(&[]), "default", &change(Status::Running));
        assert_eq!(operation, "SubmitContainerStateChange");
        assert_eq!(input["managedAgents"], Value::Null);
    }
}
