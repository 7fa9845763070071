//! Each container by itself: names, memory, health checks, environment, and what AWS fills in.

use aws_protocol::ApiError;
use core_types::Arn;
use model_ecs as api;

use super::{check_enum, containers_of, is_mode, name_of, names, refuse};

pub fn check_and_fill(definition: &mut api::TaskDefinition) -> Result<(), ApiError> {
    let has_task_memory = definition.memory.is_some();
    for container in definition.container_definitions.iter_mut().flatten() {
        check_name_and_image(container)?;
        check_memory(container, has_task_memory)?;
        check_health(container)?;
        check_environment(container)?;
        check_limits(container)?;
        check_linux(container)?;
        fill(container);
    }
    check_together(definition)?;
    check_network_mode(definition)?;
    check_sums(definition)
}

fn check_name_and_image(container: &api::ContainerDefinition) -> Result<(), ApiError> {
    names::check_container(name_of(container))?;
    let image = container.image.as_deref().unwrap_or_default();
    if image.is_empty() {
        return Err(refuse("Container.image should not be null or empty."));
    }
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_:./@#".contains(&b);
    if image.len() > 255 || !image.bytes().all(good) {
        return Err(refuse("Container.image contains invalid characters."));
    }
    let consistency = container.version_consistency.as_ref().map(|value| value.as_str());
    check_enum("versionConsistency", consistency, api::VersionConsistency::VALUES)
}

fn check_memory(
    container: &api::ContainerDefinition,
    has_task_memory: bool,
) -> Result<(), ApiError> {
    let name = name_of(container);
    let invalid = |what: &str| refuse(format!("Invalid '{what}' setting for container '{name}'."));
    // AWS: the daemon refuses less than 4 MiB.
    for (what, size) in
        [("memory", container.memory), ("memoryReservation", container.memory_reservation)]
    {
        if size.is_some_and(|size| size < 4) {
            return Err(invalid(what));
        }
    }
    if container.cpu.is_some_and(|cpu| cpu < 0) {
        return Err(invalid("cpu"));
    }
    match (container.memory, container.memory_reservation) {
        (None, None) if !has_task_memory => Err(refuse(format!(
            "Invalid setting for container '{name}'. At least one of 'memory' or \
             'memoryReservation' must be specified."
        ))),
        (Some(memory), Some(reserved)) if memory < reserved => Err(refuse(format!(
            "Invalid setting for container '{name}'. 'memory' must be greater than or equal to \
             'memoryReservation'."
        ))),
        _ => Ok(()),
    }
}

fn check_range(
    name: &str,
    what: &str,
    value: Option<i32>,
    range: std::ops::RangeInclusive<i32>,
) -> Result<(), ApiError> {
    match value {
        Some(value) if !range.contains(&value) => Err(refuse(format!(
            "the '{what}' setting for container '{name}' must be between {} and {}",
            range.start(),
            range.end()
        ))),
        _ => Ok(()),
    }
}

fn check_health(container: &api::ContainerDefinition) -> Result<(), ApiError> {
    let name = name_of(container);
    if let Some(health) = &container.health_check {
        let command = health.command.as_deref().unwrap_or_default();
        if command.is_empty() {
            return Err(refuse(format!(
                "Health check command for container '{name}' should not be null or empty."
            )));
        }
        check_range(name, "healthCheck.interval", health.interval, 5..=300)?;
        check_range(name, "healthCheck.timeout", health.timeout, 2..=60)?;
        check_range(name, "healthCheck.retries", health.retries, 1..=10)?;
        check_range(name, "healthCheck.startPeriod", health.start_period, 0..=300)?;
    }
    if let Some(policy) = &container.restart_policy {
        check_range(name, "restartAttemptPeriod", policy.restart_attempt_period, 60..=1800)?;
        // AWS: up to fifty exit codes.
        if policy.ignored_exit_codes.as_ref().is_some_and(|codes| codes.len() > 50) {
            return Err(refuse(format!(
                "the 'ignoredExitCodes' setting for container '{name}' must have at most 50 \
                 elements"
            )));
        }
    }
    for (what, value) in
        [("startTimeout", container.start_timeout), ("stopTimeout", container.stop_timeout)]
    {
        if value.is_some_and(|seconds| seconds < 0) {
            return Err(refuse(format!("Invalid '{what}' setting for container '{name}'.")));
        }
    }
    Ok(())
}

