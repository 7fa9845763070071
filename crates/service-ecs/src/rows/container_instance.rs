//! A container instance: a host that has registered into a cluster.

use std::sync::Arc;

use core_state::{Declare, Index, Row, RowKey, Tally, Trace};
use core_types::{Id128, Scope, Time};
use model_ecs as api;
use serde::{Deserialize, Serialize};

use crate::rows::cluster::ClusterKey;
use crate::rows::service::fargate_of;
use crate::rows::service_tasks::ServiceHost;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InstanceStatus {
    Active,
    Draining,
    /// Deregistered: only described, for a while.
    Inactive,
}

impl InstanceStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            InstanceStatus::Active => "ACTIVE",
            InstanceStatus::Draining => "DRAINING",
            InstanceStatus::Inactive => "INACTIVE",
        }
    }
}

impl RowKey for InstanceStatus {
    fn least() -> Self {
        InstanceStatus::Active
    }
}

/// Why an instance of a capacity provider takes no tasks but daemons' now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Awaits {
    /// It is new, and its critical daemons do not run yet.
    First,
    /// A deployment puts another revision of a critical daemon on it.
    Next,
    /// A critical daemon that it had has failed: it drains until it has it again.
    Again,
}

/// What its group's lifecycle hook waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminating {
    /// When the hook waits no longer.
    pub until: Time,
    /// Nothing is left on it that was waited for: it may go.
    pub ready: bool,
}

/// A check that the agent makes of its instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub status: String,
    pub at: Time,
    /// When the status last changed.
    pub since: Time,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerInstance {
    pub id: Id128,
    pub cluster: ClusterKey,
    pub status: InstanceStatus,
    /// From its identity document; hosts elsewhere have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ec2_instance_id: Option<Arc<str>>,
    pub registered_at: Time,
    /// Rises with each change that AWS tells by events.
    pub version: u64,
    /// What the agent told when it registered; it must get every one of them back.
    pub agent_attributes: Vec<api::Attribute>,
    /// What users have put.
    #[serde(default)]
    pub custom_attributes: Vec<api::Attribute>,
    pub resources: Vec<api::Resource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_info: Option<api::VersionInfo>,
    #[serde(default)]
    pub tags: Vec<api::Tag>,
    /// Whether its agent's connection stands. Written by what serves the agents.
    #[serde(default)]
    pub observed_connected: bool,
    /// The connection that stands, or stood last; they are numbered upwards.
    #[serde(default)]
    pub observed_session: u64,
    /// When a host that does not answer is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_at: Option<Time>,
    /// Whose it is: who registered it, and speaks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_by: Option<Arc<str>>,
    /// The token that it registered with: a repeat of the call is the same instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<Arc<str>>,
    /// GPUs, by their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_update: Option<Arc<str>>,
    /// What its agent says of its own health.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_checks: Vec<Check>,
    /// The capacity provider whose it says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_provider: Option<Arc<str>>,
    /// What keeps it from taking tasks, beside its status. Written by daemons' loops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<Awaits>,
    /// Its Auto Scaling group is about to terminate it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminating: Option<Terminating>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_at: Option<Time>,
}

impl ContainerInstance {
    pub fn arn(&self) -> String {
        arn_of(&self.cluster, self.id)
    }

    /// Every attribute; what users have put hides what the agent told by the same name.
    pub fn attributes(&self) -> impl Iterator<Item = &api::Attribute> {
        let custom = &self.custom_attributes;
        let hidden = move |told: &&api::Attribute| !custom.iter().any(|put| put.name == told.name);
        self.agent_attributes.iter().filter(hidden).chain(custom)
    }
}

/// What a host says whose machine is of a capacity provider: the provider's name.
pub const PROVIDER: &str = "wharf.capacity-provider";

/// What a host says that runs Fargate's tasks; with the value `only` it runs no others, and is
/// shown to nobody.
pub const FARGATE: &str = "wharf.fargate";

impl ContainerInstance {
    /// Whether any task may be placed on it.
    pub fn takes_tasks(&self) -> bool {
        self.status == InstanceStatus::Active && self.awaits.is_none()
    }

