//! A client token of RunTask, with the tasks that the first call under it started.

use std::sync::Arc;

use core_state::Row;
use core_types::{Id128, Time};
use serde::{Deserialize, Serialize};

use crate::rows::cluster::ClusterKey;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunToken {
    pub key: (ClusterKey, Arc<str>),
    /// Tells another request under the same token from the same one again.
    pub fingerprint: u64,
    pub tasks: Vec<Id128>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_at: Option<Time>,
}

impl Row for RunToken {
    type Key = (ClusterKey, Arc<str>);
    const TABLE: &'static str = "ecs-run-tokens";

    fn key(&self) -> Self::Key {
        self.key.clone()
    }

    fn wake_at(&self) -> Option<Time> {
        self.forget_at
    }
}
