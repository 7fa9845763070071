//! A task in full, as an agent takes it: the definition with the overrides laid over it.
//!
//! AWS: the agent knows neither definitions nor overrides; what it is to run stands in the payload.

use std::collections::BTreeMap;

use aws_agent::task as agent;
use core_state::State;
use core_types::Id128;
use model_ecs as api;

use super::docker;
use crate::rows::cluster;
use crate::rows::container_instance::ContainerInstance;
use crate::rows::service_history::ServiceRevision;
use crate::rows::task::{Extras, Launch, Task};
use crate::rules::images;
use crate::rules::interfaces;
use crate::rules::launch::definition_of;
use crate::rules::overrides;
use crate::rules::roles;
use crate::rules::settings;
use crate::rules::task_definition::name_of;
use crate::views;

/// What a role is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleKind {
    /// The containers' own.
    Application,
    /// The agent's, to prepare the task: images, secrets, logs.
    Execution,
}

/// A role that a task has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAsked {
    pub task: Id128,
    pub kind: RoleKind,
    pub arn: String,
    /// Under this id the containers ask for the credentials. It stays the same for the task's life,
    /// and knowing it is the permission: it is told to nobody else.
    pub credentials_id: String,
}

/// Makes credentials of a role; `None` where they cannot be had now.
pub type Credentials<'f> = dyn FnMut(&RoleAsked) -> Option<agent::RoleCredentials> + 'f;

/// The roles of a task.
pub fn roles(state: &State, task: &Task) -> Vec<RoleAsked> {
    let definition = definition_of(state, task);
    let over = task.extras.as_ref().and_then(|extras| extras.overrides.as_ref());
    let (application, execution) = roles::of(definition, over);
    let asked = |kind, arn| {
        let mut id = task.credentials_id;
        id.0[15] ^= u8::from(kind == RoleKind::Execution);
        RoleAsked { task: task.id, kind, arn, credentials_id: id.dashed() }
    };
    let application = application.map(|arn| asked(RoleKind::Application, arn));
    let execution = execution.map(|arn| asked(RoleKind::Execution, arn));
    application.into_iter().chain(execution).collect()
}

/// The task as its host is told of it. `endpoint` is the address of this server as the host has
/// it; containers get it where they do not set another.
pub fn payload(
    state: &State,
    task: Id128,
    endpoint: &str,
    credentials: &mut Credentials<'_>,
) -> Option<agent::Task> {
    let row = state.get::<Task>(&task)?;
    let definition = definition_of(state, row)?;
    let nothing = Extras::default();
    let extras = row.extras.as_deref().unwrap_or(&nothing);
    let over = extras.overrides.as_ref();
    let merged = overrides::merged(definition, over);
    let mut told = agent::Task {
        arn: row.arn(),
        task_cluster_arn: cluster::arn_of(row.cluster.0, &row.cluster.1),
        family: row.family.to_string(),
        version: row.revision.to_string(),
        desired_status: row.desired_status.as_str().to_owned(),
        overrides: "{}".to_owned(),
        network_mode: text(definition.network_mode.as_ref().map(|mode| mode.as_str())),
        launch_type: row.launch.wire().as_str().to_owned(),
        group: row.group().to_string(),
        service_name: text(row.service.as_deref()),
        task_definition_account_id: row.cluster.0.account.to_string(),
        cpu: task_cpu(definition, over),
        memory: task_memory(definition, over),
        volumes: definition.volumes.iter().flatten().map(volume).collect(),
        associations: associations(extras),
        elastic_network_interfaces: interfaces::told(state, row),
        proxy_configuration: definition.proxy_configuration.as_ref().map(proxy),
        pid_mode: text(definition.pid_mode.as_ref().map(|mode| mode.as_str())),
        ipc_mode: text(definition.ipc_mode.as_ref().map(|mode| mode.as_str())),
        zone: zone(state, row),
        enable_fault_injection: definition.enable_fault_injection == Some(true),
        ..Default::default()
    };
    let around = docker::Around { endpoint, log_mode: settings::log_mode(state, row.cluster.0) };
    let revision = images::revision_of(state, row);
    let context = Context { row, extras, definition, revision, around };
    told.containers = row
        .containers
        .iter()
        .zip(&merged)
        .map(|(known, container)| context.container(known.id, container))
        .collect();
    for asked in roles(state, row) {
        let made = credentials(&asked).map(|made| agent::RoleCredentials {
            credentials_id: asked.credentials_id.clone(),
            role_arn: asked.arn.clone(),
            ..made
        });
        match asked.kind {
            RoleKind::Application => told.role_credentials = made,
            RoleKind::Execution => told.execution_role_credentials = made,
        }
    }
    Some(told)
}

fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

fn zone(state: &State, row: &Task) -> String {
    let host = row.host.and_then(|host| state.get::<ContainerInstance>(&host));
    let mut all = host.into_iter().flat_map(ContainerInstance::attributes);
    let zone = all.find(|one| one.name.as_deref() == Some("ecs.availability-zone"));
    zone.and_then(|zone| zone.value.clone()).unwrap_or_default()
}

/// In vCPUs: a quota over the whole task.
fn task_cpu(definition: &api::TaskDefinition, over: Option<&api::TaskOverride>) -> Option<f64> {
    let own = over.and_then(|over| over.cpu.as_deref()).or(definition.cpu.as_deref())?;
    own.parse::<f64>().ok().map(|units| units / 1024.0)
}

fn task_memory(definition: &api::TaskDefinition, over: Option<&api::TaskOverride>) -> Option<i64> {
    let own = over.and_then(|over| over.memory.as_deref()).or(definition.memory.as_deref())?;
    own.parse().ok()
}

fn pairs(list: &Option<BTreeMap<String, String>>) -> BTreeMap<String, String> {
    list.clone().unwrap_or_default()
}

fn volume(given: &api::Volume) -> agent::Volume {
    let name = text(given.name.as_deref());
    if let Some(docker) = &given.docker_volume_configuration {
        let scope = docker.scope.as_ref().map(|scope| scope.as_str());
        let told = agent::DockerVolume {
            autoprovision: docker.autoprovision == Some(true),
            scope: scope.unwrap_or("task").to_owned(),
            driver: docker.driver.clone().unwrap_or_else(|| "local".to_owned()),
            driver_opts: pairs(&docker.driver_opts),
            labels: pairs(&docker.labels),
        };
        return agent::Volume {
            name,
            r#type: "docker".to_owned(),
            docker_volume_configuration: Some(told),
            ..Default::default()
        };
    }
    let path = given.host.as_ref().and_then(|host| host.source_path.as_deref());
    agent::Volume {
        name,
        r#type: "host".to_owned(),
        host: Some(agent::HostVolume { source_path: text(path) }),
        ..Default::default()
    }
}

/// AWS: GPUs reach the agent as associations of their containers.
fn associations(extras: &Extras) -> Vec<agent::Association> {
    let all =
        extras.gpus.iter().flat_map(|(container, ids)| ids.iter().map(move |id| (container, id)));
    all.map(|(container, id)| agent::Association {
        containers: vec![container.to_string()],
        content: Some(agent::EncodedString {
            encoding: "base64".to_owned(),
            value: "val".to_owned(),
        }),
        name: id.to_string(),
        r#type: "gpu".to_owned(),
    })
    .collect()
}

fn proxy(given: &api::ProxyConfiguration) -> agent::ProxyConfiguration {
    let pair = |pair: &api::KeyValuePair| Some((pair.name.clone()?, pair.value.clone()?));
    agent::ProxyConfiguration {
        container_name: text(given.container_name.as_deref()),
        properties: given.properties.iter().flatten().filter_map(pair).collect(),
        r#type: text(given.r#type.as_ref().map(|kind| kind.as_str())),
    }
}

/// What the containers of a task share.
struct Context<'a> {
    row: &'a Task,
    extras: &'a Extras,
    definition: &'a api::TaskDefinition,
    revision: Option<&'a ServiceRevision>,
    around: docker::Around<'a>,
}