    /// Whether somebody has asked for it to be drained.
    pub fn is_leaving(&self) -> bool {
        self.status == InstanceStatus::Draining && self.awaits.is_none()
    }

    /// AWS: an instance is REGISTERING until its critical daemons run, and one that a deployment of
    /// a daemon has in hand is DRAINING.
    pub fn shown_status(&self) -> &'static str {
        match (self.status, self.awaits) {
            (InstanceStatus::Active, Some(Awaits::First)) => "REGISTERING",
            (InstanceStatus::Active, Some(Awaits::Next | Awaits::Again)) => "DRAINING",
            (status, _) => status.as_str(),
        }
    }

    /// The value of the attribute that puts it into Fargate's pool.
    pub fn fargate(&self) -> Option<&str> {
        let found = self.agent_attributes.iter().find(|a| a.name.as_deref() == Some(FARGATE))?;
        Some(found.value.as_deref().unwrap_or_default())
    }

    pub fn serves_fargate(&self) -> bool {
        let name = Some("ecs.capability.task-eni");
        let able = self.agent_attributes.iter().any(|attribute| attribute.name.as_deref() == name);
        self.fargate().is_some() || able && !self.is_external()
    }

    pub fn zone(&self) -> Option<&str> {
        let name = Some("ecs.availability-zone");
        self.attributes().find(|one| one.name.as_deref() == name)?.value.as_deref()
    }

    pub fn is_hidden(&self) -> bool {
        self.fargate() == Some("only")
    }

    /// AWS: hosts elsewhere (ECS Anywhere) say so by an attribute.
    pub fn is_external(&self) -> bool {
        let name = Some("ecs.capability.external");
        self.agent_attributes.iter().any(|attribute| attribute.name.as_deref() == name)
    }
}

/// AWS's long form, with the cluster in it.
pub fn arn_of(cluster: &ClusterKey, id: Id128) -> String {
    let (scope, name) = cluster;
    scope.arn("ecs", format_args!("container-instance/{name}/{id}"))
}

impl Row for ContainerInstance {
    type Key = Id128;
    const TABLE: &'static str = "ecs-container-instances";

    fn key(&self) -> Id128 {
        self.id
    }

    fn wake_at(&self) -> Option<Time> {
        let until = self.terminating.filter(|one| !one.ready).map(|one| one.until);
        [self.forget_at, self.lost_at, until].into_iter().flatten().min()
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<InstancesIn>();
        declare.index::<InstanceOfMachine>();
        declare.index::<InstanceOfToken>();
        declare.index::<FargatePool>();
        declare.index::<FargateApart>();
        declare.index::<ConnectedInstances>();
        declare.index::<AwaitingInstances>();
        declare.index::<InstancesOfProvider>();
        declare.tally::<ClusterInstances>();
        declare.tally::<OpenZones>();
        declare.trace::<InstanceChanged>();
        declare.trace::<ServiceHost>();
    }
}

/// Registered instances of a cluster, INACTIVE and hidden ones left out.
pub struct InstancesIn;

impl Index for InstancesIn {
    type Row = ContainerInstance;
    type Key = ClusterKey;

    fn keys(row: &ContainerInstance, add: &mut dyn FnMut(ClusterKey)) {
        if row.status != InstanceStatus::Inactive && !row.is_hidden() {
            add(row.cluster.clone());
        }
    }
}

/// The registration of a machine, by its instance id.
pub struct InstanceOfMachine;

impl Index for InstanceOfMachine {
    type Row = ContainerInstance;
    type Key = (ClusterKey, Arc<str>);

    fn keys(row: &ContainerInstance, add: &mut dyn FnMut(Self::Key)) {
        if let (Some(machine), true) =
            (&row.ec2_instance_id, row.status != InstanceStatus::Inactive)
        {
            add((row.cluster.clone(), machine.clone()));
        }
    }
}

/// The registration that a client token made.
pub struct InstanceOfToken;

