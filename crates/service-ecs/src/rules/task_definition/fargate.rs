//! What Fargate asks of a task definition, and which launch types a definition is fit for.

use aws_protocol::ApiError;
use model_ecs as api;

use super::{containers_of, is_mode, refuse, sizes};

/// AWS: `requiresCompatibilities` is a demand; `compatibilities` is what was found.
pub fn compatibilities(
    definition: &api::TaskDefinition,
) -> Result<Vec<api::Compatibility>, ApiError> {
    let required = definition.requires_compatibilities.as_deref().unwrap_or_default();
    let fargate = check(definition);
    if required.contains(&api::Compatibility::FARGATE) {
        fargate.clone()?;
    }
    let external = check_external(definition);
    if required.contains(&api::Compatibility::EXTERNAL) {
        external.clone()?;
    }
    let managed = check_managed(definition);
    if required.contains(&api::Compatibility::MANAGED_INSTANCES) {
        managed.clone()?;
    }
    let mut fit = Vec::new();
    if external.is_ok() {
        fit.push(api::Compatibility::EXTERNAL);
    }
    fit.push(api::Compatibility::EC2);
    if managed.is_ok() {
        fit.push(api::Compatibility::MANAGED_INSTANCES);
    }
    if fargate.is_ok() {
        fit.push(api::Compatibility::FARGATE);
    }
    Ok(fit)
}

/// AWS: hosts outside of EC2 have no network interfaces to hand out and mount no EFS.
fn check_external(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    if is_mode(definition, "awsvpc") {
        return Err(refuse(
            "External compatible task definitions do not support network mode 'awsvpc'.",
        ));
    }
    let volumes = definition.volumes.as_deref().unwrap_or_default();
    if volumes.iter().any(|v| v.fsx_windows_file_server_volume_configuration.is_some()) {
        return Err(refuse(
            "External compatible task definitions do not support \
             fsxWindowsFileServerVolumeConfiguration.",
        ));
    }
    Ok(())
}

/// AWS: Managed Instances run awsvpc and host mode, with sizes for the task.
fn check_managed(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    if !is_mode(definition, "awsvpc") && !is_mode(definition, "host") {
        return Err(refuse("Managed Instances only support network mode 'awsvpc' or 'host'."));
    }
    for (what, value) in [("cpu", &definition.cpu), ("memory", &definition.memory)] {
        if value.is_none() {
            return Err(refuse(format!(
                "Managed Instances require that '{what}' be defined at the task level."
            )));
        }
    }
    let volumes = definition.volumes.as_deref().unwrap_or_default();
    if volumes.iter().any(|v| v.docker_volume_configuration.is_some()) {
        return Err(refuse(
            "Managed Instances compatible task definitions do not support \
             dockerVolumeConfiguration.",
        ));
    }
    Ok(())
}

fn check(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    if !is_mode(definition, "awsvpc") {
        return Err(refuse("Fargate only supports network mode ‘awsvpc’."));
    }
    check_sizes(definition)?;
    let unsupported =
        |what: &str| refuse(format!("Fargate compatible task definitions do not support {what}"));
    if definition.placement_constraints.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(unsupported("constraints"));
    }
    if definition.ipc_mode.is_some() {
        return Err(unsupported("ipcMode"));
    }
    if let Some(mode) = definition.pid_mode.as_ref().filter(|mode| mode.as_str() != "task") {
        return Err(refuse(format!(
            "Tasks using the Fargate launch type do not support pidMode '{mode}'. The supported \
             value for pidMode is 'task'."
        )));
    }
    for volume in definition.volumes.iter().flatten() {
        if volume.host.as_ref().is_some_and(|host| host.source_path.is_some()) {
            return Err(unsupported("sourcePath"));
        }
        if volume.docker_volume_configuration.is_some() {
            return Err(unsupported("dockerVolumeConfiguration"));
        }
        if volume.fsx_windows_file_server_volume_configuration.is_some() {
            return Err(unsupported("fsxWindowsFileServerVolumeConfiguration"));
        }
    }
    for container in containers_of(definition) {
        check_container(container)?;
        check_roles(definition, container)?;
        check_logs(container)?;
    }
    Ok(())
}

