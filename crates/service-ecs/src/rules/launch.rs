//! What RunTask and StartTask share: from a call's parameters to the rows of its tasks.

use std::sync::Arc;

use aws_protocol::ApiError;
use core_placement::{Ask, Need, Placed};
use core_state::{State, Tx};
use core_step::{Call, Demand};
use core_task::TaskStatus;
use core_types::{Id128, Time};
use model_ecs::{self as api, errors};

use super::task_definition::{Reference, containers_of, is_mode, name_of, refuse};
use super::{
    interfaces, life, overrides, placing, resources, roles, tags, task_definitions, unsupported,
};
use crate::rows::cluster::ClusterKey;
use crate::rows::container_instance::ContainerInstance;
use crate::rows::daemon_history::DaemonRevision;
use crate::rows::task::{
    Container, ExecAgent, ExecStatus, Extras, HostPort, Launch, OfDaemon, StopCode, Task,
};
use crate::rows::task_definition::{Status, TaskDefinition, TaskDefinitionKey};
use crate::rows::waiting::Waiting;

/// The parameters that both actions have.
#[derive(Default)]
pub struct Given {
    pub task_definition: Option<String>,
    pub overrides: Option<api::TaskOverride>,
    pub group: Option<String>,
    pub started_by: Option<String>,
    pub tags: Vec<api::Tag>,
    pub propagate_tags: Option<api::PropagateTags>,
    pub managed_tags: bool,
    pub exec_enabled: bool,
    pub network: Option<api::NetworkConfiguration>,
    pub volumes: Vec<api::TaskVolumeConfiguration>,
    pub reference_id: Option<String>,
    pub platform_version: Option<String>,
}

/// Tasks that may be started: everything that does not depend on the place.
#[derive(Clone)]
pub struct Prepared {
    pub cluster: ClusterKey,
    pub definition: Arc<TaskDefinition>,
    pub launch: Launch,
    pub overrides: Option<api::TaskOverride>,
    pub need: Need,
    /// The network interface of its own that each task gets.
    pub interface: Option<interfaces::Wanted>,
    pub group: Option<Arc<str>>,
    /// Whose tasks they are, where they are a service's.
    pub service: Option<Arc<str>>,
    /// The same where they are a managed daemon's.
    pub daemon: Option<OfDaemon>,
    pub started_by: Option<Arc<str>>,
    pub exec_enabled: bool,
    pub tags: Vec<api::Tag>,
    pub reference_id: Option<String>,
    pub platform_version: Option<String>,
}

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// The task definition that tasks are to be started from, or AWS's error.
pub fn find_definition(
    state: &State,
    call: &Call,
    given: Option<&str>,
) -> Result<Arc<TaskDefinition>, ApiError> {
    let given = given.unwrap_or_default();
    if given.is_empty() {
        return Err(refuse("TaskDefinition can not be blank."));
    }
    let reference = Reference::of_call(given, call);
    let found = reference.and_then(|one| task_definitions::look_up(state, call, &one));
    let found = found.ok_or_else(|| refuse("TaskDefinition not found."))?;
    if found.status != Status::Active {
        return Err(refuse("TaskDefinition is inactive"));
    }
    Ok(state.get_shared::<TaskDefinition>(&found.key).expect("it was just found").clone())
}

/// The permissions to start tasks: on the revision itself, and to pass the roles.
pub fn demands(
    state: &State,
    call: &Call,
    action: &'static str,
    cluster_arn: String,
    given: &Given,
) -> Vec<Demand> {
    let name = given.task_definition.as_deref().unwrap_or_default();
    let found = find_definition(state, call, Some(name)).ok();
    // AWS: a family's name is resolved to its revision before anything is asked.
    let arn = match &found {
        Some(row) => row.arn(),
        None => task_definitions::demanded_arn(call, name),
    };
    let there = found.as_ref().map(|row| row.tags.as_slice()).unwrap_or_default();
    let demand = Demand::on(action, arn)
        .with("ecs:cluster", cluster_arn)
        .with("ecs:enable-execute-command", given.exec_enabled.to_string())
        .with("ecs:enable-ebs-volumes", (!given.volumes.is_empty()).to_string())
        .resource_tags(tags::pairs(there))
        .request_tags(tags::pairs(&given.tags));
    let mut demands = vec![demand];
    let over = given.overrides.as_ref();
    let definition = found.as_ref().map(|row| &row.definition);
    let task_role = over.and_then(|over| over.task_role_arn.clone());
    let task_role = task_role.or_else(|| definition?.task_role_arn.clone());
    let execution_role = over.and_then(|over| over.execution_role_arn.clone());
    let execution_role = execution_role.or_else(|| definition?.execution_role_arn.clone());
    let roles = [task_role, execution_role].into_iter().flatten();
    demands.extend(roles.map(|role| {
        let arn = super::task_definition::role_arn(Some(role.clone()), call.account());
        task_definitions::pass_role(arn.ok().flatten().unwrap_or(role))
    }));
    demands
}