fn check_environment(container: &api::ContainerDefinition) -> Result<(), ApiError> {
    let environment = container.environment.as_deref().unwrap_or_default();
    if environment.iter().any(|pair| pair.name.as_deref().unwrap_or_default().is_empty()) {
        return Err(refuse("Environment variable name should not be null or empty."));
    }
    let mut seen: Vec<&str> = Vec::new();
    for secret in container.secrets.iter().flatten() {
        let name = secret.name.as_deref().unwrap_or_default();
        let from = secret.value_from.as_deref().unwrap_or_default();
        if name.is_empty() || from.is_empty() {
            return Err(refuse("Secret name and valueFrom should not be null or empty."));
        }
        let twice = seen.contains(&name)
            || environment.iter().any(|pair| pair.name.as_deref() == Some(name));
        if twice {
            return Err(refuse(format!(
                "The secret name must be unique and not shared with any new or existing \
                 environment variables set on the container, such as '{name}'."
            )));
        }
        seen.push(name);
    }
    let files = container.environment_files.as_deref().unwrap_or_default();
    if files.len() > 10 {
        return Err(refuse(
            "The maximum number of environment files was exceeded. Specify ten or less and try \
             again.",
        ));
    }
    for file in files {
        let kind = file.r#type.as_ref().map(|kind| kind.as_str());
        check_enum("type", kind.or(Some("")), api::EnvironmentFileType::VALUES)?;
        let value = file.value.as_deref().unwrap_or_default();
        match Arn::parse(value) {
            Ok(arn) if arn.service == "s3" => {}
            _ => return Err(refuse("Invalid arn syntax.")),
        }
    }
    Ok(())
}

fn check_limits(container: &api::ContainerDefinition) -> Result<(), ApiError> {
    let name = name_of(container);
    let mut seen = Vec::new();
    for limit in container.ulimits.iter().flatten() {
        let kind = limit.name.as_ref().map(|kind| kind.as_str()).unwrap_or_default();
        check_enum("name", Some(kind), api::UlimitName::VALUES)?;
        let (soft, hard) = (limit.soft_limit, limit.hard_limit);
        let over = soft.zip(hard).is_none_or(|(soft, hard)| hard >= 0 && soft > hard);
        if over || seen.contains(&kind) {
            return Err(refuse(format!("Invalid 'ulimits' setting for container '{name}'.")));
        }
        seen.push(kind);
    }
    for requirement in container.resource_requirements.iter().flatten() {
        let kind = requirement.r#type.as_ref().map(|kind| kind.as_str()).unwrap_or_default();
        check_enum("type", Some(kind), api::ResourceType::VALUES)?;
        let value = requirement.value.as_deref().unwrap_or_default();
        match kind {
            "GPU" if value.parse::<u32>().is_ok_and(|n| (1..=64).contains(&n)) => {}
            "GPU" => {
                return Err(refuse(format!(
                    "Invalid 'resourceRequirements' setting for container '{name}'."
                )));
            }
            // AWS: Elastic Inference is gone; nothing can be named here any more.
            "InferenceAccelerator" => {
                return Err(refuse("Unsupported field 'inferenceAccelerators'."));
            }
            _ => {}
        }
    }
    if let Some(credentials) = &container.repository_credentials
        && credentials.credentials_parameter.as_deref().unwrap_or_default().is_empty()
    {
        return Err(refuse("credentialsParameter should not be null or empty."));
    }
    Ok(())
}

/// AWS's list of what a container may add or drop.
const CAPABILITIES: &[&str] = &[
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYSLOG",
    "WAKE_ALARM",
];

fn check_linux(container: &api::ContainerDefinition) -> Result<(), ApiError> {
    let Some(linux) = &container.linux_parameters else { return Ok(()) };
    let name = name_of(container);
    let invalid = |what: &str| refuse(format!("Invalid '{what}' setting for container '{name}'."));
    if let Some(capabilities) = &linux.capabilities {
        let all = capabilities.add.iter().chain(&capabilities.drop).flatten();
        for one in all {
            if !CAPABILITIES.contains(&one.as_str()) {
                return Err(refuse(format!("Invalid linux capability: {one}")));
            }
        }
    }
    for device in linux.devices.iter().flatten() {
        if device.host_path.as_deref().unwrap_or_default().is_empty() {
            return Err(refuse("Device.hostPath should not be null or empty."));
        }
        for permission in device.permissions.iter().flatten() {
            let known = api::DeviceCgroupPermission::VALUES;
            check_enum("permissions", Some(permission.as_str()), known)?;
        }
    }
    for tmpfs in linux.tmpfs.iter().flatten() {
        let path = tmpfs.container_path.as_deref().unwrap_or_default();
        if path.is_empty() || tmpfs.size.is_none_or(|size| size <= 0) {
            return Err(invalid("tmpfs"));
        }
    }
    if linux.shared_memory_size.is_some_and(|size| size < 0) {
        return Err(invalid("sharedMemorySize"));
    }
    if linux.max_swap.is_some_and(|size| size < 0) {
        return Err(invalid("maxSwap"));
    }
    if linux.swappiness.is_some_and(|value| !(0..=100).contains(&value)) {
        return Err(invalid("swappiness"));
    }
    Ok(())
}

