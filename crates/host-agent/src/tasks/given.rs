//! A task as the control plane gave it, read once: what the engine needs to know of it, and the two
//! Docker configurations of each container.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_agent::docker::{Config, HostConfig};
use aws_agent::task::{Container, Task};
use serde::{Deserialize, Serialize};

use super::firelens::Router;
use crate::engine::{Condition, Dependency, Failure, HealthCheck, Needs, Part, Restart, TaskSpec};

/// AWS: 300 s between restarts where the policy names none.
const ATTEMPT_PERIOD: i64 = 300;

/// What is kept of a task in the journal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    pub task: Task,
    /// By container: the secret part of its metadata URL.
    pub endpoints: Vec<String>,
    pub sequence: i64,
}

#[derive(Debug)]
pub struct Given {
    /// The ARN's last part.
    pub id: String,
    pub task: Task,
    pub endpoints: Vec<String>,
    pub configs: Vec<(Config, HostConfig)>,
    pub spec: TaskSpec,
    /// Who takes the others' output, where one of the containers does.
    pub router: Option<Router>,
    /// What keeps the task from being begun at all.
    pub refused: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    Bridge,
    Host,
    None,
    Awsvpc,
}

impl Given {
    pub fn read(record: Record, stop_timeout: Duration) -> Given {
        let Record { mut task, endpoints, .. } = record;
        let id = task.arn.rsplit('/').next().unwrap_or_default().to_owned();
        let (mut configs, mut refused) = (Vec::new(), None);
        for container in &mut task.containers {
            let read = read_configs(container);
            // As texts they are not needed any more.
            container.docker_config = None;
            match read {
                Ok(pair) => configs.push(pair),
                Err(text) => {
                    let name = &container.name;
                    let text = format!("container {name}: {text}");
                    refused.get_or_insert(Failure::new(Failure::CREATE, text));
                    configs.push(Default::default());
                }
            }
        }
        let mut given = Given {
            id,
            task,
            endpoints,
            configs,
            spec: TaskSpec::default(),
            router: None,
            refused,
        };
        match given.spec(stop_timeout) {
            Ok(spec) => given.spec = spec,
            Err(text) => {
                given.spec.parts = given.task.containers.iter().map(lonely).collect();
                given.refused.get_or_insert(Failure::new(UNRECOGNIZED, text));
            }
        }
        if given.refused.is_none() {
            given.refused = given.missing();
        }
        given
    }

    pub fn network_mode(&self) -> NetworkMode {
        match self.task.network_mode.as_str() {
            "host" => NetworkMode::Host,
            "none" => NetworkMode::None,
            "awsvpc" => NetworkMode::Awsvpc,
            _ => NetworkMode::Bridge,
        }
    }

    /// The runtime's name for a container.
    pub fn container_id(&self, part: usize) -> String {
        format!("{}-{part}", self.id)
    }

    pub fn part_of(&self, container_id: &str) -> Option<usize> {
        let (id, part) = container_id.rsplit_once('-')?;
        let part = part.parse().ok().filter(|part| *part < self.task.containers.len())?;
        (id == self.id).then_some(part)
    }

    fn spec(&self, stop_timeout: Duration) -> Result<TaskSpec, String> {
        let mut parts = Vec::new();
        for (container, (config, _)) in self.task.containers.iter().zip(&self.configs) {
            parts.push(Part {
                depends_on: self.dependencies(container)?,
                start_timeout: seconds(container.start_timeout),
                stop_timeout: seconds(container.stop_timeout).unwrap_or(stop_timeout),
                restart: restart(container),
                health: health(config),
                ..lonely(container)
            });
        }
        let spec = TaskSpec { parts, needs: self.needs() };
        spec.check().map_err(|error| error.to_string())?;
        Ok(spec)
    }

