//! A cluster.

use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{Scope, Time};
use model_ecs as api;
use serde::{Deserialize, Serialize};

pub type ClusterKey = (Scope, Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClusterStatus {
    Active,
    Inactive,
}

impl ClusterStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            ClusterStatus::Active => "ACTIVE",
            ClusterStatus::Inactive => "INACTIVE",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Where it lives, and its name.
    pub key: ClusterKey,
    pub status: ClusterStatus,
    pub created_at: Time,
    pub settings: Vec<api::ClusterSetting>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<api::ClusterConfiguration>,
    #[serde(default)]
    pub capacity_providers: Vec<String>,
    #[serde(default)]
    pub default_strategy: Vec<api::CapacityProviderStrategyItem>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_connect: Option<api::ClusterServiceConnectDefaults>,
    #[serde(default)]
    pub tags: Vec<api::Tag>,
    /// When an INACTIVE cluster is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_at: Option<Time>,
}

impl Cluster {
    pub fn scope(&self) -> Scope {
        self.key.0
    }

    pub fn name(&self) -> &str {
        &self.key.1
    }

    pub fn arn(&self) -> String {
        arn_of(self.key.0, &self.key.1)
    }
}

pub fn arn_of(scope: Scope, name: &str) -> String {
    scope.arn("ecs", format_args!("cluster/{name}"))
}

impl Row for Cluster {
    type Key = ClusterKey;
    const TABLE: &'static str = "ecs-clusters";

    fn key(&self) -> ClusterKey {
        self.key.clone()
    }

    fn wake_at(&self) -> Option<Time> {
        self.forget_at
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<ActiveClusters>();
        declare.index::<ClustersWith>();
    }
}

/// Clusters that lists show: INACTIVE ones are only described.
pub struct ActiveClusters;

impl Index for ActiveClusters {
    type Row = Cluster;
    type Key = Scope;

    fn keys(row: &Cluster, add: &mut dyn FnMut(Scope)) {
        if row.status == ClusterStatus::Active {
            add(row.key.0);
        }
    }
}

/// ACTIVE clusters that have a capacity provider.
pub struct ClustersWith;

impl Index for ClustersWith {
    type Row = Cluster;
    type Key = (Scope, Arc<str>);

    fn keys(row: &Cluster, add: &mut dyn FnMut(Self::Key)) {
        if row.status == ClusterStatus::Active {
            row.capacity_providers.iter().for_each(|name| add((row.key.0, name.as_str().into())));
        }
    }
}