fn check_sizes(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
    let needed = |what: &str| {
        refuse(format!("Fargate requires that '{what}' be defined at the task level."))
    };
    let cpu: u32 = number(&definition.cpu).ok_or_else(|| needed("cpu"))?;
    let memory: u32 = number(&definition.memory).ok_or_else(|| needed("memory"))?;
    let platform = definition.runtime_platform.as_ref();
    let os = platform.and_then(|p| p.operating_system_family.as_ref());
    // AWS: Windows needs a whole vCPU, and has no more than four.
    let windows = os.is_some_and(|os| os.as_str() != "LINUX");
    let fits = !windows || (1024..=4096).contains(&cpu);
    if !fits || !sizes::is_fargate_pair(cpu, memory) {
        return Err(refuse(
            "No Fargate configuration exists for given values: ".to_owned()
                + &format!("{cpu} CPU, {memory} memory. ")
                + "See the Amazon ECS documentation for the valid values.",
        ));
    }
    Ok(())
}

fn check_container(container: &api::ContainerDefinition) -> Result<(), ApiError> {
    let unsupported =
        |what: &str| refuse(format!("Fargate compatible task definitions do not support {what}"));
    if container.privileged == Some(true) {
        return Err(refuse("Fargate requires that the 'privileged' setting be 'false'."));
    }
    if container.docker_security_options.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(unsupported("dockerSecurityOptions"));
    }
    let gpu = |r: &api::ResourceRequirement| r.r#type == Some(api::ResourceType::GPU);
    if container.resource_requirements.iter().flatten().any(gpu) {
        return Err(refuse(
            "Tasks using the Fargate launch type do not support GPU resource requirements.",
        ));
    }
    // AWS: two minutes to start or stop are the most on Fargate.
    for (what, value) in
        [("startTimeout", container.start_timeout), ("stopTimeout", container.stop_timeout)]
    {
        if value.is_some_and(|seconds| seconds > 120) {
            return Err(refuse(format!("Fargate requires that '{what}' be at most 120 seconds.")));
        }
    }
    let Some(linux) = &container.linux_parameters else { return Ok(()) };
    let refused = [
        (linux.devices.as_ref().is_some_and(|list| !list.is_empty()), "devices"),
        (linux.shared_memory_size.is_some(), "sharedMemorySize"),
        (linux.max_swap.is_some(), "maxSwap"),
        (linux.swappiness.is_some(), "swappiness"),
    ];
    if let Some((_, what)) = refused.into_iter().find(|(refused, _)| *refused) {
        return Err(unsupported(what));
    }
    let added = linux.capabilities.as_ref().and_then(|c| c.add.as_ref());
    match added.into_iter().flatten().find(|one| *one != "SYS_PTRACE") {
        Some(one) => Err(refuse(format!("{one} is not allowed on Fargate."))),
        None => Ok(()),
    }
}

/// AWS: Fargate itself pulls and logs, and needs a role to do it.
fn check_roles(
    definition: &api::TaskDefinition,
    container: &api::ContainerDefinition,
) -> Result<(), ApiError> {
    if definition.execution_role_arn.is_some() {
        return Ok(());
    }
    let driver = container.log_configuration.as_ref().and_then(|log| log.log_driver.as_ref());
    let reason = if is_ecr_image(container) {
        "ECR images"
    } else if driver == Some(&api::LogDriver::AWSLOGS) {
        "log driver awslogs"
    } else if container.repository_credentials.is_some() {
        "private registry authentication"
    } else if container.environment_files.as_ref().is_some_and(|files| !files.is_empty()) {
        "environment files"
    } else {
        return Ok(());
    };
    Err(refuse(format!(
        "Fargate requires task definition to have execution role ARN to support {reason}."
    )))
}

fn check_logs(container: &api::ContainerDefinition) -> Result<(), ApiError> {
    let Some(log) = &container.log_configuration else { return Ok(()) };
    let driver = log.log_driver.as_ref().map(|driver| driver.as_str()).unwrap_or_default();
    if !["awslogs", "splunk", "awsfirelens"].contains(&driver) {
        return Err(refuse(format!(
            "{driver} is not a valid log driver. Must be one of [awslogs, splunk, awsfirelens]"
        )));
    }
    let prefix = log.options.as_ref().is_some_and(|o| o.contains_key("awslogs-stream-prefix"));
    if driver == "awslogs" && !prefix {
        return Err(refuse(
            "Fargate requires log configuration options to include awslogs-stream-prefix to \
             support log driver awslogs.",
        ));
    }
    Ok(())
}

/// `123456789012.dkr.ecr.region.amazonaws.com/…`
pub fn is_ecr_image(container: &api::ContainerDefinition) -> bool {
    let image = container.image.as_deref().unwrap_or_default();
    let host = image.split('/').next().unwrap_or_default();
    host.split_once(".dkr.ecr.").is_some_and(|(account, _)| {
        account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
    })
}
