//! What this host's endpoints show: its tasks as the metadata's readers expect them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use core_types::Time;
use host_endpoints::{
    Association, ContainerMetadata, ContainerStats, Cpu, Found, Health, Host, HostMetadata, Known,
    Later, Limits, Loss, Network, NetworkProperties, Port, Question, Refused, RoleCredentials,
    TaskMetadata, Throttling, Volume,
};
use host_runtime::Stats;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::driver::{Driver, container};
use crate::engine::{HealthStatus, PartState, Phase, TaskState};
use crate::meter::Meter;
use crate::plane::api::{Api, CallError};
use crate::plane::credentials::Credentials;
use crate::tasks::{Given, Live, NetworkMode, Tasks};

/// Where this host is; empty where nobody has told.
pub struct Place {
    pub zone: String,
    pub zone_id: String,
    pub vpc_id: String,
}

pub struct Shown {
    pub tasks: Arc<Tasks>,
    pub meter: Arc<Meter>,
    pub api: Arc<Api>,
    pub cluster: String,
    pub instance: Arc<std::sync::OnceLock<String>>,
    pub place: Place,
    /// Bytes that the machine has.
    pub memory: u64,
}

/// Ended tasks that are read from the disk in one go.
const READ_AT_ONCE: usize = 32;

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

impl Shown {
    fn driver(&self) -> &Driver {
        &self.tasks.driver
    }

    fn live_task(&self, live: &Live) -> Arc<TaskMetadata> {
        let state = live.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.task(&live.given, &state)
    }

    fn measured(&self, runtime_id: &str) -> Option<ContainerStats> {
        let reading = self.meter.newest(runtime_id)?;
        let stats = &reading.stats;
        let traffic = self.meter.traffic.newest(runtime_id).unwrap_or_default();
        let mut memory_details = BTreeMap::new();
        memory_details.insert("inactive_file".to_owned(), stats.memory_inactive_file);
        for (name, value) in [("rss", stats.memory_rss), ("cache", stats.memory_cache)] {
            memory_details.extend(value.map(|value| (name.to_owned(), value)));
        }
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let before = reading.before.as_deref();
        Some(ContainerStats {
            cpu: cpu(reading.at, stats, reading.machine),
            previous_cpu: before.map(|(at, stats, machine)| cpu(*at, stats, *machine)),
            online_cpus: u32::try_from(cores).unwrap_or(1),
            memory_usage: stats.memory_usage,
            memory_peak: stats.memory_max_usage.unwrap_or(0),
            // Docker: no more than the machine has.
            memory_limit: stats.memory_limit.map_or(self.memory, |limit| limit.min(self.memory)),
            memory_details,
            read_bytes: stats.read_bytes.unwrap_or(0),
            written_bytes: stats.write_bytes.unwrap_or(0),
            read_operations: stats.read_operations,
            write_operations: stats.write_operations,
            pids: stats.pids.unwrap_or(0),
            pids_limit: stats.pids_limit,
            networks: traffic.counters,
            network_rates: traffic.rates,
        })
    }

    fn task(&self, given: &Given, state: &TaskState) -> Arc<TaskMetadata> {
        let task = &given.task;
        let text = |time: Option<Time>| time.map(|time| time.to_string());
        let desired = if state.stop_wanted || state.all_stopped() { "STOPPED" } else { "RUNNING" };
        let created = |part: &PartState| part.reached >= Phase::Created;
        // AWS: here a task that begins has its agent's words, which the control plane does not know.
        let known = if state.stopped_at.is_some() {
            "STOPPED"
        } else if state.was_running {
            "RUNNING"
        } else if state.parts.iter().all(created) {
            "CREATED"
        } else {
            "NONE"
        };
        let limits = (task.cpu.is_some() || task.memory.is_some())
            .then_some(Limits { cpu: task.cpu, memory: task.memory });
        let containers = (0..task.containers.len())
            .filter(|part| state.parts.get(*part).is_some_and(|p| p.reached >= Phase::Pulled))
            .map(|part| self.container_of(given, state, part, desired));
        Arc::new(TaskMetadata {
            cluster: self.cluster.clone(),
            task_arn: task.arn.clone(),
            family: task.family.clone(),
            revision: task.version.clone(),
            service_name: task.service_name.clone(),
            desired_status: desired.to_owned(),
            known_status: known.to_owned(),
            containers: containers.collect(),
            limits,
            pull_started_at: text(state.pull_started_at),
            pull_stopped_at: text(state.pull_stopped_at),
            execution_stopped_at: text(state.execution_stopped_at),
            availability_zone: self.place.zone.clone(),
            launch_type: match task.launch_type.as_str() {
                "" => "EC2".to_owned(),
                kind => kind.to_owned(),
            },
            vpc_id: self.place.vpc_id.clone(),
            availability_zone_id: self.place.zone_id.clone(),
            ephemeral_storage: None,
            fault_injection_enabled: task.enable_fault_injection,
            credentials_id: task.role_credentials.as_ref().map(|role| role.credentials_id.clone()),
            associations: task.associations.iter().map(association).collect(),
        })
    }

