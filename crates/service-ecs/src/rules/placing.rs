//! From rows to a question of placement, and from its answer to AWS's words.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_protocol::ApiError;
use core_placement::{Ask, Constraint, Field, Free, Instance, Need, Reason, Refused, Strategy};
use core_state::{RowKey, State};
use model_ecs::{self as api, errors};

use super::{query, resources};
use crate::rows::cluster::ClusterKey;
use crate::rows::container_instance::{ContainerInstance, arn_of};
use crate::rows::task::{Count, GroupKind, HostGroups, HostLoad, HostPorts, Launch, TasksOn};

/// AWS: ten constraints and five strategies a call.
const MOST_CONSTRAINTS: usize = 10;
const MOST_STRATEGIES: usize = 5;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// An instance as placement sees it.
pub fn instance(state: &State, row: &ContainerInstance) -> Instance {
    let attributes = row
        .attributes()
        .map(|attribute| (attribute.name.clone().unwrap_or_default(), attribute.value.clone()));
    let bare = Instance {
        id: row.id,
        active: row.takes_tasks(),
        connected: row.observed_connected,
        attributes: Arc::new(attributes.collect()),
        agent_version: row.version_info.as_ref().and_then(|info| info.agent_version.clone()),
        ec2_instance_id: row.ec2_instance_id.clone(),
        registered_at: row.registered_at,
        free: Free::default(),
        groups: BTreeMap::new(),
        running_tasks: 0,
    };
    holding(state, row, &bare)
}

/// The same instance with what its tasks hold of it now.
pub fn holding(state: &State, row: &ContainerInstance, known: &Instance) -> Instance {
    let all = state.sums::<HostGroups>((row.id, GroupKind::least(), "".into()));
    let mut groups: BTreeMap<Arc<str>, u32> = BTreeMap::new();
    for ((_, kind, of), n) in all.take_while(|((host, ..), _)| *host == row.id) {
        // A caller may name a group as AWS would.
        *groups.entry(kind.name(of)).or_default() += u32::try_from(n).unwrap_or(u32::MAX);
    }
    let mut gpus = row.gpus.clone();
    if !gpus.is_empty() {
        let tasks = state.by::<TasksOn>(&row.id).filter(|task| task.holds());
        let held = tasks.flat_map(|task| task.extras.iter().flat_map(|extras| &extras.gpus));
        let held: Vec<&Arc<str>> = held.flat_map(|(_, ids)| ids).collect();
        gpus.retain(|gpu| !held.contains(&gpu));
    }
    let registered = |name: &str| {
        let mut all = row.resources.iter();
        let found = all.find(|resource| resource.name.as_deref() == Some(name));
        i64::from(found.and_then(|resource| resource.integer_value).unwrap_or_default())
    };
    let ports = |name: &str, udp: bool| {
        let all = row.resources.iter().filter(|resource| resource.name.as_deref() == Some(name));
        let reserved = all.flat_map(|resource| resource.string_set_value.iter().flatten());
        let reserved = reserved.filter_map(|port| port.parse().ok());
        reserved.chain(held_ports(state, row, udp)).collect()
    };
    let load = state.sum::<HostLoad>(&row.id);
    Instance {
        free: Free {
            cpu: registered("CPU") - load.cpu,
            memory: registered("MEMORY") - load.memory,
            tcp: ports("PORTS", false),
            udp: ports("PORTS_UDP", true),
            gpus,
        },
        groups,
        running_tasks: load.tasks.of(Count::Running),
        ..known.clone()
    }
}

/// Static ports that the instance's tasks hold.
pub fn held_ports(state: &State, row: &ContainerInstance, udp: bool) -> impl Iterator<Item = u16> {
    let id = row.id;
    let sums = state.sums::<HostPorts>((id, udp, 0));
    sums.take_while(move |(key, _)| (key.0, key.1) == (id, udp)).map(|(key, _)| key.2)
}

/// What a task of this definition takes and asks for.
pub fn need(
    definition: &api::TaskDefinition,
    overrides: Option<&api::TaskOverride>,
    launch: Launch,
) -> Need {
    let containers = super::overrides::merged(definition, overrides);
    let (tcp, udp) = resources::ports(definition);
    let mut attributes = match launch {
        // AWS: what Fargate's hosts can do is Fargate's affair.
        Launch::Fargate => Vec::new(),
        Launch::Ec2 | Launch::External => attributes(definition),
    };
    // AWS: an agent with `ECS_ENABLE_TASK_CPU_MEM_LIMIT=false` does not tell this one, and gets no tasks
    // with limits of their own; `requiresAttributes` does not list it.
    if resources::has_limits(definition, overrides) {
        attributes.push(("ecs.capability.task-cpu-mem-limit".to_owned(), None));
    }
    Need {
        cpu: resources::task_cpu(definition, overrides, &containers).into(),
        memory: resources::task_memory(definition, overrides, &containers).into(),
        tcp,
        udp,
        gpus: containers.iter().map(resources::gpus).sum(),
        attributes,
        zones: Vec::new(),
    }
}

fn attributes(definition: &api::TaskDefinition) -> Vec<(String, Option<String>)> {
    let required = definition.requires_attributes.iter().flatten();
    let mut all: Vec<_> = required
        .filter_map(|attribute| Some((attribute.name.clone()?, attribute.value.clone())))
        .collect();
    if let Some(platform) = &definition.runtime_platform {
        if let Some(cpu) = &platform.cpu_architecture {
            all.push(("ecs.cpu-architecture".to_owned(), Some(cpu.as_str().to_ascii_lowercase())));
        }
        if let Some(system) = &platform.operating_system_family {
            let system = if system.as_str() == "LINUX" { "linux" } else { "windows" };
            all.push(("ecs.os-type".to_owned(), Some(system.to_owned())));
        }
    }
    all
}

