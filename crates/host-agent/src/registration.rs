//! Joining a cluster: what this host has and can do, and the ARN under which the plane knows it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::config::Config;
use crate::journal::{Journal, JournalError};
use crate::plane::api::{Api, Backoff, CallError};

/// The journal's key.
const INSTANCE: &str = "instance";
/// AWS: registration is tried again for an hour.
const PATIENCE: Duration = Duration::from_secs(3600);

#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The plane has decided: trying again changes nothing.
    #[error("the control plane does not take this host: {0}")]
    Terminal(String),
    #[error("the control plane did not take this host within an hour: {0}")]
    Late(CallError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What a host has, the agent's own share taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    pub cpu: u64,
    /// MiB.
    pub memory: u64,
}

impl Resources {
    pub fn of(config: &Config) -> Resources {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get()) as u64;
        let memory = config.memory.unwrap_or_else(machine_memory);
        Resources {
            cpu: config.cpu.unwrap_or(cores * 1024),
            memory: memory.saturating_sub(config.reserved_memory),
        }
    }
}

/// MiB.
pub fn machine_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// What this agent can do, in the words of AWS's agent. A task definition's `requiresAttributes` are
/// matched against these.
pub fn capabilities(config: &Config) -> Vec<String> {
    let mut all = Vec::new();
    let amazon = |name: &str| format!("com.amazonaws.ecs.capability.{name}");
    let ecs = |name: &str| format!("ecs.capability.{name}");
    all.extend((17..=44).map(|minor| amazon(&format!("docker-remote-api.1.{minor}"))));
    if config.privileged {
        all.push(amazon("privileged-container"));
    }
    all.extend(config.log_drivers.iter().map(|driver| amazon(&format!("logging-driver.{driver}"))));
    all.extend(["task-iam-role", "task-iam-role-network-host"].map(amazon));
    all.extend(["ecr-auth"].map(amazon));
    all.extend(
        [
            "execution-role-ecr-pull",
            "execution-role-awslogs",
            "container-health-check",
            "container-ordering",
            "container-restart-policy",
            "execute-command",
            "full-sync",
            "pid-ipc-namespace-sharing",
            "docker-plugin.local",
            "network.container-port-range",
            "firelens.fluentd",
            "firelens.fluentbit",
            "firelens.options.config.file",
            "logging-driver.awsfirelens.log-driver-buffer-limit",
            "ecr-endpoint",
            // What the plane refuses by its name; without these it would find no host for it.
            "aws-appmesh",
            "efs",
            "efsAuth",
            "env-files.s3",
            "firelens.options.config.s3",
            "fsxWindowsFileServer",
            "private-registry-authentication.secretsmanager",
            "secrets.asm.bootstrap.log-driver",
            "secrets.asm.environment-variables",
            "secrets.ssm.bootstrap.log-driver",
            "secrets.ssm.environment-variables",
        ]
        .map(ecs),
    );
    if config.task_limits != Some(false) {
        // AWS: who limits no tasks limits no large ones either.
        all.extend(["task-cpu-mem-limit", "increased-task-cpu-limit"].map(ecs));
    }
    if config.external {
        all.push(ecs("external"));
    } else if config.task_eni {
        // AWS: outside of the cloud tasks get no network interface.
        all.extend(["task-eni", "task-eni-block-instance-metadata"].map(ecs));
    }
    all
}

fn attributes(config: &Config, first: bool) -> Value {
    let named = |name: &str| json!({ "name": name });
    let mut all: Vec<Value> = capabilities(config).iter().map(|name| named(name)).collect();
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    };
    let mut pair = |name: &str, value: &str| all.push(json!({ "name": name, "value": value }));
    pair("ecs.os-type", "linux");
    pair("ecs.os-family", "LINUX");
    pair("ecs.cpu-architecture", architecture);
    for (name, value) in [
        ("ecs.availability-zone", &config.availability_zone),
        // AWS: told by who gives tasks interfaces.
        ("ecs.subnet-id", &config.subnet_id),
        ("ecs.vpc-id", &config.vpc_id),
    ] {
        value.iter().for_each(|value| pair(name, value));
    }
    if let Some(kind) = config.instance_type() {
        pair("ecs.instance-type", kind);
    }
    if first {
        // AWS: custom attributes are told once; later changes are made through PutAttributes.
        config.attributes.iter().for_each(|(name, value)| pair(name, value));
    }
    Value::from(all)
}

fn resources(config: &Config) -> Value {
    let Resources { cpu, memory } = Resources::of(config);
    let texts = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>();
    json!([
        { "name": "CPU", "type": "INTEGER", "integerValue": cpu },
        { "name": "MEMORY", "type": "INTEGER", "integerValue": memory },
        { "name": "PORTS", "type": "STRINGSET", "stringSetValue": texts(&config.reserved_ports) },
        {
            "name": "PORTS_UDP",
            "type": "STRINGSET",
            "stringSetValue": texts(&config.reserved_udp_ports),
        },
    ])
}