    fn container_of(
        &self,
        given: &Given,
        state: &TaskState,
        part: usize,
        desired: &str,
    ) -> ContainerMetadata {
        let container = &given.task.containers[part];
        let (config, host) = &given.configs[part];
        let seen = &state.parts[part];
        let id = given.container_id(part);
        let text = |time: Option<Time>| time.map(|time| time.to_string());
        let cpu = u32::try_from(container.cpu).ok().filter(|cpu| *cpu > 0).unwrap_or(2);
        let image_id = self.driver().image_id(&id).unwrap_or_default();
        ContainerMetadata {
            name: container.name.clone(),
            docker_name: container::docker_name(given, part),
            image: container.image.clone(),
            image_id,
            ports: ports(given, part, seen),
            labels: container::labels(given, container, config, &self.cluster),
            desired_status: desired.to_owned(),
            known_status: status(seen).to_owned(),
            exit_code: seen.exit_code,
            limits: Limits {
                cpu: Some(f64::from(cpu)),
                // AWS: 0 is no limit.
                memory: Some(container.memory.max(0)),
            },
            created_at: text(seen.created_at),
            started_at: text(seen.started_at),
            finished_at: text(seen.finished_at),
            kind: "NORMAL".to_owned(),
            networks: self.networks(given, part),
            health: given.spec.parts[part].health.as_ref().map(|_| Health {
                // AWS: what is not known yet is not named.
                status: match seen.health.status {
                    HealthStatus::Unknown => String::new(),
                    known => known.as_str().to_owned(),
                },
                status_since: text(seen.health.since),
                exit_code: seen.health.exit_code,
                output: seen.health.output.clone(),
            }),
            volumes: volumes(given, part),
            log_driver: host.log_config.r#type.clone(),
            log_options: host.log_config.config.clone(),
            container_arn: container.container_arn.clone(),
            restart_count: given.spec.parts[part].restart.as_ref().map(|_| seen.run),
            docker_id: id,
        }
    }

    fn networks(&self, given: &Given, part: usize) -> Vec<Network> {
        let (mode, id) = match given.network_mode() {
            NetworkMode::Host => ("host", None),
            NetworkMode::None => ("none", None),
            NetworkMode::Bridge => ("bridge", Some(given.container_id(part))),
            NetworkMode::Awsvpc => ("awsvpc", Some(given.id.clone())),
        };
        let found = id.and_then(|id| self.driver().network.find(&id));
        let address = found.and_then(|attachment| attachment.address());
        let eni = given.task.elastic_network_interfaces.first().filter(|_| mode == "awsvpc");
        let properties = eni.map(|eni| NetworkProperties {
            attachment_index: 0,
            mac_address: eni.mac_address.clone(),
            ipv4_subnet_cidr_block: subnet(&eni.subnet_gateway_ipv4_address),
            domain_name_servers: eni.domain_name_servers.clone(),
            domain_name_search_list: eni.domain_name.clone(),
            private_dns_name: eni.private_dns_name.clone(),
            subnet_gateway: eni.subnet_gateway_ipv4_address.clone(),
        });
        vec![Network {
            network_mode: mode.to_owned(),
            // AWS: a container without an address of its own has an empty one.
            ipv4_addresses: vec![address.map(|a| a.to_string()).unwrap_or_default()],
            ipv6_addresses: Vec::new(),
            properties,
        }]
    }

