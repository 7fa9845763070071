//! What has tags, found by its ARN.

use aws_protocol::ApiError;
use core_state::{State, Tx};
use core_step::Call;
use core_types::{Arn, Id128};
use model_ecs::{self as api, errors};

use super::daemon_task_definitions as daemons;
use super::task_definition::Reference;
use crate::rows::capacity_provider::{CapacityProvider, CapacityProviderKey};
use crate::rows::cluster::{Cluster, ClusterKey, ClusterStatus};
use crate::rows::container_instance::{ContainerInstance, InstanceStatus};
use crate::rows::daemon::{Daemon, DaemonKey, DaemonStatus};
use crate::rows::daemon_task_definition::DaemonTaskDefinition;
use crate::rows::service::{Service, ServiceKey, ServiceStatus};
use crate::rows::task::Task;
use crate::rows::task_definition::{Status, TaskDefinition, TaskDefinitionKey};
use crate::rows::task_set::{TaskSet, TaskSetKey};

/// A row with tags.
pub enum Tagged {
    Cluster(ClusterKey),
    TaskDefinition(TaskDefinitionKey),
    DaemonTaskDefinition(TaskDefinitionKey),
    CapacityProvider(CapacityProviderKey),
    ContainerInstance(Id128),
    Task(Id128),
    Service(ServiceKey),
    Daemon(DaemonKey),
    TaskSet(TaskSetKey),
}

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

fn inactive(what: &str) -> ApiError {
    invalid(format!("The specified {what} is inactive. Specify an active {what} and try again."))
}

fn missing(what: &str) -> ApiError {
    invalid(format!("The specified {what} is not found. Specify a valid {what} and try again."))
}

/// The row that an ARN names, or AWS's error.
pub fn find(state: &State, call: &Call, given: &str) -> Result<Tagged, ApiError> {
    let bad = || invalid("The ARN provided is invalid.");
    let arn = Arn::parse(given).map_err(|_| bad())?;
    if arn.service != "ecs" {
        return Err(bad());
    }
    let scope = call.scope();
    let here = arn.account.parse() == Ok(scope.account) && arn.region.parse() == Ok(scope.region);
    let (kind, rest) = arn.resource.split_once('/').ok_or_else(bad)?;
    match kind {
        "cluster" => {
            let key = (scope, rest.into());
            let row = state.get::<Cluster>(&key).filter(|_| here);
            let row =
                row.ok_or_else(|| errors::cluster_not_found_exception("Cluster not found."))?;
            if row.status == ClusterStatus::Inactive {
                return Err(inactive("cluster"));
            }
            Ok(Tagged::Cluster(key))
        }
        "task-definition" => {
            let reference = Reference::of_call(given, call).ok_or_else(bad)?;
            let revision = reference.revision.ok_or_else(bad)?;
            let key = (scope, reference.family.into(), revision);
            let row = state.get::<TaskDefinition>(&key).filter(|_| here);
            match row.ok_or_else(|| missing("task definition"))?.status {
                Status::Active => Ok(Tagged::TaskDefinition(key)),
                Status::Inactive | Status::DeleteInProgress => Err(inactive("task definition")),
            }
        }
        "daemon-task-definition" => {
            let row = daemons::look_up(state, call, given).filter(|_| here);
            let row = row.ok_or_else(|| missing("daemon task definition"))?;
            match row.active() {
                true => Ok(Tagged::DaemonTaskDefinition(row.key.clone())),
                false => Err(inactive("daemon task definition")),
            }
        }
        "capacity-provider" => {
            let key = (scope, rest.into());
            let row = state.get::<CapacityProvider>(&key).filter(|_| here);
            match row.ok_or_else(|| missing("capacity provider"))?.active {
                true => Ok(Tagged::CapacityProvider(key)),
                false => Err(inactive("capacity provider")),
            }
        }
        "container-instance" | "task" | "service" | "task-set" | "daemon" => {
            placed(state, call, kind, rest, here)
        }
        _ => Err(bad()),
    }
}

