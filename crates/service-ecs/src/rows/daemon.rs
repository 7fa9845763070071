//! A managed daemon: one task of its newest revision on every host of its capacity providers.
//!
//! Its tasks are rows of their own, which name it and their revision. Its revisions and the history
//! of its deployments lie beside it, so that a change of the daemon stays small.

use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::Time;
use model_ecs as api;
use serde::{Deserialize, Serialize};

use crate::rows::cluster::ClusterKey;

/// Its cluster and its name.
pub type DaemonKey = (ClusterKey, Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DaemonStatus {
    Active,
    /// Deleted; its tasks are on their way out.
    DeleteInProgress,
    /// Deleted: it is nobody's any more, only its history is described, for a while.
    Deleted,
}

/// A revision that did well, and the capacity providers on whose hosts it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Good {
    pub revision: u64,
    pub providers: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Daemon {
    pub key: DaemonKey,
    pub status: DaemonStatus,
    pub created_at: Time,
    pub updated_at: Time,
    #[serde(default)]
    pub tags: Vec<api::Tag>,
    /// The token that it was created with, and the call's fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<(Arc<str>, u64)>,
    /// The revision that every host shall have.
    pub revision: u64,
    /// Whose hosts shall have it, by the providers' names.
    pub providers: Vec<Arc<str>>,
    /// Its newest deployment.
    pub deployment: Arc<str>,
    /// What a deployment that fails goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Good>,
    /// Its newest deployment has failed, and there was nothing to go back to: nothing more of it is
    /// started, and no host waits for it.
    #[serde(default)]
    pub given_up: bool,
    /// Tasks that failed since its newest deployment began, or turned back.
    #[serde(default)]
    pub failed_tasks: u32,
    /// Starts that failed, for the wait before the next.
    #[serde(default)]
    pub failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Time>,
    /// A host has no room for it.
    #[serde(default)]
    pub waiting: bool,
    /// When the want of room last counted as a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_at: Option<Time>,
    /// When time alone changes what is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_at: Option<Time>,
}

impl Daemon {
    pub fn name(&self) -> &str {
        &self.key.1
    }

    pub fn arn(&self) -> String {
        arn_of(&self.key)
    }

    /// Whether it stands, and hosts are to have it.
    pub fn is_active(&self) -> bool {
        self.status == DaemonStatus::Active
    }
}

pub fn arn_of((cluster, name): &DaemonKey) -> String {
    cluster.0.arn("ecs", format_args!("daemon/{}/{name}", cluster.1))
}

impl Row for Daemon {
    type Key = DaemonKey;
    const TABLE: &'static str = "ecs-daemons";

    fn key(&self) -> DaemonKey {
        self.key.clone()
    }

    fn wake_at(&self) -> Option<Time> {
        [self.look_at, self.forget_at].into_iter().flatten().min()
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<DaemonsOn>();
    }
}

/// Daemons by the capacity providers whose hosts have them or are to be rid of them.
pub struct DaemonsOn;

impl Index for DaemonsOn {
    type Row = Daemon;
    type Key = (ClusterKey, Arc<str>);

    fn keys(row: &Daemon, add: &mut dyn FnMut(Self::Key)) {
        if row.status != DaemonStatus::Deleted {
            row.providers.iter().for_each(|name| add((row.key.0.clone(), name.clone())));
        }
    }
}