/// The call's constraints and the definition's, parsed.
pub fn constraints(
    definition: &api::TaskDefinition,
    given: &[api::PlacementConstraint],
) -> Result<Vec<Constraint>, ApiError> {
    let of_definition = definition.placement_constraints.iter().flatten();
    let mut all = Vec::new();
    for expression in of_definition.filter_map(|one| one.expression.as_deref()) {
        all.push(member_of(expression)?);
    }
    // AWS: those of the definition count, too.
    if all.len() + given.len() > MOST_CONSTRAINTS {
        return Err(invalid("Too many placement constraints. The maximum is 10."));
    }
    for one in given {
        let expression = one.expression.as_deref().filter(|text| !text.is_empty());
        match (one.r#type.as_ref().map(|kind| kind.as_str()), expression) {
            (Some("distinctInstance"), None) => all.push(Constraint::DistinctInstance),
            (Some("distinctInstance"), Some(_)) => {
                return Err(invalid("distinctInstance constraint does not support expressions."));
            }
            (Some("memberOf"), Some(expression)) => all.push(member_of(expression)?),
            (Some("memberOf"), None) => return Err(invalid("Invalid constraint expression.")),
            _ => return Err(invalid("type should be one of [distinctInstance,memberOf]")),
        }
    }
    Ok(all)
}

fn member_of(expression: &str) -> Result<Constraint, ApiError> {
    let query = query::parse(expression).map_err(|_| invalid("Invalid constraint expression."))?;
    Ok(Constraint::MemberOf(query))
}

pub fn strategies(given: &[api::PlacementStrategy]) -> Result<Vec<Strategy>, ApiError> {
    if given.len() > MOST_STRATEGIES {
        return Err(invalid("Too many placement strategies. The maximum is 5."));
    }
    given.iter().map(strategy).collect()
}

fn strategy(given: &api::PlacementStrategy) -> Result<Strategy, ApiError> {
    let field = given.field.as_deref().unwrap_or_default();
    match given.r#type.as_ref().map(|kind| kind.as_str()) {
        // AWS: a field is not used.
        Some("random") => Ok(Strategy::Random),
        Some("binpack") => match field.to_ascii_lowercase().as_str() {
            "cpu" => Ok(Strategy::BinpackCpu),
            "memory" => Ok(Strategy::BinpackMemory),
            _ => Err(invalid("The binpack strategy's field should be one of [cpu, memory].")),
        },
        Some("spread") => match field.split_once(':') {
            // AWS: `host` is another word for `instanceId`.
            None if field.eq_ignore_ascii_case("instanceId") || field == "host" => {
                Ok(Strategy::Spread(Field::Instance))
            }
            Some(("attribute", name)) if !name.is_empty() => {
                Ok(Strategy::Spread(Field::Attribute(name.to_owned())))
            }
            _ => Err(invalid(format!("Invalid field for the spread strategy: {field}"))),
        },
        _ => Err(invalid("type should be one of [random,spread,binpack]")),
    }
}

/// AWS's word for a reason.
pub fn word(reason: &Reason) -> &'static str {
    match reason {
        Reason::Inactive => "INACTIVE",
        Reason::Agent => "AGENT",
        Reason::Attribute(_) => "ATTRIBUTE",
        Reason::Location => "LOCATION",
        Reason::MemberOf => "MemberOf placement constraint unsatisfied.",
        Reason::DistinctInstance => "DistinctInstance placement constraint unsatisfied.",
        Reason::Cpu => "RESOURCE:CPU",
        Reason::Memory => "RESOURCE:MEMORY",
        Reason::Port { .. } => "RESOURCE:PORTS",
        Reason::Gpu => "RESOURCE:GPU",
    }
}

/// The reason in numbers and names.
pub fn detail(ask: &Ask, instance: &Instance, reason: &Reason) -> String {
    let (need, free) = (&ask.need, &instance.free);
    match reason {
        Reason::Inactive => "The instance takes no new tasks.".to_owned(),
        Reason::Agent => "The agent is not connected.".to_owned(),
        Reason::Attribute(name) => format!("Attribute {name} is missing or has another value."),
        Reason::Location => format!("It is in none of the zones {}.", need.zones.join(", ")),
        Reason::MemberOf => {
            let unmet = ask.constraints.iter().find_map(|constraint| match constraint {
                Constraint::MemberOf(query) if !query.holds(instance) => Some(query.text()),
                _ => None,
            });
            format!("It is no member of: {}", unmet.unwrap_or_default())
        }
        Reason::DistinctInstance => format!("It has a task of {} already.", ask.group),
        Reason::Cpu => format!("{} CPU units are needed, {} are left.", need.cpu, free.cpu),
        Reason::Memory => format!("{} MiB are needed, {} are left.", need.memory, free.memory),
        Reason::Port { port, udp } => {
            format!("Port {port}/{} is taken", if *udp { "udp" } else { "tcp" })
        }
        Reason::Gpu => format!("{} GPUs are needed, {} are left.", need.gpus, free.gpus.len()),
    }
}

/// A failure entry of an instance.
pub fn failure(
    cluster: &ClusterKey,
    ask: &Ask,
    instance: Option<&Instance>,
    refused: &Refused,
) -> api::Failure {
    api::Failure {
        arn: Some(arn_of(cluster, refused.instance)),
        reason: Some(word(&refused.reason).to_owned()),
        detail: instance.map(|instance| detail(ask, instance, &refused.reason)),
    }
}