    fn dependencies(&self, container: &Container) -> Result<Vec<Dependency>, String> {
        let mut all = Vec::new();
        let mut add = |on: &str, condition| {
            let named = self.task.containers.iter().position(|other| other.name == on);
            let unknown = || {
                let name = &container.name;
                format!("container {name} depends on {on}, which the task does not have")
            };
            all.push(Dependency { on: named.ok_or_else(unknown)?, condition });
            Ok::<_, String>(())
        };
        for dependency in &container.depends_on {
            let condition = match dependency.condition.as_str() {
                "CREATE" => Condition::Create,
                "START" => Condition::Start,
                "COMPLETE" => Condition::Complete,
                "SUCCESS" => Condition::Success,
                "HEALTHY" => Condition::Healthy,
                other => return Err(format!("{other} is no condition of a dependency")),
            };
            add(&dependency.container_name, condition)?;
        }
        // AWS: links ask for a started container, volumesFrom for one that was created.
        for link in &container.links {
            add(link.split(':').next().unwrap_or(link), Condition::Start)?;
        }
        for from in &container.volumes_from {
            add(&from.source_container, Condition::Create)?;
        }
        Ok(all)
    }

    /// AWS: what a task says of itself counts over the sum of its containers.
    fn needs(&self) -> Needs {
        let all = self.task.containers.iter().zip(&self.configs);
        let cpu: i64 = self.task.containers.iter().map(|c| c.cpu.max(0)).sum();
        let memory: i64 = all
            .map(|(container, (_, host))| match host.memory_reservation >> 20 {
                0 => container.memory.max(0),
                reserved => reserved,
            })
            .sum();
        let cpu = self.task.cpu.map_or(cpu, |vcpus| (vcpus * 1024.0).round() as i64);
        let memory = self.task.memory.unwrap_or(memory);
        let (mut tcp, mut udp) = (BTreeSet::new(), BTreeSet::new());
        let network = self.network_mode();
        for port in self.task.containers.iter().flat_map(|c| &c.port_mappings) {
            let host = match network {
                NetworkMode::Bridge => port.host_port,
                NetworkMode::Host => port.container_port,
                NetworkMode::Awsvpc | NetworkMode::None => 0,
            };
            let Some(host) = u16::try_from(host).ok().filter(|port| *port > 0) else { continue };
            match port.protocol.as_str() {
                "udp" => udp.insert(host),
                _ => tcp.insert(host),
            };
        }
        Needs { cpu: cpu.max(0) as u64, memory: memory.max(0) as u64, tcp, udp }
    }

    /// What the task asks for and this host has not.
    fn missing(&self) -> Option<Failure> {
        let resource = |text: String| Some(Failure::new(Failure::RESOURCE, text));
        for container in &self.task.containers {
            let name = &container.name;
            if let Some(secret) = container.secrets.first() {
                let from = &secret.value_from;
                return resource(format!(
                    "unable to pull secrets or registry auth: unable to retrieve secret {from} \
                     for container {name}: the service is not offered"
                ));
            }
            if let Some(file) = container.environment_files.first() {
                let from = &file.value;
                return resource(format!(
                    "failed to download env files: {from} for container {name}: the service is \
                     not offered"
                ));
            }
            if !container.credential_specs.is_empty() {
                return resource(format!(
                    "credential specs (container {name}) need Active Directory"
                ));
            }
        }
        for volume in &self.task.volumes {
            let what = match volume.r#type.as_str() {
                "efs" => "EFS",
                "fsxWindowsFileServer" => "FSx",
                "ebs" => "EBS",
                _ => continue,
            };
            let name = &volume.name;
            return resource(format!("failed to mount volume {name}: {what} is not offered"));
        }
        if self.task.proxy_configuration.is_some() {
            return resource("the App Mesh proxy is not offered".to_owned());
        }
        None
    }
}

/// AWS: a task that the agent does not understand.
pub const UNRECOGNIZED: &str = "UnrecognizedTaskError";

fn read_configs(container: &Container) -> Result<(Config, HostConfig), String> {
    let Some(docker) = &container.docker_config else { return Ok(Default::default()) };
    let read =
        || Ok::<_, aws_agent::docker::DockerConfigError>((docker.config()?, docker.host_config()?));
    read().map_err(|error| match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    })
}

