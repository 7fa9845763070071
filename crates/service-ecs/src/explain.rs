//! Why a task is where it is, or nowhere: what the operator's `wharf explain` asks. All of it is
//! read from rows at the moment of asking; nothing is recorded for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_placement::{Ask, Reason};
use core_state::State;
use core_task::{Desired, TaskStatus};
use core_types::{Arn, Id128, Scope};
use model_ecs as api;
use serde::{Deserialize, Serialize};

use crate::rows::cluster::ClusterKey;
use crate::rows::container_instance::ContainerInstance;
use crate::rows::service::{Service, ServiceStatus};
use crate::rows::task::{Count, DeploymentTasks, Launch, Task};
use crate::rows::task_definition::{Status, TaskDefinition};
use crate::rules::{
    images, launch, overrides, placing, pools, service_placing, services, shifts, waiting,
};

/// What a question came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    pub subject: String,
    /// What is known of it, a sentence a line.
    pub facts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_task: Option<NextTask>,
}

/// Where one more task like it could go now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NextTask {
    pub asks_for: Vec<String>,
    pub instances: usize,
    pub fit: usize,
    /// The most frequent first.
    pub refusals: Vec<Refusal>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// AWS's word.
    pub reason: String,
    pub count: usize,
    /// The first of them.
    pub examples: Vec<Example>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    pub instance: Id128,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Arc<str>>,
    pub detail: String,
}

const EXAMPLES: usize = 3;
const EVENTS: usize = 5;

/// Explain a task, a service or a task definition, by name, id or ARN. None where there is nothing
/// of that name.
pub fn explain(state: &State, scope: Scope, cluster: &str, what: &str) -> Option<Explained> {
    let arn = Arn::parse(what).ok();
    let rest = arn.as_ref().and_then(|arn| arn.resource.split_once('/'));
    let (kind, path) = rest.map_or((None, what), |(kind, path)| (Some(kind), path));
    let (of, name) = match (kind, path.rsplit_once('/')) {
        (Some("task" | "service"), Some((of, name))) => (of, name),
        _ => (cluster, path),
    };
    let key: ClusterKey = (scope, of.into());
    let is = |this: &str| kind.is_none_or(|kind| kind == this);
    let task = || {
        let id: Id128 = name.parse().ok()?;
        let row = state.get::<Task>(&id).filter(|row| row.cluster == key)?;
        Some(task(state, row))
    };
    let service = || {
        let row = state.get::<Service>(&(key.clone(), name.into()))?;
        Some(service(state, row))
    };
    let definition = || definition(state, &key, name);
    is("task")
        .then(task)
        .flatten()
        .or_else(|| is("service").then(service).flatten())
        .or_else(|| is("task-definition").then(definition).flatten())
}

fn task(state: &State, row: &Task) -> Explained {
    let mut facts = vec![format!(
        "It is {} and shall be {}; started from {}:{} at {}{}.",
        row.observed_status.as_str(),
        row.desired_status.as_str(),
        row.family,
        row.revision,
        row.created_at,
        row.started_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default(),
    )];
    let host = row.host.and_then(|host| state.get::<ContainerInstance>(&host));
    facts.push(match host {
        Some(host) => {
            let agent = if host.observed_connected { "connected" } else { "not connected" };
            format!(
                "Its instance is {}, {}, its agent is {agent}.",
                named(host),
                host.shown_status()
            )
        }
        None => "It has no instance.".to_owned(),
    });
    facts.extend(waits_for(state, row, host));
    for container in &row.containers {
        let exit = container.exit_code.map(|code| format!(", exit code {code}"));
        let reason = container.reason.as_ref().map(|reason| format!(": {reason}"));
        let (exit, reason) = (exit.unwrap_or_default(), reason.unwrap_or_default());
        let status = container.observed_status.as_str();
        facts.push(format!("Container {} is {status}{exit}{reason}.", container.name));
    }
    if let Some(reason) = &row.stopped_reason {
        facts.push(format!("It stops or has stopped because: {reason}"));
    }
    let definition = launch::definition_of(state, row);
    let next_task = definition.and_then(|definition| {
        let over = row.extras.as_ref().and_then(|extras| extras.overrides.as_ref());
        let ask = match waiting::ask(state, row) {
            Some(ask) => ask,
            None => Ask {
                group: row.group(),
                need: placing::need(definition, over, row.launch),
                constraints: placing::constraints(definition, &[]).ok()?,
                strategy: Vec::new(),
            },
        };
        let provider = row.provider().map(|name| &**name);
        Some(next_task(state, (&row.cluster, row.launch, provider), &ask))
    });
    Explained { subject: format!("task {}", row.id), facts, next_task }
}