impl Index for InstanceOfToken {
    type Row = ContainerInstance;
    type Key = (ClusterKey, Arc<str>);

    fn keys(row: &ContainerInstance, add: &mut dyn FnMut(Self::Key)) {
        if let (Some(token), true) = (&row.client_token, row.status != InstanceStatus::Inactive) {
            add((row.cluster.clone(), token.clone()));
        }
    }
}

/// Hosts of an account and region that can run Fargate's tasks, of whatever cluster: those that say
/// so, and those that can give a task an interface of its own.
pub struct FargatePool;

impl Index for FargatePool {
    type Row = ContainerInstance;
    type Key = Scope;

    fn keys(row: &ContainerInstance, add: &mut dyn FnMut(Scope)) {
        if row.status != InstanceStatus::Inactive && row.serves_fargate() {
            add(row.cluster.0);
        }
    }
}

/// Those of them that say so.
pub struct FargateApart;

impl Index for FargateApart {
    type Row = ContainerInstance;
    type Key = Scope;

    fn keys(row: &ContainerInstance, add: &mut dyn FnMut(Scope)) {
        if row.status != InstanceStatus::Inactive && row.fargate().is_some() {
            add(row.cluster.0);
        }
    }
}

/// Instances that are not what they were.
pub struct InstanceChanged;

impl Trace for InstanceChanged {
    type Row = ContainerInstance;
    type Key = Id128;

    fn touches(
        before: Option<&ContainerInstance>,
        after: Option<&ContainerInstance>,
        add: &mut dyn FnMut(Id128),
    ) {
        before.or(after).into_iter().for_each(|row| add(row.id));
    }
}

/// Every instance whose connection stands.
pub struct ConnectedInstances;

impl Index for ConnectedInstances {
    type Row = ContainerInstance;
    type Key = ();

    fn keys(row: &ContainerInstance, add: &mut dyn FnMut(())) {
        if row.observed_connected {
            add(());
        }
    }
}

/// Instances of a cluster that wait for a daemon.
pub struct AwaitingInstances;

impl Index for AwaitingInstances {
    type Row = ContainerInstance;
    type Key = ClusterKey;

    fn keys(row: &ContainerInstance, add: &mut dyn FnMut(ClusterKey)) {
        if row.awaits.is_some() && row.status != InstanceStatus::Inactive {
            add(row.cluster.clone());
        }
    }
}

/// Registered instances of a capacity provider.
pub struct InstancesOfProvider;

impl Index for InstancesOfProvider {
    type Row = ContainerInstance;
    type Key = (ClusterKey, Arc<str>);

    fn keys(row: &ContainerInstance, add: &mut dyn FnMut(Self::Key)) {
        let ours = row.status != InstanceStatus::Inactive && !row.is_hidden() && !row.is_external();
        if let Some(provider) = row.capacity_provider.as_ref().filter(|_| ours) {
            add((row.cluster.clone(), provider.clone()));
        }
    }
}

/// How many instances take tasks in a zone: of a cluster, and of Fargate's pool.
pub struct OpenZones;

impl Tally for OpenZones {
    type Row = ContainerInstance;
    type Key = (ClusterKey, Arc<str>);
    type Sum = i64;

    fn counts(row: &ContainerInstance, add: &mut dyn FnMut(Self::Key, i64)) {
        if !row.takes_tasks() || !row.observed_connected {
            return;
        }
        let Some(zone) = row.zone() else { return };
        if !row.is_hidden() {
            add((row.cluster.clone(), zone.into()), 1);
        }
        if row.serves_fargate() {
            add((fargate_of(row.cluster.0), zone.into()), 1);
        }
    }
}

/// How many instances a cluster has, INACTIVE ones left out.
pub struct ClusterInstances;

impl Tally for ClusterInstances {
    type Row = ContainerInstance;
    type Key = ClusterKey;
    type Sum = i64;

    fn counts(row: &ContainerInstance, add: &mut dyn FnMut(ClusterKey, i64)) {
        if row.status != InstanceStatus::Inactive && !row.is_hidden() {
            add(row.cluster.clone(), 1);
        }
    }
}