fn lonely(container: &Container) -> Part {
    Part { name: container.name.clone(), essential: container.essential, ..Part::default() }
}

fn seconds(given: Option<i64>) -> Option<Duration> {
    given
        .and_then(|seconds| u64::try_from(seconds).ok())
        .filter(|s| *s > 0)
        .map(Duration::from_secs)
}

fn restart(container: &Container) -> Option<Restart> {
    let policy = container.restart_policy.as_ref().filter(|policy| policy.enabled)?;
    let period = policy.restart_attempt_period.unwrap_or(ATTEMPT_PERIOD);
    let codes = policy.ignored_exit_codes.iter().filter_map(|code| i32::try_from(*code).ok());
    Some(Restart {
        ignored_exit_codes: codes.collect(),
        attempt_period: Duration::from_secs(u64::try_from(period).unwrap_or(0)),
    })
}

fn health(config: &Config) -> Option<HealthCheck> {
    let check = config.healthcheck.as_ref()?;
    if check.test.is_empty() || check.test[0] == "NONE" {
        return None;
    }
    let span = |nanos: i64, default: u64| match u64::try_from(nanos) {
        Ok(nanos) if nanos > 0 => Duration::from_nanos(nanos),
        _ => Duration::from_secs(default),
    };
    // Docker's defaults.
    Some(HealthCheck {
        interval: span(check.interval, 30),
        timeout: span(check.timeout, 30),
        retries: u32::try_from(check.retries).ok().filter(|n| *n > 0).unwrap_or(3),
        start_period: span(check.start_period, 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_agent::task::{PortMapping, Secret};

    fn task(containers: Vec<Container>) -> Record {
        let arn = "arn:aws:ecs:us-east-1:123456789012:task/default/abc".to_owned();
        let task = Task { arn, containers, ..Task::default() };
        Record { task, ..Record::default() }
    }

    fn container(name: &str) -> Container {
        Container { name: name.into(), essential: true, cpu: 10, memory: 20, ..Default::default() }
    }

    #[test]
    fn needs_are_the_tasks_own_or_its_containers_sum() {
        let mut a = container("a");
        a.port_mappings =
            vec![PortMapping { container_port: 80, host_port: 8080, ..Default::default() }];
        let given = Given::read(task(vec![a, container("b")]), Duration::from_secs(30));
        assert_eq!(given.id, "abc");
        assert_eq!((given.spec.needs.cpu, given.spec.needs.memory), (20, 40));
        assert!(given.spec.needs.tcp.contains(&8080));
        assert_eq!(given.part_of(&given.container_id(1)), Some(1));
        assert_eq!(given.part_of("abc-2"), None);
        let mut record = task(vec![container("a")]);
        (record.task.cpu, record.task.memory) = (Some(0.25), Some(512));
        let given = Given::read(record, Duration::from_secs(30));
        assert_eq!((given.spec.needs.cpu, given.spec.needs.memory), (256, 512));
    }

    #[test]
    fn what_is_not_offered_is_named() {
        let mut a = container("a");
        a.secrets = vec![Secret { value_from: "arn:x".into(), ..Default::default() }];
        let given = Given::read(task(vec![a]), Duration::from_secs(30));
        let text = given.refused.unwrap().to_string();
        assert!(text.starts_with("ResourceInitializationError: "), "{text}");
        assert!(text.contains("arn:x"), "{text}");
    }

    #[test]
    fn a_circle_is_refused() {
        let (mut a, mut b) = (container("a"), container("b"));
        a.links = vec!["b:alias".into()];
        b.links = vec!["a".into()];
        let given = Given::read(task(vec![a, b]), Duration::from_secs(30));
        assert!(given.refused.unwrap().to_string().starts_with("UnrecognizedTaskError"));
        assert_eq!(given.spec.parts.len(), 2);
    }
}
