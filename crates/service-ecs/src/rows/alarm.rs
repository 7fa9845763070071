//! A CloudWatch alarm, as far as deployments mind: whether it is in ALARM, and over which span of time
//! it looks. Of one that is neither known to ring nor to look back nothing is remembered.

use std::sync::Arc;

use core_state::Row;
use core_types::{Scope, Time};
use model_ecs as api;
use serde::{Deserialize, Serialize};

/// Its account and region, and its name.
pub type AlarmKey = (Scope, Arc<str>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    pub key: AlarmKey,
    /// Since when it is in ALARM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Its periods together, in seconds: what goes wrong now shows by then at the latest.
    #[serde(default)]
    pub span: u32,
}

impl Row for Alarm {
    type Key = AlarmKey;
    const TABLE: &'static str = "ecs-alarms";

    fn key(&self) -> AlarmKey {
        self.key.clone()
    }
}

/// The names of those that a configuration has switched on.
pub fn watched(configuration: &api::DeploymentConfiguration) -> &[String] {
    let alarms = configuration.alarms.as_ref().filter(|alarms| alarms.enable == Some(true));
    alarms.and_then(|alarms| alarms.alarm_names.as_deref()).unwrap_or_default()
}
