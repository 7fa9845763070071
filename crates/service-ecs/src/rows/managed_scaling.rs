//! How large the Auto Scaling group behind a capacity provider shall be, for one cluster.
//!
//! AWS keeps this as a metric (`CapacityProviderReservation`), two alarms and a policy. Here it is one
//! row: what was seen, what follows from it, and why. Whoever keeps the group follows
//! `desired_size`, and tells how many instances it is starting.

use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::Time;
use serde::{Deserialize, Serialize};

use crate::rows::cluster::ClusterKey;

pub type ScalingKey = (ClusterKey, Arc<str>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManagedScaling {
    pub key: ScalingKey,
    /// Instances that the group is starting, and that have not registered yet.
    #[serde(default)]
    pub observed_starting: u32,
    /// AWS's M and N: instances that are needed, and that are there or about to be.
    pub needed: u32,
    pub there: u32,
    /// Of those that are there, the ones that have registered.
    #[serde(default)]
    pub registered: u32,
    /// AWS's `CapacityProviderReservation`, in hundredths of a percent.
    pub reservation: u32,
    pub desired_size: u32,
    /// Why it is of that size, for people.
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaled_out_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaled_in_at: Option<Time>,
    /// Since when it is larger than it needs to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_since: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_at: Option<Time>,
}

impl Row for ManagedScaling {
    type Key = ScalingKey;
    const TABLE: &'static str = "ecs-managed-scaling";

    fn key(&self) -> ScalingKey {
        self.key.clone()
    }

    fn wake_at(&self) -> Option<Time> {
        self.look_at
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<ScaledProviders>();
    }
}

/// The providers of a cluster that are scaled.
pub struct ScaledProviders;

impl Index for ScaledProviders {
    type Row = ManagedScaling;
    type Key = ClusterKey;

    fn keys(row: &ManagedScaling, add: &mut dyn FnMut(ClusterKey)) {
        add(row.key.0.clone());
    }
}