/// What lives in a cluster. AWS: only the long ARNs, with the cluster in them, take tags.
fn placed(
    state: &State,
    call: &Call,
    kind: &str,
    rest: &str,
    here: bool,
) -> Result<Tagged, ApiError> {
    let long = || invalid("Long arn format must be used for tagging operations");
    let (cluster, id) = rest.split_once('/').ok_or_else(long)?;
    let cluster: ClusterKey = (call.scope(), cluster.into());
    if kind == "service" {
        let key: ServiceKey = (cluster, id.into());
        let row = state.get::<Service>(&key).filter(|_| here);
        return match row.ok_or_else(|| missing("service"))?.status {
            ServiceStatus::Inactive => Err(inactive("service")),
            ServiceStatus::Active | ServiceStatus::Draining => Ok(Tagged::Service(key)),
        };
    }
    if kind == "daemon" {
        let key: DaemonKey = (cluster, id.into());
        let row = state.get::<Daemon>(&key).filter(|_| here);
        return match row.ok_or_else(|| missing("daemon"))?.status {
            DaemonStatus::Deleted => Err(missing("daemon")),
            DaemonStatus::DeleteInProgress => Err(inactive("daemon")),
            DaemonStatus::Active => Ok(Tagged::Daemon(key)),
        };
    }
    if kind == "task-set" {
        let (service, id) = id.split_once('/').ok_or_else(long)?;
        let key: TaskSetKey = ((cluster, service.into()), id.into());
        let row = state.get::<TaskSet>(&key).filter(|_| here);
        return row.map(|_| Tagged::TaskSet(key)).ok_or_else(|| missing("task set"));
    }
    let id: Option<Id128> = id.parse().ok().filter(|_| here);
    match kind {
        "container-instance" => {
            let row = id.and_then(|id| state.get::<ContainerInstance>(&id));
            let row = row.filter(|row| row.cluster == cluster);
            let row = row.ok_or_else(|| missing("container instance"))?;
            match row.status {
                InstanceStatus::Inactive => Err(inactive("container instance")),
                _ => Ok(Tagged::ContainerInstance(row.id)),
            }
        }
        "task" => {
            let row = id.and_then(|id| state.get::<Task>(&id)).filter(|t| t.cluster == cluster);
            row.map(|row| Tagged::Task(row.id)).ok_or_else(|| missing("task"))
        }
        _ => Err(missing(kind)),
    }
}

/// The tags as they stand.
pub fn tags<'s>(state: &'s State, of: &Tagged) -> &'s [api::Tag] {
    let tags = match of {
        Tagged::Cluster(key) => state.get::<Cluster>(key).map(|row| &row.tags),
        Tagged::TaskDefinition(key) => state.get::<TaskDefinition>(key).map(|row| &row.tags),
        Tagged::DaemonTaskDefinition(key) => {
            state.get::<DaemonTaskDefinition>(key).map(|row| &row.tags)
        }
        Tagged::CapacityProvider(key) => state.get::<CapacityProvider>(key).map(|row| &row.tags),
        Tagged::ContainerInstance(id) => state.get::<ContainerInstance>(id).map(|row| &row.tags),
        Tagged::TaskSet(key) => state.get::<TaskSet>(key).map(|row| &row.tags),
        Tagged::Daemon(key) => state.get::<Daemon>(key).map(|row| &row.tags),
        Tagged::Service(key) => state.get::<Service>(key).map(|row| &row.tags),
        Tagged::Task(id) => {
            let extras = state.get::<Task>(id).and_then(|row| row.extras.as_ref());
            extras.map(|extras| &extras.tags)
        }
    };
    tags.map(Vec::as_slice).unwrap_or_default()
}

pub fn set(tx: &mut Tx<'_>, of: &Tagged, tags: Vec<api::Tag>) {
    match of {
        Tagged::Cluster(key) => tx.edit::<Cluster>(key, |row| row.tags = tags),
        Tagged::TaskDefinition(key) => tx.edit::<TaskDefinition>(key, |row| row.tags = tags),
        Tagged::DaemonTaskDefinition(key) => {
            tx.edit::<DaemonTaskDefinition>(key, |row| row.tags = tags)
        }
        Tagged::CapacityProvider(key) => tx.edit::<CapacityProvider>(key, |row| row.tags = tags),
        Tagged::ContainerInstance(id) => tx.edit::<ContainerInstance>(id, |row| row.tags = tags),
        Tagged::TaskSet(key) => tx.edit::<TaskSet>(key, |row| row.tags = tags),
        Tagged::Daemon(key) => tx.edit::<Daemon>(key, |row| row.tags = tags),
        Tagged::Service(key) => tx.edit::<Service>(key, |row| row.tags = tags),
        Tagged::Task(id) => {
            tx.edit::<Task>(id, |row| row.extras.get_or_insert_default().tags = tags)
        }
    };
}
