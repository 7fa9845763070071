//! A capacity provider of the account's own; FARGATE and FARGATE_SPOT are built in.

use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{Scope, Time};
use model_ecs as api;
use serde::{Deserialize, Serialize};

pub type CapacityProviderKey = (Scope, Arc<str>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapacityProvider {
    pub key: CapacityProviderKey,
    /// False once it is deleted: then it is only described, for a while.
    pub active: bool,
    /// AWS: absent until something is asked of a provider that stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_status: Option<api::CapacityProviderUpdateStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_scaling_group: Option<api::AutoScalingGroupProvider>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_instances: Option<api::ManagedInstancesProvider>,
    /// The cluster that a provider of managed instances belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Arc<str>>,
    #[serde(default)]
    pub tags: Vec<api::Tag>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_at: Option<Time>,
}

impl CapacityProvider {
    pub fn name(&self) -> &str {
        &self.key.1
    }

    pub fn arn(&self) -> String {
        arn_of(self.key.0, &self.key.1)
    }
}

pub fn arn_of(scope: Scope, name: &str) -> String {
    scope.arn("ecs", format_args!("capacity-provider/{name}"))
}

impl Row for CapacityProvider {
    type Key = CapacityProviderKey;
    const TABLE: &'static str = "ecs-capacity-providers";

    fn key(&self) -> CapacityProviderKey {
        self.key.clone()
    }

    fn wake_at(&self) -> Option<Time> {
        self.forget_at
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<ProvidersOf>();
    }
}

/// All that are described: those of the account, or of one cluster.
pub struct ProvidersOf;

impl Index for ProvidersOf {
    type Row = CapacityProvider;
    type Key = (Scope, Option<Arc<str>>);

    fn keys(row: &CapacityProvider, add: &mut dyn FnMut(Self::Key)) {
        add((row.key.0, None));
        if let Some(cluster) = &row.cluster {
            add((row.key.0, Some(cluster.clone())));
        }
    }
}