/// What the task's next step hangs on.
fn waits_for(state: &State, row: &Task, host: Option<&ContainerInstance>) -> Option<String> {
    if let Some((waiting, provider)) = row.waiting().zip(row.provider()) {
        let reason = waiting::hindrance(state, row).unwrap_or_default();
        return Some(format!(
            "It waits for an instance of its capacity provider {provider}, until {} at the latest: \
             {reason}.",
            waiting.until
        ));
    }
    let connected = host.is_some_and(|host| host.observed_connected);
    let text = match (row.desired_status, row.observed_acknowledged) {
        _ if row.given_up => {
            "Its host was lost with it; what it held stays held until the host has answered for it."
        }
        _ if row.is_stopped() => return None,
        (Desired::Running, Some(_)) if row.observed_status == TaskStatus::Running => return None,
        (_, acknowledged) if acknowledged != Some(row.desired_status) && !connected => {
            "It waits for its instance's agent to connect."
        }
        (desired, acknowledged) if acknowledged != Some(desired) => {
            "It waits for the agent to acknowledge what is wanted."
        }
        (Desired::Running, _) => "The agent has it, and has not yet told that it runs.",
        (Desired::Stopped, _) => "The agent stops it, and has not yet told that it has stopped.",
    };
    Some(text.to_owned())
}

fn service(state: &State, row: &Service) -> Explained {
    let mut facts =
        vec![format!("It is {}; {} tasks are wanted.", row.status.as_str(), row.desired_count)];
    for one in &row.deployments {
        let counts = state.sum::<DeploymentTasks>(&(row.key.clone(), one.id.clone()));
        facts.push(format!(
            "Deployment {}: {} running, {} pending, {} failed; {}: {}",
            one.id,
            counts.of(Count::Running),
            counts.of(Count::Pending),
            one.failed_tasks,
            one.rollout.wire().as_str(),
            one.reason,
        ));
    }
    facts.extend(stage(state, row));
    if row.waiting {
        facts.push("Tasks of it wait for a place.".to_owned());
    }
    match waiting::of_service(state, row) {
        0 => {}
        some => facts.push(format!("{some} of its tasks wait for their capacity provider.")),
    }
    let first = row.primary().filter(|_| row.desired_count > 1);
    if first.is_some_and(|one| images::waits_for_first(state, row, one)) {
        let text = "Its other tasks wait until the first one's host tells what the images are.";
        facts.push(text.to_owned());
    }
    if let Some(at) = row.look_at {
        facts.push(format!("It is looked at again at {at}, unless something happens before."));
    }
    let events = services::events(state, &row.key).take(EVENTS);
    facts.extend(events.map(|event| format!("{} {}", event.at, event.text)));
    let next = match row.status {
        ServiceStatus::Active => service_placing::next(state, row),
        _ => None,
    };
    let next_task =
        next.map(|next| next_task(state, (&row.key.0, next.prepared.launch, None), &next.ask));
    Explained { subject: format!("service {}", row.name()), facts, next_task }
}

/// Where its newest deployment is, if it goes through stages, and what holds it there.
fn stage(state: &State, row: &Service) -> Option<String> {
    let (_, progress) = shifts::governing(state, row).or_else(|| shifts::rolling(state, row))?;
    let open = progress.hooks.iter().filter(|hook| hook.status.is_open());
    let hooks: Vec<String> = open
        .map(|hook| {
            let what = if hook.target.is_some() { "webhook" } else { "pause" };
            format!("; {what} {} holds it until {} at the latest", hook.id, hook.expires_at)
        })
        .collect();
    let at = &progress.at;
    Some(format!("The newest is in {} since {}{}.", at.stage.as_str(), at.since, hooks.concat()))
}

