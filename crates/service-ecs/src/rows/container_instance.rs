//! A container instance: a host that has registered into a cluster.

use std::sync::Arc;

use core_state::{Declare, Index, Row, RowKey, Tally};
use core_types::{Id128, Time};
use model_ecs as api;
use serde::{Deserialize, Serialize};

use crate::rows::cluster::ClusterKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InstanceStatus {
    Active,
    Draining,
    /// Deregistered: only described, for a while.
    Inactive,
}

impl InstanceStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            InstanceStatus::Active => "ACTIVE",
            InstanceStatus::Draining => "DRAINING",
            InstanceStatus::Inactive => "INACTIVE",
        }
    }
}

impl RowKey for InstanceStatus {
    fn least() -> Self {
        InstanceStatus::Active
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerInstance {
    pub id: Id128,
    pub cluster: ClusterKey,
    pub status: InstanceStatus,
    /// From its identity document; hosts elsewhere have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ec2_instance_id: Option<Arc<str>>,
    pub registered_at: Time,
    /// Rises with each change that AWS tells by events.
    pub version: u64,
    /// What the agent told when it registered; it must get every one of them back.
    pub agent_attributes: Vec<api::Attribute>,
    /// What users have put.
    #[serde(default)]
    pub custom_attributes: Vec<api::Attribute>,
    pub resources: Vec<api::Resource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_info: Option<api::VersionInfo>,
    #[serde(default)]
    pub tags: Vec<api::Tag>,
    /// Whether its agent's connection stands. Written by what serves the agents.
    #[serde(default)]
    pub observed_connected: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_provider: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_at: Option<Time>,
}

impl ContainerInstance {
    pub fn arn(&self) -> String {
        arn_of(&self.cluster, self.id)
    }

    /// Every attribute; what users have put hides what the agent told by the same name.
    pub fn attributes(&self) -> impl Iterator<Item = &api::Attribute> {
        let custom = &self.custom_attributes;
        let hidden = move |told: &&api::Attribute| !custom.iter().any(|put| put.name == told.name);
        self.agent_attributes.iter().filter(hidden).chain(custom)
    }
}

/// AWS's long form, with the cluster in it.
pub fn arn_of(cluster: &ClusterKey, id: Id128) -> String {
    let (scope, name) = cluster;
    scope.arn("ecs", format_args!("container-instance/{name}/{id}"))
}

impl Row for ContainerInstance {
    type Key = Id128;
    const TABLE: &'static str = "ecs-container-instances";

    fn key(&self) -> Id128 {
        self.id
    }

    fn wake_at(&self) -> Option<Time> {
        self.forget_at
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<InstancesIn>();
        declare.index::<InstanceOfMachine>();
        declare.tally::<ClusterInstances>();
    }
}

/// Registered instances of a cluster, INACTIVE ones left out.
pub struct InstancesIn;

impl Index for InstancesIn {
    type Row = ContainerInstance;
    type Key = ClusterKey;

    fn keys(row: &ContainerInstance, add: &mut dyn FnMut(ClusterKey)) {
        if row.status != InstanceStatus::Inactive {
            add(row.cluster.clone());
        }
    }
}

/// The registration of a machine, by its instance id.
pub struct InstanceOfMachine;

impl Index for InstanceOfMachine {
    type Row = ContainerInstance;
    type Key = (ClusterKey, Arc<str>);

    fn keys(row: &ContainerInstance, add: &mut dyn FnMut(Self::Key)) {
        if let (Some(machine), true) =
            (&row.ec2_instance_id, row.status != InstanceStatus::Inactive)
        {
            add((row.cluster.clone(), machine.clone()));
        }
    }
}

/// How many instances a cluster has, INACTIVE ones left out.
pub struct ClusterInstances;

impl Tally for ClusterInstances {
    type Row = ContainerInstance;
    type Key = ClusterKey;

    fn counts(row: &ContainerInstance, add: &mut dyn FnMut(ClusterKey, i64)) {
        if row.status != InstanceStatus::Inactive {
            add(row.cluster.clone(), 1);
        }
    }
}
