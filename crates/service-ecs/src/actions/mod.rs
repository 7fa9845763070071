//! The list of actions: one file each.

use core_step::{Action, read_action, write_action};

mod create_cluster;
mod delete_cluster;
mod delete_task_definitions;
mod deregister_task_definition;
mod describe_clusters;
mod describe_task_definition;
mod list_clusters;
mod list_task_definition_families;
mod list_task_definitions;
mod register_task_definition;

pub const ACTIONS: &[Action] = &[
    write_action::<create_cluster::CreateCluster>(),
    write_action::<delete_cluster::DeleteCluster>(),
    write_action::<delete_task_definitions::DeleteTaskDefinitions>(),
    write_action::<deregister_task_definition::DeregisterTaskDefinition>(),
    read_action::<describe_clusters::DescribeClusters>(),
    read_action::<describe_task_definition::DescribeTaskDefinition>(),
    read_action::<list_clusters::ListClusters>(),
    read_action::<list_task_definition_families::ListTaskDefinitionFamilies>(),
    read_action::<list_task_definitions::ListTaskDefinitions>(),
    write_action::<register_task_definition::RegisterTaskDefinition>(),
];