/// Check everything that does not depend on the place.
pub fn prepare(
    state: &State,
    call: &Call,
    cluster: &ClusterKey,
    launch: Launch,
    given: Given,
) -> Result<Prepared, ApiError> {
    let row = find_definition(state, call, given.task_definition.as_deref())?;
    let definition = &row.definition;
    check_compatible(definition, launch)?;
    check_platform(given.platform_version.as_deref(), launch)?;
    check_network(given.network.as_ref(), launch)?;
    let scope = call.scope();
    let interface = interfaces::check(state, scope, definition, given.network.as_ref())?;
    check_volumes(definition, &given.volumes)?;
    let overrides = overrides::checked(definition, given.overrides, call.account())?;
    let group = given.group.filter(|group| !group.is_empty());
    if group.as_deref().is_some_and(|group| group.starts_with("service:")) {
        // AWS: that namespace is the service scheduler's.
        return Err(invalid("Group name cannot start with 'service:'."));
    }
    for (what, text, most) in [
        ("group", group.as_deref(), 255),
        ("startedBy", given.started_by.as_deref(), 128),
        ("referenceId", given.reference_id.as_deref(), 1024),
    ] {
        if text.is_some_and(|text| text.chars().count() > most) {
            return Err(invalid(format!("{what} cannot be longer than {most} characters.")));
        }
    }
    tags::check_tags(&given.tags)?;
    let tags = tags_of(&row, cluster, given.tags, given.propagate_tags, given.managed_tags)?;
    let zones = interface.as_ref().map(interfaces::Wanted::zones).unwrap_or_default();
    let need = need(definition, overrides.as_ref(), launch, zones, given.exec_enabled);
    Ok(Prepared {
        cluster: cluster.clone(),
        launch,
        need,
        interface,
        overrides,
        group: group.map(Into::into),
        service: None,
        daemon: None,
        started_by: given.started_by.filter(|by| !by.is_empty()).map(Into::into),
        exec_enabled: given.exec_enabled,
        tags,
        reference_id: given.reference_id,
        platform_version: given.platform_version,
        definition: row,
    })
}

/// AWS: versions of the platform are Fargate's.
pub fn check_platform(version: Option<&str>, launch: Launch) -> Result<(), ApiError> {
    match (launch, version) {
        (Launch::Fargate, Some(version)) if !platform_is_known(version) => {
            Err(errors::platform_unknown_exception("The specified platform does not exist."))
        }
        (Launch::Fargate, _) | (_, None) => Ok(()),
        (_, Some(_)) => {
            Err(invalid("The platform version must be null when specifying an EC2 launch type."))
        }
    }
}

fn platform_is_known(version: &str) -> bool {
    matches!(version, "LATEST" | "1.4.0" | "1.3.0")
}

/// AWS: what is not said of a service's network is filled in.
pub fn network(given: Option<api::NetworkConfiguration>) -> Option<api::NetworkConfiguration> {
    let mut given = given?;
    if let Some(network) = &mut given.awsvpc_configuration {
        network.security_groups.get_or_insert_default();
        network.assign_public_ip.get_or_insert(api::AssignPublicIp::DISABLED);
    }
    Some(given)
}

/// AWS: only Fargate's tasks can ask for a public address.
pub fn check_network(
    network: Option<&api::NetworkConfiguration>,
    launch: Launch,
) -> Result<(), ApiError> {
    let network = network.and_then(|network| network.awsvpc_configuration.as_ref());
    let public = network.and_then(|network| network.assign_public_ip.as_ref());
    match public.map(|public| public.as_str()) {
        None | Some("DISABLED") => Ok(()),
        Some("ENABLED") if launch == Launch::Fargate => Ok(()),
        Some("ENABLED") => Err(invalid("Assign public IP is not supported for this launch type.")),
        Some(_) => Err(invalid("assignPublicIp should be one of [ENABLED,DISABLED]")),
    }
}

/// What a task needs of its instance.
pub fn need(
    definition: &api::TaskDefinition,
    overrides: Option<&api::TaskOverride>,
    launch: Launch,
    zones: Vec<String>,
    exec_enabled: bool,
) -> Need {
    let mut need = Need { zones, ..placing::need(definition, overrides, launch) };
    if exec_enabled && launch != Launch::Fargate {
        // AWS: the agent says whether it can open sessions.
        need.attributes.push(("ecs.capability.execute-command".to_owned(), None));
    }
    need
}