impl Context<'_> {
    fn container(&self, id: Id128, given: &api::ContainerDefinition) -> agent::Container {
        let number = |number: Option<i32>| i64::from(number.unwrap_or_default());
        let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let name = name_of(given);
        agent::Container {
            name: name.to_owned(),
            container_arn: views::container_arn(&self.row.cluster, self.row.id, id),
            image: images::told(self.revision, given),
            cpu: number(given.cpu),
            memory: number(given.memory),
            essential: given.essential.unwrap_or(true),
            privileged: given.privileged == Some(true),
            command: list(&given.command),
            entry_point: list(&given.entry_point),
            environment: self.environment(given),
            links: list(&given.links),
            mount_points: given.mount_points.iter().flatten().map(mount_point).collect(),
            volumes_from: given.volumes_from.iter().flatten().map(volume_from).collect(),
            port_mappings: given.port_mappings.iter().flatten().map(port_mapping).collect(),
            overrides: "{}".to_owned(),
            depends_on: given.depends_on.iter().flatten().map(dependency).collect(),
            start_timeout: given.start_timeout.map(Into::into),
            stop_timeout: given.stop_timeout.map(Into::into),
            firelens_configuration: given.firelens_configuration.as_ref().map(|firelens| {
                agent::FirelensConfiguration {
                    r#type: text(firelens.r#type.as_ref().map(|kind| kind.as_str())),
                    options: pairs(&firelens.options),
                }
            }),
            health_check_type: match given.health_check {
                Some(_) => "docker".to_owned(),
                None => String::new(),
            },
            managed_agents: self.managed_agents(name),
            restart_policy: given.restart_policy.as_ref().map(restart_policy),
            docker_config: Some(docker::config(self.row, self.definition, given, self.around)),
            ..Default::default()
        }
    }

    /// AWS: the control plane adds where the task runs; what the definition sets stays.
    fn environment(&self, given: &api::ContainerDefinition) -> BTreeMap<String, String> {
        let own = given.environment.iter().flatten();
        let own = own.filter_map(|pair| Some((pair.name.clone()?, text(pair.value.as_deref()))));
        let mut all: BTreeMap<String, String> = own.collect();
        let region = self.row.cluster.0.region.to_string();
        let place = match self.row.launch {
            Launch::Ec2 => "AWS_ECS_EC2",
            Launch::Fargate => "AWS_ECS_FARGATE",
            Launch::External => "AWS_ECS_EXTERNAL",
        };
        for (name, value) in [
            ("AWS_EXECUTION_ENV", place),
            ("AWS_REGION", &region),
            ("AWS_DEFAULT_REGION", &region),
            ("AWS_ENDPOINT_URL", self.around.endpoint),
            // An endpoint of one name has no names below it.
            ("AWS_DISABLE_HOST_PREFIX_INJECTION", "true"),
        ] {
            all.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        all
    }

    fn managed_agents(&self, container: &str) -> Vec<agent::ManagedAgent> {
        let mut agents = self.extras.exec_agents.iter();
        match agents.any(|agent| *agent.container == *container) {
            true => vec![agent::ManagedAgent {
                name: "ExecuteCommandAgent".to_owned(),
                ..Default::default()
            }],
            false => Vec::new(),
        }
    }
}

fn mount_point(given: &api::MountPoint) -> agent::MountPoint {
    agent::MountPoint {
        source_volume: text(given.source_volume.as_deref()),
        container_path: text(given.container_path.as_deref()),
        read_only: given.read_only == Some(true),
    }
}

fn volume_from(given: &api::VolumeFrom) -> agent::VolumeFrom {
    agent::VolumeFrom {
        source_container: text(given.source_container.as_deref()),
        read_only: given.read_only == Some(true),
    }
}

/// AWS: host port 0 is one that the host chooses; a range has no single port.
fn port_mapping(given: &api::PortMapping) -> agent::PortMapping {
    let protocol = given.protocol.as_ref().map(|protocol| protocol.as_str());
    agent::PortMapping {
        container_port: given.container_port.unwrap_or_default().into(),
        host_port: given.host_port.unwrap_or_default().into(),
        protocol: protocol.unwrap_or("tcp").to_owned(),
        container_port_range: text(given.container_port_range.as_deref()),
    }
}

fn dependency(given: &api::ContainerDependency) -> agent::ContainerDependency {
    agent::ContainerDependency {
        container_name: text(given.container_name.as_deref()),
        condition: text(given.condition.as_ref().map(|condition| condition.as_str())),
    }
}

fn restart_policy(given: &api::ContainerRestartPolicy) -> agent::RestartPolicy {
    let codes = given.ignored_exit_codes.iter().flatten();
    agent::RestartPolicy {
        enabled: given.enabled == Some(true),
        ignored_exit_codes: codes.map(|code| i64::from(*code)).collect(),
        restart_attempt_period: given.restart_attempt_period.map(Into::into),
    }
}
