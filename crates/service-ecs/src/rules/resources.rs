//! What an instance has, and what its tasks leave of it.

use core_state::State;
use core_task::TaskStatus;
use model_ecs as api;

use crate::rows::container_instance::ContainerInstance;
use crate::rows::task::{Task, TasksOn};
use crate::rows::task_definition::TaskDefinition;

/// AWS: every resource is shown with all its number forms, those that are not its own zero.
pub fn filled(mut resource: api::Resource) -> api::Resource {
    resource.double_value.get_or_insert(0.0);
    resource.long_value.get_or_insert(0);
    resource.integer_value.get_or_insert(0);
    resource
}

/// The registered resources less what the tasks on the instance hold.
pub fn remaining(state: &State, row: &ContainerInstance) -> Vec<api::Resource> {
    let (mut cpu, mut memory) = (0, 0);
    let (mut tcp, mut udp) = (Vec::new(), Vec::new());
    for task in state.by::<TasksOn>(&row.id) {
        if task.observed_status == TaskStatus::Stopped {
            continue;
        }
        let Some(definition) = definition_of(state, task) else { continue };
        cpu += task_cpu(definition);
        memory += task_memory(definition);
        ports(definition, &mut tcp, &mut udp);
    }
    let mut left = row.resources.clone();
    for resource in &mut left {
        let number = resource.integer_value.unwrap_or_default();
        match resource.name.as_deref() {
            Some("CPU") => resource.integer_value = Some(number.saturating_sub(cpu)),
            Some("MEMORY") => resource.integer_value = Some(number.saturating_sub(memory)),
            Some("PORTS") => resource.string_set_value.get_or_insert_default().append(&mut tcp),
            Some("PORTS_UDP") => resource.string_set_value.get_or_insert_default().append(&mut udp),
            _ => {}
        }
    }
    left
}

fn definition_of<'s>(state: &'s State, task: &Task) -> Option<&'s api::TaskDefinition> {
    let key = (task.cluster.0, task.family.clone(), task.revision);
    state.get::<TaskDefinition>(&key).map(|row| &row.definition)
}

/// CPU units that a task holds: its own, or those of its containers.
pub fn task_cpu(definition: &api::TaskDefinition) -> i32 {
    let own = definition.cpu.as_deref().and_then(|cpu| cpu.parse().ok());
    own.unwrap_or_else(|| {
        let all = definition.container_definitions.iter().flatten();
        all.map(|container| container.cpu.unwrap_or_default()).sum()
    })
}

/// MiB that a task holds. AWS: a container's reservation counts where it has one.
pub fn task_memory(definition: &api::TaskDefinition) -> i32 {
    let own = definition.memory.as_deref().and_then(|memory| memory.parse().ok());
    own.unwrap_or_else(|| {
        let all = definition.container_definitions.iter().flatten();
        all.map(|c| c.memory_reservation.or(c.memory).unwrap_or_default()).sum()
    })
}

/// Host ports that a task holds whatever comes; dynamic ones are the host's to tell.
fn ports(definition: &api::TaskDefinition, tcp: &mut Vec<String>, udp: &mut Vec<String>) {
    // AWS: a task with a network interface of its own takes no ports of the host.
    if definition.network_mode == Some(api::NetworkMode::AWSVPC) {
        return;
    }
    let all = definition.container_definitions.iter().flatten();
    for mapping in all.flat_map(|container| container.port_mappings.iter().flatten()) {
        let Some(port) = mapping.host_port.filter(|port| *port > 0) else { continue };
        match mapping.protocol.as_ref().map(|protocol| protocol.as_str()) {
            Some("udp") => udp.push(port.to_string()),
            _ => tcp.push(port.to_string()),
        }
    }
}