pub fn check_compatible(definition: &api::TaskDefinition, launch: Launch) -> Result<(), ApiError> {
    let word = launch.wire();
    let asked = definition.requires_compatibilities.as_deref().unwrap_or_default();
    let able = definition.compatibilities.as_deref().unwrap_or_default();
    let in_list = |list: &[api::Compatibility]| list.iter().any(|c| c.as_str() == word.as_str());
    let fits = match asked {
        [] => launch != Launch::Fargate || in_list(able),
        asked => in_list(asked) || (launch != Launch::Fargate && in_list(able)),
    };
    if !fits {
        return Err(invalid(format!(
            "Task definition does not support launch_type {}.",
            word.as_str()
        )));
    }
    Ok(())
}

pub fn check_volumes(
    definition: &api::TaskDefinition,
    given: &[api::TaskVolumeConfiguration],
) -> Result<(), ApiError> {
    let wants = |volume: &&api::Volume| volume.configured_at_launch == Some(true);
    let wanted: Vec<_> = definition.volumes.iter().flatten().filter(wants).collect();
    for one in given {
        let name = one.name.as_deref().unwrap_or_default();
        if !wanted.iter().any(|volume| volume.name.as_deref() == Some(name)) {
            return Err(invalid(format!(
                "The volume configuration {name} does not match a volume of the task definition \
                 that is configured at launch."
            )));
        }
    }
    if given.len() < wanted.len() {
        return Err(invalid(
            "A volume configuration must be given for each volume that is configured at launch.",
        ));
    }
    Ok(())
}

/// The tags of a new task: what was given, what the definition passes on, what AWS manages.
fn tags_of(
    row: &TaskDefinition,
    cluster: &ClusterKey,
    given: Vec<api::Tag>,
    propagate: Option<api::PropagateTags>,
    managed: bool,
) -> Result<Vec<api::Tag>, ApiError> {
    let mut all = match propagate.as_ref().map(|from| from.as_str()) {
        None | Some("" | "NONE") => Vec::new(),
        Some("TASK_DEFINITION") => row.tags.clone(),
        Some("SERVICE") => {
            return Err(invalid("Tags can only be propagated from the TASK_DEFINITION."));
        }
        Some(_) => {
            return Err(invalid("propagateTags should be one of [TASK_DEFINITION,SERVICE,NONE]"));
        }
    };
    all = tags::merged(&all, &given)?;
    if managed {
        all.push(api::Tag {
            key: Some("aws:ecs:clusterName".to_owned()),
            value: Some(cluster.1.to_string()),
        });
    }
    Ok(all)
}

impl Prepared {
    pub fn group(&self) -> Arc<str> {
        match (&self.group, &self.service) {
            (Some(group), _) => group.clone(),
            (None, Some(service)) => format!("service:{service}").into(),
            (None, None) => format!("family:{}", self.definition.key.1).into(),
        }
    }

    /// The question of placement.
    pub fn ask(
        &self,
        constraints: &[api::PlacementConstraint],
        strategy: &[api::PlacementStrategy],
    ) -> Result<Ask, ApiError> {
        Ok(Ask {
            group: self.group(),
            need: self.need.clone(),
            constraints: placing::constraints(&self.definition.definition, constraints)?,
            strategy: placing::strategies(strategy)?,
        })
    }

    /// Write the row of a task that has its place.
    pub fn start(&self, tx: &mut Tx<'_>, placed: &Placed, provider: Option<&Arc<str>>) -> Id128 {
        let task = self.row(tx, provider, None);
        let id = task.id;
        settle(tx, task, &self.definition.definition, self.interface.as_ref(), placed);
        id
    }

    /// Write the row of a task that waits for a place.
    pub fn wait(&self, tx: &mut Tx<'_>, provider: &Arc<str>, mut waiting: Waiting) -> Id128 {
        waiting.interface = self.interface.clone();
        let task = self.row(tx, Some(provider), Some(waiting));
        let id = task.id;
        tx.put(task);
        id
    }