/// The document that says which machine this is; empty for one outside of the cloud.
fn identity(config: &Config) -> String {
    let Some(id) = &config.instance_id else { return String::new() };
    let mut document = json!({ "instanceId": id, "region": config.region });
    if let Some(zone) = &config.availability_zone {
        document["availabilityZone"] = zone.as_str().into();
    }
    document.to_string()
}

/// Register, patiently, and give the instance's ARN.
pub async fn register(
    api: &Api,
    config: &Config,
    journal: &Journal,
) -> Result<String, RegistrationError> {
    let known: Option<Value> = journal.get(INSTANCE)?;
    let remembered = known.as_ref().filter(|known| known["cluster"] == config.cluster.as_str());
    let mut arn = remembered.and_then(|known| known["arn"].as_str()).map(str::to_owned);
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(64), 2.0);
    let begun = tokio::time::Instant::now();
    let token = hex::encode(crate::tasks::random::<16>());
    loop {
        let mut input = json!({
            "cluster": config.cluster,
            "clientToken": token,
            "totalResources": resources(config),
            "attributes": attributes(config, arn.is_none()),
            "instanceIdentityDocument": identity(config),
            "instanceIdentityDocumentSignature": "",
            "versionInfo": {
                "agentVersion": crate::VERSION,
                "agentHash": crate::HASH,
                "dockerVersion": DOCKER_VERSION,
            },
        });
        if let Some(arn) = &arn {
            input["containerInstanceArn"] = arn.as_str().into();
        }
        if !config.tags.is_empty() && arn.is_none() {
            let tags = config.tags.iter().map(|(key, value)| json!({"key": key, "value": value}));
            input["tags"] = tags.collect();
        }
        let error = match api.call("RegisterContainerInstance", &input).await {
            Ok(answer) => {
                let given = &answer["containerInstance"]["containerInstanceArn"];
                let given = given.as_str().unwrap_or_default().to_owned();
                let value = json!({ "arn": given, "cluster": config.cluster });
                journal.put(INSTANCE, &value).await?;
                return Ok(given);
            }
            Err(error) => error,
        };
        let code = error.code().unwrap_or_default();
        if code == "ClusterNotFoundException" && config.cluster_is_default {
            // AWS: an agent that was told of no cluster makes the default one.
            let made = api.call("CreateCluster", &json!({ "clusterName": config.cluster })).await;
            if made.is_ok() {
                continue;
            }
        } else if code == "InvalidParameterException" && arn.is_some() {
            tracing::warn!("the plane does not know this host any more; it joins anew: {error}");
            arn = None;
            continue;
        } else if !error.passes() {
            return Err(RegistrationError::Terminal(error.to_string()));
        }
        if begun.elapsed() > PATIENCE {
            return Err(RegistrationError::Late(error));
        }
        tracing::warn!("not registered yet: {error}");
        tokio::time::sleep(backoff.wait()).await;
    }
}

/// What the agent says where AWS's names its Docker.
pub const DOCKER_VERSION: &str = concat!("wharf ", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    #[test]
    fn only_a_host_that_addresses_lead_to_gives_interfaces() {
        let mut source = Source::default();
        let has =
            |config: &Config| capabilities(config).contains(&"ecs.capability.task-eni".into());
        assert!(!has(&source.config().unwrap()));
        source.set("ECS_ENABLE_TASK_ENI", "true");
        assert!(has(&source.config().unwrap()));
        source.set("ECS_EXTERNAL", "true");
        source.set("AWS_REGION", "eu-west-1");
        let config = source.config().unwrap();
        assert!(!has(&config));
        assert_eq!(identity(&config), "");
    }

    #[test]
    fn a_host_without_tasks_limits_does_not_promise_them() {
        let mut source = Source::default();
        let told = |source: &Source| {
            let all = capabilities(&source.config().unwrap());
            let limits = all.into_iter().filter(|name| name.ends_with("-limit"));
            limits.filter(|name| name.contains(".task-") || name.contains("-task-")).count()
        };
        assert_eq!(told(&source), 2);
        source.set("ECS_ENABLE_TASK_CPU_MEM_LIMIT", "true");
        assert_eq!(told(&source), 2);
        source.set("ECS_ENABLE_TASK_CPU_MEM_LIMIT", "false");
        assert_eq!(told(&source), 0);
    }

    #[test]
    fn custom_attributes_are_told_once() {
        let mut source = Source::default();
        source.set("ECS_INSTANCE_ATTRIBUTES", "{\"stack\":\"prod\"}");
        let config = source.config().unwrap();
        let told = |first| attributes(&config, first).to_string().contains("stack");
        assert!(told(true) && !told(false));
    }
}
