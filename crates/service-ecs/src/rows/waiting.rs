//! Tasks that no instance has room for, and whose capacity provider is scaled so that one will.

use std::sync::Arc;

use core_state::{Index, Tally};
use core_types::Time;
use model_ecs as api;
use serde::{Deserialize, Serialize};

use super::task::Task;
use crate::rows::cluster::ClusterKey;
use crate::rules::interfaces::Wanted;

/// What its placement needs that its definition and its service do not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// When it is given up.
    pub until: Time,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<api::PlacementConstraint>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strategy: Vec<api::PlacementStrategy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Wanted>,
}

/// A cluster's capacity provider.
pub type ProviderKey = (ClusterKey, Arc<str>);

/// Tasks that wait for a provider's instances, the oldest first.
pub struct WaitingTasks;

impl Index for WaitingTasks {
    type Row = Task;
    type Key = (ProviderKey, Time);

    fn keys(row: &Task, add: &mut dyn FnMut(Self::Key)) {
        if let (Some(_), Some(provider)) = (row.waiting(), row.provider()) {
            add(((row.cluster.clone(), provider.clone()), row.created_at));
        }
    }
}

/// How many tasks of a cluster wait so.
pub struct WaitingIn;

impl Tally for WaitingIn {
    type Row = Task;
    type Key = ClusterKey;
    type Sum = i64;

    fn counts(row: &Task, add: &mut dyn FnMut(ClusterKey, i64)) {
        if row.waiting().is_some() {
            add(row.cluster.clone(), 1);
        }
    }
}
