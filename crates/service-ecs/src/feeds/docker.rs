//! The part of a container definition that travels as Docker's own configuration.
//!
//! AWS: labels, logs, Linux parameters, limits, health check, names and users have no member of
//! their own in a payload; the control plane writes them as Docker's API would take them.

use std::collections::BTreeMap;

use aws_agent::docker::{
    Config, DeviceMapping, DockerConfig, Healthcheck, HostConfig, LogConfig, Ulimit,
};
use model_ecs as api;

use crate::rows::task::Task;
use crate::rules::task_definition::name_of;

const MIB: i64 = 1 << 20;
const SECOND: i64 = 1_000_000_000;

/// What a container's configuration takes from beyond its definition.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// This server, as the host has it.
    pub endpoint: &'a str,
    /// The account's `defaultLogDriverMode`.
    pub log_mode: &'a str,
}

pub fn config(
    row: &Task,
    definition: &api::TaskDefinition,
    given: &api::ContainerDefinition,
    around: Around<'_>,
) -> DockerConfig {
    let config = Config {
        hostname: given.hostname.clone().unwrap_or_default(),
        user: given.user.clone().unwrap_or_default(),
        working_dir: given.working_directory.clone().unwrap_or_default(),
        tty: given.pseudo_terminal == Some(true),
        open_stdin: given.interactive == Some(true),
        network_disabled: given.disable_networking == Some(true),
        labels: given.docker_labels.clone().unwrap_or_default(),
        healthcheck: given.health_check.as_ref().map(healthcheck),
        ..Default::default()
    };
    DockerConfig::new(&config, &host_config(row, definition, given, around))
}

fn healthcheck(given: &api::HealthCheck) -> Healthcheck {
    let time = |seconds: Option<i32>| i64::from(seconds.unwrap_or_default()) * SECOND;
    Healthcheck {
        test: given.command.clone().unwrap_or_default(),
        interval: time(given.interval),
        timeout: time(given.timeout),
        start_period: time(given.start_period),
        retries: given.retries.unwrap_or_default().into(),
        ..Default::default()
    }
}

fn host_config(
    row: &Task,
    definition: &api::TaskDefinition,
    given: &api::ContainerDefinition,
    around: Around<'_>,
) -> HostConfig {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let mode = definition.network_mode.as_ref().map(|mode| mode.as_str());
    let host = |host: &api::HostEntry| {
        format!(
            "{}:{}",
            host.hostname.as_deref().unwrap_or_default(),
            host.ip_address.as_deref().unwrap_or_default()
        )
    };
    let control =
        |control: &api::SystemControl| Some((control.namespace.clone()?, control.value.clone()?));
    let mut config = HostConfig {
        network_mode: match mode {
            // Its interface is the agent's to give.
            Some("awsvpc") => String::new(),
            mode => mode.unwrap_or("bridge").to_owned(),
        },
        privileged: given.privileged == Some(true),
        readonly_rootfs: given.readonly_root_filesystem == Some(true),
        dns: list(&given.dns_servers),
        dns_search: list(&given.dns_search_domains),
        extra_hosts: given.extra_hosts.iter().flatten().map(host).collect(),
        security_opt: list(&given.docker_security_options),
        sysctls: given.system_controls.iter().flatten().filter_map(control).collect(),
        ulimits: given.ulimits.iter().flatten().map(ulimit).collect(),
        log_config: log_config(row, given, around),
        memory_reservation: given.memory_reservation.map_or(0, |memory| i64::from(memory) * MIB),
        ..Default::default()
    };
    if let Some(linux) = &given.linux_parameters {
        linux_parameters(&mut config, given, linux);
    }
    config
}