    fn live_at(&self, address: IpAddr) -> Option<Arc<Live>> {
        let IpAddr::V4(address) = address else { return None };
        let id = self.driver().network.task_at(address)?;
        let of = |live: &Arc<Live>| live.given.id == id || live.given.part_of(&id).is_some();
        self.tasks.all().into_iter().find(of)
    }
}

/// `10.0.0.1/24` is the gateway of `10.0.0.0/24`.
fn subnet(gateway: &str) -> String {
    let parsed = gateway.parse::<ipnet::Ipv4Net>();
    parsed.map(|net| net.trunc().to_string()).unwrap_or_default()
}

fn association(given: &aws_agent::task::Association) -> Association {
    Association {
        kind: given.r#type.clone(),
        name: given.name.clone(),
        containers: given.containers.clone(),
        content: given.content.as_ref().map(|content| content.value.clone()).unwrap_or_default(),
    }
}

fn status(seen: &PartState) -> &'static str {
    match seen.phase {
        Phase::New => "NONE",
        Phase::Pulled => "PULLED",
        Phase::Created => "CREATED",
        Phase::Running => "RUNNING",
        Phase::Stopped => "STOPPED",
    }
}

fn ports(given: &Given, part: usize, seen: &PartState) -> Vec<Port> {
    if !seen.bindings.is_empty() {
        let each = seen.bindings.iter().flat_map(|binding| {
            binding.pairs().map(|(container_port, host_port)| Port {
                container_port,
                protocol: binding.protocol.clone(),
                host_port: Some(host_port),
                host_ip: binding.address.clone(),
            })
        });
        return each.collect();
    }
    let mappings = given.task.containers[part].port_mappings.iter();
    mappings
        .filter_map(|mapping| {
            let container_port = u16::try_from(mapping.container_port).ok()?;
            Some(Port {
                container_port,
                protocol: match mapping.protocol.as_str() {
                    "" => "tcp".to_owned(),
                    protocol => protocol.to_owned(),
                },
                // AWS: at an address of its own a port has the same number on both sides.
                host_port: (given.network_mode() == NetworkMode::Awsvpc).then_some(container_port),
                host_ip: String::new(),
            })
        })
        .collect()
}

fn volumes(given: &Given, part: usize) -> Vec<Volume> {
    let points = given.task.containers[part].mount_points.iter();
    points
        .map(|point| {
            let named = given.task.volumes.iter().find(|v| v.name == point.source_volume);
            let host = named.and_then(|volume| volume.host.as_ref());
            Volume {
                docker_name: point.source_volume.clone(),
                source: host.map(|host| host.source_path.clone()).unwrap_or_default(),
                destination: point.container_path.clone(),
            }
        })
        .collect()
}

impl Host for Shown {
    fn about(&self) -> HostMetadata {
        HostMetadata {
            cluster: self.cluster.clone(),
            container_instance_arn: self.instance.get().cloned(),
            version: format!("Amazon ECS Agent - v{} ({})", crate::VERSION, crate::HASH),
        }
    }

