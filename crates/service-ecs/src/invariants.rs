//! What must hold in every state of the slice.

use core_state::{RowKey, State};
use core_step::Invariant;
use core_task::{Desired, TaskStatus};

use crate::rows::cluster::{Cluster, ClusterStatus};
use crate::rows::container_instance::{ContainerInstance, InstanceStatus};
use crate::rows::daemon::{Daemon, DaemonStatus};
use crate::rows::daemon_history::{DaemonDeployment, DaemonRevision};
use crate::rows::daemon_task_definition::{DaemonFamily, DaemonTaskDefinition};
use crate::rows::service::{Controller, Service, ServiceStatus};
use crate::rows::service_history::{DeploymentRecord, ServiceRevision};
use crate::rows::task::{HostPorts, Task};
use crate::rows::task_definition::{Family, Status, TaskDefinition};
use crate::rules::strategy::BUILT_IN;
use crate::rules::{attributes, pictures, pools, shifts, task_sets};

pub const INVARIANTS: &[Invariant] = &[
    Invariant { name: "ecs/families-count-their-revisions", check: families },
    Invariant { name: "ecs/daemon-families-count-their-revisions", check: daemon_families },
    Invariant { name: "ecs/task-definitions-say-what-their-key-says", check: definitions },
    Invariant { name: "ecs/clusters-have-the-providers-they-use", check: clusters },
    Invariant { name: "ecs/instances-are-in-clusters-that-stand", check: instances },
    Invariant { name: "ecs/tasks-are-where-they-say", check: tasks },
    Invariant { name: "ecs/ports-of-hosts-are-held-once", check: ports },
    Invariant { name: "ecs/kept-pools-are-as-their-rows", check: pools::check },
    Invariant { name: "ecs/kept-pictures-are-as-their-rows", check: pictures::check },
    Invariant { name: "ecs/services-have-what-they-deploy", check: services },
    Invariant { name: "ecs/daemons-have-what-they-deploy", check: daemons },
];

fn families(state: &State, tell: &mut dyn FnMut(String)) {
    for family in state.all::<Family>() {
        let (scope, name) = &family.key;
        let (mut active, mut inactive) = (0, 0);
        let rows = state.scan::<TaskDefinition>((*scope, name.clone(), 0));
        for row in rows.take_while(|row| (&row.key.0, &row.key.1) == (scope, name)) {
            if row.key.2 > family.last_revision {
                tell(format!("{name} has revision {} beyond its last", row.key.2));
            }
            active += u32::from(row.status == Status::Active);
            inactive += u32::from(row.status == Status::Inactive);
        }
        if (active, inactive) != (family.active, family.inactive) {
            tell(format!(
                "{name} counts {} ACTIVE and {} INACTIVE of {active} and {inactive}",
                family.active, family.inactive
            ));
        }
    }
}

fn daemon_families(state: &State, tell: &mut dyn FnMut(String)) {
    for row in state.all::<DaemonTaskDefinition>() {
        let family = state.get::<DaemonFamily>(&(row.key.0, row.key.1.clone()));
        if family.is_none_or(|family| family.last_revision < row.key.2) {
            tell(format!("{} is beyond its family's last revision", row.arn()));
        }
    }
}

fn definitions(state: &State, tell: &mut dyn FnMut(String)) {
    for row in state.all::<TaskDefinition>() {
        let (scope, family, revision) = &row.key;
        let shown = &row.definition;
        let same = shown.family.as_deref() == Some(family)
            && shown.revision.and_then(|n| u32::try_from(n).ok()) == Some(*revision)
            && shown.task_definition_arn.as_deref() == Some(row.arn().as_str());
        if !same {
            tell(format!("{} shows another name", row.arn()));
        }
        if state.get::<Family>(&(*scope, family.clone())).is_none() {
            tell(format!("{} has no family", row.arn()));
        }
        let deleted = row.status == Status::DeleteInProgress;
        if deleted != row.forget_at.is_some() {
            tell(format!("{} is {:?} and forgotten at {:?}", row.arn(), row.status, row.forget_at));
        }
    }
}

fn clusters(state: &State, tell: &mut dyn FnMut(String)) {
    for cluster in state.all::<Cluster>() {
        let inactive = cluster.status == ClusterStatus::Inactive;
        if inactive != cluster.forget_at.is_some() {
            tell(format!(
                "{} is {:?} and forgotten at {:?}",
                cluster.arn(),
                cluster.status,
                cluster.forget_at
            ));
        }
        for item in &cluster.default_strategy {
            let name = item.capacity_provider.as_deref().unwrap_or_default();
            if !cluster.capacity_providers.iter().any(|has| has == name) {
                tell(format!("{} uses {name}, which it does not have", cluster.arn()));
            }
        }
        for name in cluster.capacity_providers.iter().filter(|_| !inactive) {
            let key = (cluster.key.0, name.as_str().into());
            let row = state.get::<crate::rows::capacity_provider::CapacityProvider>(&key);
            if !BUILT_IN.contains(&name.as_str()) && !row.is_some_and(|row| row.active) {
                tell(format!("{} has {name}, which is not there", cluster.arn()));
            }
        }
    }
}