fn linux_parameters(
    config: &mut HostConfig,
    given: &api::ContainerDefinition,
    linux: &api::LinuxParameters,
) {
    if let Some(capabilities) = &linux.capabilities {
        config.cap_add = capabilities.add.clone().unwrap_or_default();
        config.cap_drop = capabilities.drop.clone().unwrap_or_default();
    }
    config.init = linux.init_process_enabled;
    config.shm_size = linux.shared_memory_size.map_or(0, |size| i64::from(size) * MIB);
    config.devices = linux.devices.iter().flatten().map(device).collect();
    config.memory_swappiness = linux.swappiness.map(Into::into);
    // AWS: `maxSwap` is swap alone; Docker counts memory and swap together.
    if let (Some(swap), Some(memory)) = (linux.max_swap, given.memory) {
        config.memory_swap = (i64::from(memory) + i64::from(swap)) * MIB;
    }
    for tmpfs in linux.tmpfs.iter().flatten() {
        let mut options = tmpfs.mount_options.clone().unwrap_or_default();
        options.push(format!("size={}m", tmpfs.size.unwrap_or_default()));
        let path = tmpfs.container_path.clone().unwrap_or_default();
        config.tmpfs.insert(path, options.join(","));
    }
}

/// AWS: without permissions a device may be read, written and made.
fn device(given: &api::Device) -> DeviceMapping {
    let host = given.host_path.clone().unwrap_or_default();
    let has = |word: &str| {
        let list = given.permissions.as_deref().unwrap_or_default();
        list.is_empty() || list.iter().any(|one| one.as_str() == word)
    };
    let letters = [("read", "r"), ("write", "w"), ("mknod", "m")];
    DeviceMapping {
        path_in_container: given.container_path.clone().unwrap_or_else(|| host.clone()),
        path_on_host: host,
        cgroup_permissions: letters.iter().filter(|(word, _)| has(word)).map(|(_, l)| *l).collect(),
    }
}

fn ulimit(given: &api::Ulimit) -> Ulimit {
    Ulimit {
        name: given.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        hard: given.hard_limit.unwrap_or_default().into(),
        soft: given.soft_limit.unwrap_or_default().into(),
    }
}

/// AWS: how much a driver that does not keep up may hold back; Docker's own default is 1 MiB.
const LOG_BUFFER: &str = "10m";

fn log_config(row: &Task, given: &api::ContainerDefinition, around: Around<'_>) -> LogConfig {
    let Some(log) = &given.log_configuration else { return LogConfig::default() };
    let driver = log.log_driver.as_ref().map(|driver| driver.as_str()).unwrap_or_default();
    let mut options = log.options.clone().unwrap_or_default();
    if driver == "awslogs" {
        // AWS: the control plane makes the stream's name of the prefix; the driver knows none.
        if let Some(prefix) = options.remove("awslogs-stream-prefix") {
            let stream = format!("{prefix}/{}/{}", name_of(given), row.id);
            options.entry("awslogs-stream".to_owned()).or_insert(stream);
        }
        let region = || row.cluster.0.region.to_string();
        options.entry("awslogs-region".to_owned()).or_insert_with(region);
        options.entry("awslogs-endpoint".to_owned()).or_insert_with(|| around.endpoint.to_owned());
    }
    // FireLens passes its options on to the router.
    if driver != "awsfirelens" {
        log_mode(&mut options, around.log_mode);
    }
    LogConfig { r#type: driver.to_owned(), config: options }
}

/// AWS: where a definition says nothing the account's setting holds, which is `non-blocking` unless it
/// was changed. Docker, left alone, would block.
fn log_mode(options: &mut BTreeMap<String, String>, default: &str) {
    const NON_BLOCKING: &str = "non-blocking";
    // Only a mode that has a buffer can be meant where its size is given.
    let sized = options.contains_key("max-buffer-size");
    let default = if sized { NON_BLOCKING } else { default };
    let mode = options.entry("mode".to_owned()).or_insert_with(|| default.to_owned());
    if mode == NON_BLOCKING {
        options.entry("max-buffer-size".to_owned()).or_insert_with(|| LOG_BUFFER.to_owned());
    }
}