    fn row(&self, tx: &mut Tx<'_>, provider: Option<&Arc<str>>, waiting: Option<Waiting>) -> Task {
        let id = tx.dice.id();
        let port = |udp| move |port: &u16| HostPort { udp, port: *port };
        let (tcp, udp) =
            (self.need.tcp.iter().map(port(false)), self.need.udp.iter().map(port(true)));
        let extras = Extras {
            overrides: self.overrides.clone(),
            tags: self.tags.clone(),
            capacity_provider: provider.cloned(),
            platform_version: self.platform_version.clone(),
            reference_id: self.reference_id.clone(),
            daemon: self.daemon.clone(),
            waiting: waiting.map(Box::new),
            ..Extras::default()
        };
        let (_, family, revision) = &self.definition.key;
        let named = (family.clone(), *revision);
        Task {
            service: self.service.clone(),
            group: self.group.clone(),
            started_by: self.started_by.clone(),
            cpu: u32::try_from(self.need.cpu).unwrap_or_default(),
            memory: u32::try_from(self.need.memory).unwrap_or_default(),
            ports: tcp.chain(udp).collect(),
            exec_enabled: self.exec_enabled,
            credentials_id: tx.dice.id(),
            observed_status: TaskStatus::Provisioning,
            extras: (extras != Extras::default()).then(|| Box::new(extras)),
            ..Task::new(id, self.cluster.clone(), named, self.launch, tx.now())
        }
    }
}

/// Give a task its place, and all that it only has with one.
pub fn settle(
    tx: &mut Tx<'_>,
    mut task: Task,
    definition: &api::TaskDefinition,
    interface: Option<&interfaces::Wanted>,
    placed: &Placed,
) {
    let all = containers_of(definition).iter();
    task.containers = all.map(|one| Container::new(tx.dice.id(), name_of(one).into())).collect();
    task.host = Some(placed.instance);
    // AWS: with an interface of its own it waits for that first.
    if !is_mode(definition, "awsvpc") {
        task.observed_status = TaskStatus::Pending;
    }
    let mut extras = task.extras.take().map(|extras| *extras).unwrap_or_default();
    extras.waiting = None;
    let merged = overrides::merged(definition, extras.overrides.as_ref());
    let mut ids = placed.gpus.iter().cloned();
    let gpus = task.containers.iter().zip(&merged).filter_map(|(container, definition)| {
        let own: Vec<_> = ids.by_ref().take(resources::gpus(definition)).collect();
        (!own.is_empty()).then(|| (container.name.clone(), own))
    });
    extras.gpus = gpus.collect();
    let agent = |container: &Container| ExecAgent {
        container: container.name.clone(),
        observed_status: ExecStatus::Pending,
        reason: None,
        started_at: None,
    };
    extras.exec_agents = task.containers.iter().filter(|_| task.exec_enabled).map(agent).collect();
    task.extras = (extras != Extras::default()).then(|| Box::new(extras));
    if let Some(wanted) = interface {
        give_interface(tx, &mut task, wanted);
    }
    tx.put(task);
}

fn give_interface(tx: &mut Tx<'_>, task: &mut Task, wanted: &interfaces::Wanted) {
    let host = task.host.and_then(|host| tx.get::<ContainerInstance>(&host));
    let zone = host.and_then(|host| {
        let mut all = host.attributes();
        all.find(|one| one.name.as_deref() == Some("ecs.availability-zone"))?.value.clone()
    });
    let machine = host.and_then(|host| host.ec2_instance_id.clone());
    match interfaces::create(tx, task.cluster.0, wanted, zone.as_deref(), machine) {
        Ok(made) => task.extras.get_or_insert_default().attachments.push(made),
        Err(reason) => {
            life::want_stopped(task, StopCode::TaskFailedToStart, Some(&reason), tx.now());
        }
    }
}

/// The definition that a task was started from. A daemon's is what its revision has kept of it.
pub fn definition_of<'s>(state: &'s State, task: &Task) -> Option<&'s api::TaskDefinition> {
    if let Some(daemon) = task.daemon() {
        let key = ((task.cluster.clone(), daemon.name.clone()), daemon.revision);
        return Some(&state.get::<DaemonRevision>(&key)?.definition);
    }
    let key: TaskDefinitionKey = (task.cluster.0, task.family.clone(), task.revision);
    Some(&state.get::<TaskDefinition>(&key)?.definition)
}

/// Why a task will not run, should that be so: its roles are not lent, or AWS would start it and
/// what it asks for is not here.
pub fn cannot_run(state: &State, now: Time, task: &Task) -> Option<String> {
    if let Some(reason) = roles::reason(state, now, task) {
        return Some(reason);
    }
    let definition = definition_of(state, task)?;
    let over = task.extras.as_ref().and_then(|extras| extras.overrides.as_ref());
    unsupported::reason(definition, &overrides::merged(definition, over))
}

/// FNV-1a over a request as it would be stored: enough to tell requests under one token apart.
pub fn fingerprint<S: aws_protocol::Shape>(input: &S) -> u64 {
    let text = aws_protocol::stored::to_json(input);
    let bytes: &[u8] = text.as_ref();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
