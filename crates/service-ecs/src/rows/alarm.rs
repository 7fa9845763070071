//! A CloudWatch alarm that is in ALARM, as far as deployments mind: those in another state are not
//! remembered.

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
    pub since: Time,
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