/// AWS: these are always there, with these values where they were not given.
fn fill(container: &mut api::ContainerDefinition) {
    container.cpu.get_or_insert(0);
    container.essential.get_or_insert(true);
    container.port_mappings.get_or_insert_default();
    container.environment.get_or_insert_default();
    container.mount_points.get_or_insert_default();
    container.volumes_from.get_or_insert_default();
    container.system_controls.get_or_insert_default();
    if let Some(health) = &mut container.health_check {
        health.interval.get_or_insert(30);
        health.timeout.get_or_insert(5);
        health.retries.get_or_insert(3);
    }
}

/// What the containers are to each other.
fn check_together(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    let containers = containers_of(definition);
    for (nth, container) in containers.iter().enumerate() {
        if containers[..nth].iter().any(|other| other.name == container.name) {
            return Err(refuse("Container names must be unique within a task definition."));
        }
    }
    if containers.iter().all(|container| container.essential == Some(false)) {
        return Err(refuse("Task definition doesn't have any essential container."));
    }
    let has_secrets = containers.iter().any(|c| c.secrets.as_ref().is_some_and(|s| !s.is_empty()));
    if has_secrets && definition.execution_role_arn.is_none() {
        return Err(refuse(
            "When you are specifying container secrets, you must also specify a value for \
             'executionRoleArn'.",
        ));
    }
    Ok(())
}

/// What a container may not have where it shares a network interface.
fn check_network_mode(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    let awsvpc = is_mode(definition, "awsvpc");
    let shares = awsvpc || is_mode(definition, "host") || is_mode(definition, "none");
    let Some(mode) = definition.network_mode.as_ref().filter(|_| shares) else { return Ok(()) };
    let mode = mode.as_str();
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    for container in containers_of(definition) {
        if some(&container.links) {
            return Err(refuse(format!("Links are not supported when networkMode={mode}.")));
        }
        if !awsvpc {
            continue;
        }
        let extra = container.extra_hosts.as_ref().is_some_and(|list| !list.is_empty());
        let refused = [
            (container.hostname.is_some(), "hostname is"),
            (some(&container.dns_servers), "DNS servers are"),
            (some(&container.dns_search_domains), "DNS search domains are"),
            (extra, "Extra hosts are"),
            (container.disable_networking == Some(true), "Disable Networking is"),
        ];
        if let Some((_, what)) = refused.into_iter().find(|(refused, _)| *refused) {
            return Err(refuse(format!(
                "{what} not supported on container when networkMode=awsvpc."
            )));
        }
    }
    Ok(())
}

/// The containers fit into the task.
fn check_sums(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<i64>().ok());
    let containers = containers_of(definition);
    if let Some(memory) = number(&definition.memory) {
        for container in containers {
            if container.memory.is_some_and(|limit| i64::from(limit) > memory) {
                let name = name_of(container);
                return Err(refuse(format!(
                    "Invalid setting for container '{name}'. The 'memory' setting for container \
                     '{name}' is greater than for the task."
                )));
            }
        }
        let reserved = |c: &api::ContainerDefinition| c.memory_reservation.unwrap_or_default();
        let sum: i64 = containers.iter().map(|c| i64::from(reserved(c))).sum();
        if sum > memory {
            return Err(refuse(
                "The sum of all container 'memoryReservation' values cannot be greater than the \
                 value of the task 'memory'.",
            ));
        }
    }
    if let Some(cpu) = number(&definition.cpu) {
        let sum: i64 = containers.iter().map(|c| i64::from(c.cpu.unwrap_or_default())).sum();
        if sum > cpu {
            return Err(refuse(
                "The sum of all container 'cpu' values cannot be greater than the value of the \
                 task 'cpu'.",
            ));
        }
    }
    Ok(())
}
