//! What an instance has, and what its tasks leave of it.

use core_state::State;
use model_ecs as api;

use super::placing::held_ports;
use super::task_definition::{containers_of, is_mode};
use crate::rows::container_instance::ContainerInstance;
use crate::rows::task::HostLoad;

/// AWS: every resource is shown with all its number forms, those that are not its own zero.
pub fn filled(mut resource: api::Resource) -> api::Resource {
    resource.double_value.get_or_insert(0.0);
    resource.long_value.get_or_insert(0);
    resource.integer_value.get_or_insert(0);
    resource
}

/// The registered resources less what the tasks on the instance hold.
pub fn remaining(state: &State, row: &ContainerInstance) -> Vec<api::Resource> {
    let load = state.sum::<HostLoad>(&row.id);
    let held = |sum| i32::try_from(sum).unwrap_or(i32::MAX);
    let ports = |udp| held_ports(state, row, udp).map(|port| port.to_string());
    let mut left = row.resources.clone();
    for resource in &mut left {
        let number = resource.integer_value.unwrap_or_default();
        let set = &mut resource.string_set_value;
        match resource.name.as_deref() {
            Some("CPU") => {
                resource.integer_value = Some(number.saturating_sub(held(load.cpu)));
            }
            Some("MEMORY") => {
                resource.integer_value = Some(number.saturating_sub(held(load.memory)));
            }
            Some("PORTS") => set.get_or_insert_default().extend(ports(false)),
            Some("PORTS_UDP") => set.get_or_insert_default().extend(ports(true)),
            _ => {}
        }
    }
    left
}

/// CPU units that a task holds: its own, or those of its containers.
pub fn task_cpu(
    definition: &api::TaskDefinition,
    overrides: Option<&api::TaskOverride>,
    containers: &[api::ContainerDefinition],
) -> u32 {
    let own = overrides.and_then(|over| over.cpu.as_deref()).or(definition.cpu.as_deref());
    let own = own.and_then(|cpu| cpu.parse().ok());
    own.unwrap_or_else(|| {
        let each = containers.iter().map(|container| container.cpu.unwrap_or_default());
        each.map(positive).fold(0, u32::saturating_add)
    })
}

/// Whether the task itself has CPU or memory, beside its containers'.
pub fn has_limits(definition: &api::TaskDefinition, overrides: Option<&api::TaskOverride>) -> bool {
    let of_call = overrides.is_some_and(|over| over.cpu.is_some() || over.memory.is_some());
    of_call || definition.cpu.is_some() || definition.memory.is_some()
}

/// MiB that a task holds. AWS: a container's reservation counts where it has one.
pub fn task_memory(
    definition: &api::TaskDefinition,
    overrides: Option<&api::TaskOverride>,
    containers: &[api::ContainerDefinition],
) -> u32 {
    let own = overrides.and_then(|over| over.memory.as_deref()).or(definition.memory.as_deref());
    let own = own.and_then(|memory| memory.parse().ok());
    own.unwrap_or_else(|| {
        let each = containers.iter().map(|c| c.memory_reservation.or(c.memory).unwrap_or_default());
        each.map(positive).fold(0, u32::saturating_add)
    })
}

fn positive(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// TCP and UDP ports of the host that a task holds whatever comes; dynamic ones are the host's to
/// tell.
pub fn ports(definition: &api::TaskDefinition) -> (Vec<u16>, Vec<u16>) {
    let (mut tcp, mut udp) = (Vec::new(), Vec::new());
    // AWS: a task with a network interface of its own takes no ports of the host.
    if is_mode(definition, "awsvpc") {
        return (tcp, udp);
    }
    let all = containers_of(definition).iter();
    for mapping in all.flat_map(|container| container.port_mappings.iter().flatten()) {
        let port = mapping.host_port.and_then(|port| u16::try_from(port).ok());
        let Some(port) = port.filter(|port| *port > 0) else { continue };
        match mapping.protocol.as_ref().map(|protocol| protocol.as_str()) {
            Some("udp") => udp.push(port),
            _ => tcp.push(port),
        }
    }
    (tcp, udp)
}

/// How many GPUs a container asks for.
pub fn gpus(container: &api::ContainerDefinition) -> usize {
    let all = container.resource_requirements.iter().flatten();
    let gpus = all.filter(|one| one.r#type.as_ref().is_some_and(|kind| kind.as_str() == "GPU"));
    gpus.filter_map(|one| one.value.as_deref()?.parse::<usize>().ok()).sum()
}
