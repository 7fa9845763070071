//! What a daemon may be asked for: defaults, limits, and what the two actions that say it share.

use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::State;
use core_step::{Call, Demand};
use core_types::Time;
use model_ecs::{self as api, errors};

use super::strategy::provider_name;
use super::{capacity_providers, daemon_task_definitions, task_definition, task_definitions};
use crate::rows::capacity_provider;
use crate::rows::cluster::ClusterKey;
use crate::rows::daemon::DaemonKey;
use crate::rows::daemon_history::DaemonRevision;

/// AWS: twenty capacity providers a cluster.
const MOST_PROVIDERS: usize = 20;
const MOST_ALARMS: usize = 100;
/// AWS: where nothing else is asked for.
const DRAIN_PERCENT: f64 = 25.0;
/// AWS: a day.
const LONGEST_BAKE: i32 = 1440;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// AWS: up to 255 letters, digits, hyphens and underscores.
pub fn check_name(name: &str) -> Result<(), ApiError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 255 || !name.bytes().all(good) {
        return Err(invalid("Invalid daemon name"));
    }
    Ok(())
}

/// The names of the providers that a call lists: they stand, are of managed instances, and are the
/// cluster's.
pub fn providers(
    state: &State,
    cluster: &ClusterKey,
    given: Option<&[String]>,
) -> Result<Vec<Arc<str>>, ApiError> {
    let given = given.unwrap_or_default();
    if given.is_empty() || given.len() > MOST_PROVIDERS {
        return Err(invalid(format!(
            "capacityProviderArns must have between 1 and {MOST_PROVIDERS} elements."
        )));
    }
    let mut names: Vec<Arc<str>> = Vec::new();
    for one in given {
        let name = provider_name(one);
        let unsupported = || {
            errors::unsupported_feature_exception(
                "Managed daemons are only supported for Amazon ECS Managed Instances capacity \
                 providers.",
            )
        };
        if super::strategy::BUILT_IN.contains(&name) {
            return Err(unsupported());
        }
        let row = capacity_providers::find(state, cluster.0, one)?;
        if row.managed_instances.is_none() {
            return Err(unsupported());
        }
        if row.cluster.as_ref() != Some(&cluster.1) {
            return Err(invalid(format!(
                "The capacity provider {name} is not associated with the cluster {}.",
                cluster.1
            )));
        }
        if names.iter().any(|there| **there == *name) {
            return Err(invalid(format!("The capacity provider {name} is specified twice.")));
        }
        names.push(name.into());
    }
    Ok(names)
}

/// A configuration with AWS's defaults in it.
pub fn configuration(
    given: Option<api::DaemonDeploymentConfiguration>,
) -> Result<api::DaemonDeploymentConfiguration, ApiError> {
    let mut all = given.unwrap_or_default();
    let percent = *all.drain_percent.get_or_insert(DRAIN_PERCENT);
    if !(0.0..=100.0).contains(&percent) {
        return Err(invalid("drainPercent must be between 0.0 and 100.0."));
    }
    let bake = *all.bake_time_in_minutes.get_or_insert(0);
    if !(0..=LONGEST_BAKE).contains(&bake) {
        return Err(invalid(format!("bakeTimeInMinutes must be between 0 and {LONGEST_BAKE}.")));
    }
    let alarms = all.alarms.get_or_insert_default();
    let enabled = *alarms.enable.get_or_insert(false);
    let names = alarms.alarm_names.get_or_insert_default();
    if names.len() > MOST_ALARMS || names.iter().any(|name| name.is_empty() || name.len() > 255) {
        return Err(invalid("alarmNames is invalid."));
    }
    if enabled && names.is_empty() {
        return Err(invalid("alarmNames cannot be empty when alarms are enabled."));
    }
    Ok(all)
}

pub fn propagate(given: Option<&api::DaemonPropagateTags>) -> Result<bool, ApiError> {
    match given.map(|from| from.as_str()) {
        None | Some("NONE") => Ok(false),
        Some("DAEMON") => Ok(true),
        Some(_) => Err(invalid("propagateTags should be one of [DAEMON,NONE]")),
    }
}

/// What CreateDaemon and UpdateDaemon both say.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub definition: Option<&'a str>,
    pub providers: Option<&'a [String]>,
    pub critical: Option<bool>,
    pub managed_tags: Option<bool>,
    pub exec_enabled: Option<bool>,
    pub propagate: Option<&'a api::DaemonPropagateTags>,
}

impl Given<'_> {
    /// The revision that is asked for, without its number.
    ///
    /// AWS: what an update does not say goes back to its default.
    pub fn revision(
        &self,
        state: &State,
        call: &Call,
        key: &DaemonKey,
        now: Time,
    ) -> Result<DaemonRevision, ApiError> {
        let name = self.definition.unwrap_or_default();
        let row = daemon_task_definitions::find(state, call, name)?;
        if !row.active() {
            return Err(task_definition::refuse(
                "The specified daemon task definition is inactive.",
            ));
        }
        Ok(DaemonRevision {
            key: (key.clone(), 0),
            created_at: now,
            family: row.key.1.clone(),
            revision: row.key.2,
            definition: daemon_task_definitions::as_task(&row.definition, call.account())?,
            critical: self.critical.unwrap_or(true),
            managed_tags: self.managed_tags.unwrap_or_default(),
            exec_enabled: self.exec_enabled.unwrap_or_default(),
            propagate: propagate(self.propagate)?,
        })
    }

    /// The condition keys of the two actions, and the permissions to pass the definition's roles.
    pub fn demands(&self, demand: Demand, state: &State, call: &Call) -> Vec<Demand> {
        let name = self.definition.unwrap_or_default();
        let row = daemon_task_definitions::look_up(state, call, name);
        let arn = row.map_or_else(|| name.to_owned(), |row| row.arn());
        let names = self.providers.unwrap_or_default().iter();
        let arns = names.map(|one| capacity_provider::arn_of(call.scope(), provider_name(one)));
        let mut demand = demand
            .with("ecs:daemon-task-definition", arn)
            .with_all("ecs:capacity-provider", arns.collect());
        for (key, given) in [
            ("ecs:enable-ecs-managed-tags", self.managed_tags),
            ("ecs:enable-execute-command", self.exec_enabled),
        ] {
            if let Some(given) = given {
                demand = demand.with(key, given.to_string());
            }
        }
        if let Some(from) = self.propagate {
            demand = demand.with("ecs:propagate-tags", from.as_str());
        }
        let Some(row) = row else { return vec![demand] };
        let shown = &row.definition;
        let demand =
            task_definitions::with_sizes(demand, shown.cpu.as_deref(), shown.memory.as_deref());
        let roles = [&shown.task_role_arn, &shown.execution_role_arn];
        let roles = roles.into_iter().flatten().cloned();
        [demand].into_iter().chain(roles.map(task_definitions::pass_role)).collect()
    }
}