fn instances(state: &State, tell: &mut dyn FnMut(String)) {
    for row in state.all::<ContainerInstance>() {
        let inactive = row.status == InstanceStatus::Inactive;
        if inactive != row.forget_at.is_some() {
            tell(format!("{} is {:?} and forgotten at {:?}", row.arn(), row.status, row.forget_at));
        }
        let cluster = state.get::<Cluster>(&row.cluster);
        let stands = cluster.is_some_and(|cluster| cluster.status == ClusterStatus::Active);
        if !inactive && !stands {
            tell(format!("{} is in a cluster that does not stand", row.arn()));
        }
        if row.custom_attributes.len() > attributes::MOST {
            tell(format!("{} has too many custom attributes", row.arn()));
        }
    }
}

fn tasks(state: &State, tell: &mut dyn FnMut(String)) {
    for row in state.all::<Task>() {
        let id = row.id;
        if row.given_up && !row.is_stopped() {
            tell(format!("task {id} was given up and has not stopped"));
        }
        let provisioning = row.observed_status == TaskStatus::Provisioning;
        if provisioning && row.host.is_none() && row.waiting().is_none() {
            tell(format!("task {id} is nowhere and waits for nothing"));
        }
        if row.is_stopped() && row.desired_status == Desired::Running {
            tell(format!("task {id} has stopped and is wanted running"));
        }
        let host = row.host.and_then(|host| state.get::<ContainerInstance>(&host));
        match (row.host, host) {
            (Some(_), Some(host)) if host.cluster.0 != row.cluster.0 => {
                tell(format!("task {id} is on a host of another account or region"));
            }
            (Some(_), Some(host))
                if host.status == InstanceStatus::Inactive && !row.is_stopped() =>
            {
                tell(format!("task {id} runs on a host that was deregistered"));
            }
            (Some(_), None) if !row.is_stopped() => {
                tell(format!("task {id} runs on a host that is not there"));
            }
            _ => {}
        }
    }
}

fn ports(state: &State, tell: &mut dyn FnMut(String)) {
    for ((host, udp, port), held) in state.sums::<HostPorts>(RowKey::least()) {
        if held != 1 {
            let kind = if *udp { "UDP" } else { "TCP" };
            tell(format!("{kind} port {port} of host {host} is held {held} times"));
        }
    }
}

fn daemons(state: &State, tell: &mut dyn FnMut(String)) {
    for row in state.all::<Daemon>() {
        let arn = row.arn();
        if state.get::<DaemonRevision>(&(row.key.clone(), row.revision)).is_none() {
            tell(format!("{arn} deploys a revision that is not there"));
        }
        let record = (row.key.clone(), row.deployment.clone());
        if state.get::<DaemonDeployment>(&record).is_none() {
            tell(format!("{arn} has a deployment that no record knows"));
        }
        let deleted = row.status == DaemonStatus::Deleted;
        if deleted != row.forget_at.is_some() {
            tell(format!("{arn} is {:?} and forgotten at {:?}", row.status, row.forget_at));
        }
    }
    for task in state.all::<Task>().filter(|task| !task.is_stopped()) {
        let Some(of) = task.daemon() else { continue };
        let daemon = (task.cluster.clone(), of.name.clone());
        if state.get::<DaemonRevision>(&(daemon, of.revision)).is_none() {
            tell(format!("task {} runs a daemon's revision that is not there", task.id));
        }
    }
}

fn services(state: &State, tell: &mut dyn FnMut(String)) {
    for row in state.all::<Service>() {
        let arn = row.arn();
        let rolled = row.controller == Controller::Ecs && row.status == ServiceStatus::Active;
        if rolled && row.deployments.is_empty() {
            tell(format!("{arn} has nothing to deploy"));
        }
        let sets = task_sets::all(state, &row.key).count();
        let alien = if row.controller.has_task_sets() { row.deployments.len() } else { sets };
        if alien > 0 {
            tell(format!("{arn} has {sets} task sets beside deployments"));
        }
        for one in &row.deployments {
            if state.get::<ServiceRevision>(&(row.key.clone(), one.revision)).is_none() {
                tell(format!("{arn} deploys a revision that is not there"));
            }
            let record = (row.key.clone(), one.record.clone());
            if state.get::<DeploymentRecord>(&record).is_none() {
                tell(format!("{arn} has a deployment that no record knows"));
            }
        }
        if let Some((_, progress)) = shifts::governing(state, row) {
            let there = |id: &std::sync::Arc<str>| row.deployments.iter().any(|one| one.id == *id);
            if !there(&progress.newer) || !progress.older.as_ref().is_none_or(there) {
                tell(format!("{arn} moves traffic of a deployment that is not there"));
            }
        }
        let inactive = row.status == ServiceStatus::Inactive;
        if inactive != row.forget_at.is_some() {
            tell(format!("{arn} is {:?} and forgotten at {:?}", row.status, row.forget_at));
        }
        let cluster = state.get::<Cluster>(&row.key.0);
        let stands = cluster.is_some_and(|cluster| cluster.status == ClusterStatus::Active);
        if !inactive && !stands {
            tell(format!("{arn} is in a cluster that does not stand"));
        }
    }
    for task in state.all::<Task>().filter(|task| !task.noted) {
        if let Some(name) = &task.service
            && state.get::<Service>(&(task.cluster.clone(), name.clone())).is_none()
        {
            tell(format!("{} is of a service that is not there", task.arn()));
        }
    }
}
