//! The list of actions: one file each.

use core_step::{Action, read_action, write_action};

mod create_cluster;
mod delete_cluster;
mod describe_clusters;
mod list_clusters;

pub const ACTIONS: &[Action] = &[
    write_action::<create_cluster::CreateCluster>(),
    write_action::<delete_cluster::DeleteCluster>(),
    read_action::<describe_clusters::DescribeClusters>(),
    read_action::<list_clusters::ListClusters>(),
];