    fn tasks(&self) -> Later<'_, Vec<Arc<TaskMetadata>>> {
        Box::pin(async move {
            let live = self.tasks.all();
            let mut shown: Vec<_> = live.iter().map(|live| self.live_task(live)).collect();
            // One that ended just now is among the others already.
            let is_new = |arn: &String| live.iter().all(|live| live.given.task.arn != *arn);
            let ended: Vec<String> = self.tasks.ended().into_iter().filter(is_new).collect();
            for some in ended.chunks(READ_AT_ONCE) {
                let some = self.tasks.clone().remember_all(some.to_vec()).await;
                shown.extend(some.iter().map(|ended| self.task(&ended.given, &ended.state)));
            }
            shown
        })
    }

    fn container(&self, endpoint: &str) -> Option<Found> {
        let all = self.tasks.all();
        let of = |live: &&Arc<Live>| live.given.endpoints.iter().any(|known| known == endpoint);
        let id_in = |given: &Given| {
            let part = given.endpoints.iter().position(|known| known == endpoint)?;
            Some(given.container_id(part))
        };
        let (id, task) = match all.iter().find(of) {
            Some(live) => (id_in(&live.given)?, self.live_task(live)),
            None => {
                let ended = self.tasks.ended_with(endpoint)?;
                (id_in(&ended.given)?, self.task(&ended.given, &ended.state))
            }
        };
        let container = task.containers.iter().position(|container| container.docker_id == id)?;
        Some(Found { task, container })
    }

    fn task_at(&self, address: IpAddr) -> Option<Arc<TaskMetadata>> {
        self.live_at(address).map(|live| self.live_task(&live))
    }

    fn credentials(&self, id: &str) -> Known {
        for live in self.tasks.all() {
            let kept = live.credentials.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(role) = kept.task.as_ref().filter(|role| role.credentials_id == id) else {
                continue;
            };
            return Known::Credentials {
                task_arn: live.given.task.arn.clone(),
                credentials: RoleCredentials {
                    role_arn: role.role_arn.clone(),
                    access_key_id: role.access_key_id.clone(),
                    secret_access_key: role.secret_access_key.clone(),
                    token: role.session_token.clone(),
                    expiration: role.expiration.clone(),
                },
            };
        }
        Known::Nothing
    }

    fn stats<'a>(&'a self, runtime_id: &'a str) -> Later<'a, Option<ContainerStats>> {
        Box::pin(async move {
            // AWS: what has just started has figures as soon as it asks.
            if self.meter.newest(runtime_id).is_none() {
                self.meter.measure_one(&self.tasks, runtime_id).await;
            }
            self.measured(runtime_id)
        })
    }

    fn tags<'a>(&'a self, arn: &'a str) -> Later<'a, Result<BTreeMap<String, String>, Refused>> {
        Box::pin(async move {
            let asked = self.api.call("ListTagsForResource", &json!({ "resourceArn": arn })).await;
            let tags = asked.map_err(refused)?["tags"].take();
            let tags: Vec<Tag> = serde_json::from_value(tags).unwrap_or_default();
            Ok(tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
        })
    }

    fn losses(&self) -> Vec<Loss> {
        let all = self.driver().settings.logs.losses().into_iter();
        all.map(|loss| Loss {
            task_arn: loss.task_arn,
            container: loss.container,
            lines: loss.dropped.lines,
            bytes: loss.dropped.bytes,
        })
        .collect()
    }

    fn ask(&self, question: Question) -> Later<'_, Result<Value, Refused>> {
        Box::pin(async move {
            let asked = match question {
                Question::Protection { task_arn, credentials } => {
                    let input = json!({ "cluster": self.cluster, "tasks": [task_arn] });
                    self.api.call_as(&keys(credentials), "GetTaskProtection", &input).await
                }
                Question::Protect { task_arn, credentials, enabled, minutes } => {
                    let mut input = json!({
                        "cluster": self.cluster,
                        "tasks": [task_arn],
                        "protectionEnabled": enabled,
                    });
                    if let Some(minutes) = minutes {
                        input["expiresInMinutes"] = minutes.into();
                    }
                    self.api.call_as(&keys(credentials), "UpdateTaskProtection", &input).await
                }
            };
            asked.map_err(refused)
        })
    }
}

fn cpu(at: Time, stats: &Stats, machine: u64) -> Cpu {
    Cpu {
        read: at.to_string(),
        total: stats.cpu_total,
        user: stats.cpu_user.unwrap_or(0),
        system: stats.cpu_system.unwrap_or(0),
        host: machine,
        throttling: Throttling {
            periods: stats.cpu_periods.unwrap_or(0),
            throttled_periods: stats.cpu_throttled_periods.unwrap_or(0),
            throttled_time: stats.cpu_throttled_time.unwrap_or(0),
        },
    }
}

fn keys(role: RoleCredentials) -> Credentials {
    Credentials {
        access_key: role.access_key_id,
        secret: role.secret_access_key,
        token: Some(role.token),
    }
}

fn refused(error: CallError) -> Refused {
    match error {
        CallError::Refused { status, code, message } => {
            Refused { status, code, message, request_id: None }
        }
        other => Refused {
            status: 500,
            code: "ServerException".to_owned(),
            message: other.to_string(),
            request_id: None,
        },
    }
}