fn definition(state: &State, cluster: &ClusterKey, name: &str) -> Option<Explained> {
    let (family, revision) = match name.split_once(':') {
        Some((family, revision)) => (family, Some(revision.parse::<u32>().ok()?)),
        None => (name, None),
    };
    let rows = state.scan::<TaskDefinition>((cluster.0, family.into(), revision.unwrap_or(0)));
    let mut rows = rows.take_while(|row| row.key.0 == cluster.0 && *row.key.1 == *family);
    let row = match revision {
        Some(revision) => rows.next().filter(|row| row.key.2 == revision),
        None => rows.filter(|row| row.status == Status::Active).last(),
    }?;
    let definition = &row.definition;
    let able = definition.requires_compatibilities.iter().flatten();
    let fargate = able.clone().count() == 1 && able.clone().all(|one| one.as_str() == "FARGATE");
    let launch = if fargate { Launch::Fargate } else { Launch::Ec2 };
    let ask = Ask {
        group: format!("family:{family}").into(),
        need: placing::need(definition, None, launch),
        constraints: placing::constraints(definition, &[]).ok()?,
        strategy: Vec::new(),
    };
    let facts = vec![format!(
        "It is {:?}; containers: {}.",
        row.status,
        overrides::merged(definition, None).iter().map(name_of).collect::<Vec<_>>().join(", ")
    )];
    let subject = format!("task definition {family}:{}", row.key.2);
    Some(Explained {
        subject,
        facts,
        next_task: Some(next_task(state, (cluster, launch, None), &ask)),
    })
}

fn name_of(container: &api::ContainerDefinition) -> String {
    let image = container.image.as_deref().unwrap_or_default();
    format!("{} ({image})", container.name.as_deref().unwrap_or_default())
}

fn named(host: &ContainerInstance) -> String {
    match &host.ec2_instance_id {
        Some(machine) => format!("{} ({machine})", host.id),
        None => host.id.to_string(),
    }
}

/// On the instances of a launch type, or of one capacity provider.
fn next_task(
    state: &State,
    (cluster, launch, provider): (&ClusterKey, Launch, Option<&str>),
    ask: &Ask,
) -> NextTask {
    let pool = pools::fresh(state, cluster, launch, provider);
    let (mut instances, mut fit) = (0, 0);
    let mut by_reason: BTreeMap<&str, Refusal> = BTreeMap::new();
    for (instance, reason) in pool.refusals(ask) {
        instances += 1;
        let Some(reason) = reason else {
            fit += 1;
            continue;
        };
        let word = placing::word(&reason);
        let fresh = || Refusal { reason: word.to_owned(), count: 0, examples: Vec::new() };
        let refusal = by_reason.entry(word).or_insert_with(fresh);
        refusal.count += 1;
        if refusal.examples.len() < EXAMPLES {
            refusal.examples.push(Example {
                instance: instance.id,
                machine: instance.ec2_instance_id.clone(),
                detail: detail(state, ask, instance, &reason),
            });
        }
    }
    let mut refusals: Vec<Refusal> = by_reason.into_values().collect();
    refusals.sort_by_key(|refusal| std::cmp::Reverse(refusal.count));
    NextTask { asks_for: asks_for(ask), instances, fit, refusals }
}

/// As `placing::detail`; who has a port is looked up too.
fn detail(
    state: &State,
    ask: &Ask,
    instance: &core_placement::Instance,
    reason: &Reason,
) -> String {
    let text = placing::detail(ask, instance, reason);
    let Reason::Port { port, udp } = reason else { return text };
    let tasks = state.by::<crate::rows::task::TasksOn>(&instance.id).filter(|task| task.holds());
    let mut tasks =
        tasks.filter(|task| task.ports.iter().any(|held| (held.port, held.udp) == (*port, *udp)));
    match tasks.next() {
        Some(task) => format!("{text} by task {}", task.id),
        None => format!("{text} by the instance itself"),
    }
}

fn asks_for(ask: &Ask) -> Vec<String> {
    let need = &ask.need;
    let mut all = vec![format!("{} CPU units", need.cpu), format!("{} MiB", need.memory)];
    all.extend(need.tcp.iter().map(|port| format!("port {port}/tcp")));
    all.extend(need.udp.iter().map(|port| format!("port {port}/udp")));
    if need.gpus > 0 {
        all.push(format!("{} GPUs", need.gpus));
    }
    all.extend(need.attributes.iter().map(|(name, value)| match value {
        Some(value) => format!("attribute {name} = {value}"),
        None => format!("attribute {name}"),
    }));
    if !need.zones.is_empty() {
        all.push(format!("one of the zones {}", need.zones.join(", ")));
    }
    all.extend(ask.constraints.iter().map(|constraint| match constraint {
        core_placement::Constraint::DistinctInstance => "an instance for each task".to_owned(),
        core_placement::Constraint::MemberOf(query) => format!("memberOf {}", query.text()),
    }));
    all
}
