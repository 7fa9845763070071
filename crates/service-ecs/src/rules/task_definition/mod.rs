//! From a registration to the task definition that AWS shows: checked, defaults filled in.
//!
//! The form that is stored is the form that is shown, so describing one is a clone. What the
//! caller gave is returned as it was given; only what AWS fills in is added.

use aws_protocol::ApiError;
use model_ecs::{self as api, errors};

mod capabilities;
mod containers;
mod fargate;
mod logging;
mod names;
mod ordering;
mod ports;
pub mod sizes;
mod volumes;

pub use names::{Reference, check_family, role_arn};

/// A refusal of a registration.
pub(crate) fn refuse(text: impl Into<String>) -> ApiError {
    errors::client_exception(text)
}

/// AWS: ten containers a task definition.
const MOST_CONTAINERS: usize = 10;
/// AWS: ten placement constraints a task definition.
const MOST_CONSTRAINTS: usize = 10;
/// AWS: 64 KiB for the whole definition.
const LONGEST: usize = 65_536;

pub type Registration = api::RegisterTaskDefinitionRequest;

/// The definition that this registration makes, without its revision and times.
pub fn normalised(
    given: Registration,
    account: core_types::AccountId,
) -> Result<api::TaskDefinition, ApiError> {
    let family = given.family.unwrap_or_default();
    check_family(&family)?;
    let containers = given.container_definitions.unwrap_or_default();
    if containers.is_empty() {
        return Err(refuse("Container list cannot be empty."));
    }
    if containers.len() > MOST_CONTAINERS {
        return Err(refuse("Too many containers."));
    }
    let role = |given: Option<String>| role_arn(given, account);
    let mut definition = api::TaskDefinition {
        family: Some(family),
        container_definitions: Some(containers),
        cpu: sizes::task_cpu(given.cpu.as_deref())?.map(|cpu| cpu.to_string()),
        memory: sizes::task_memory(given.memory.as_deref())?.map(|memory| memory.to_string()),
        // AWS: absent stays absent; such a task runs in bridge mode on Linux.
        network_mode: given.network_mode,
        requires_compatibilities: given.requires_compatibilities.filter(|c| !c.is_empty()),
        execution_role_arn: role(given.execution_role_arn)?,
        task_role_arn: role(given.task_role_arn)?,
        volumes: Some(given.volumes.unwrap_or_default()),
        placement_constraints: Some(given.placement_constraints.unwrap_or_default()),
        pid_mode: given.pid_mode,
        ipc_mode: given.ipc_mode,
        proxy_configuration: given.proxy_configuration,
        runtime_platform: given.runtime_platform,
        ephemeral_storage: given.ephemeral_storage,
        trusted_execution_configuration: given.trusted_execution_configuration,
        // AWS: false where it was not given.
        enable_fault_injection: Some(given.enable_fault_injection.unwrap_or(false)),
        status: Some(api::TaskDefinitionStatus::ACTIVE),
        ..Default::default()
    };
    if given.inference_accelerators.is_some_and(|list| !list.is_empty()) {
        // AWS: Elastic Inference is gone, and so is the parameter.
        return Err(refuse("Unsupported field 'inferenceAccelerators'."));
    }
    check_enums(&definition)?;
    containers::check_and_fill(&mut definition)?;
    volumes::check_and_fill(&mut definition)?;
    ports::check_and_fill(&mut definition)?;
    ordering::check(&definition)?;
    logging::check(&definition)?;
    check_task(&definition)?;
    definition.compatibilities = Some(fargate::compatibilities(&definition)?);
    definition.requires_attributes = Some(capabilities::required(&definition));
    check_length(&definition)?;
    Ok(definition)
}

fn check_length(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    let length = aws_protocol::stored::to_json(definition).len();
    if length > LONGEST {
        return Err(refuse(format!(
            "Actual length: '{length}'. Max allowed length is '{LONGEST}' bytes."
        )));
    }
    Ok(())
}

/// An enum's value that the model does not know.
pub(crate) fn check_enum(what: &str, value: Option<&str>, known: &[&str]) -> Result<(), ApiError> {
    match value {
        Some(value) if !known.contains(&value) => {
            Err(refuse(format!("{what} should be one of [{}]", known.join(", "))))
        }
        _ => Ok(()),
    }
}

fn check_enums(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    let d = definition;
    let mode = d.network_mode.as_ref().map(|v| v.as_str());
    check_enum("networkMode", mode, api::NetworkMode::VALUES)?;
    check_enum("pidMode", d.pid_mode.as_ref().map(|v| v.as_str()), api::PidMode::VALUES)?;
    check_enum("ipcMode", d.ipc_mode.as_ref().map(|v| v.as_str()), api::IpcMode::VALUES)?;
    for one in d.requires_compatibilities.iter().flatten() {
        check_enum("requiresCompatibilities", Some(one.as_str()), api::Compatibility::VALUES)?;
    }
    if let Some(platform) = &d.runtime_platform {
        let cpu = platform.cpu_architecture.as_ref().map(|v| v.as_str());
        check_enum("cpuArchitecture", cpu, api::CPUArchitecture::VALUES)?;
        let os = platform.operating_system_family.as_ref().map(|v| v.as_str());
        check_enum("operatingSystemFamily", os, api::OSFamily::VALUES)?;
    }
    Ok(())
}

/// What concerns the task as a whole.
fn check_task(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    check_constraints(definition)?;
    check_proxy(definition)?;
    if let Some(storage) = &definition.ephemeral_storage {
        match storage.size_in_gib.unwrap_or_default() {
            ..=20 => return Err(refuse("EphemeralStorage size should be at least 21.")),
            201.. => return Err(refuse("EphemeralStorage size should be at most 200.")),
            _ => {}
        }
        let required = definition.requires_compatibilities.as_deref().unwrap_or_default();
        if !required.is_empty() && !required.contains(&api::Compatibility::FARGATE) {
            return Err(refuse("Tasks using the EC2 launch type do not support EphemeralStorage."));
        }
    }
    Ok(())
}

fn check_constraints(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    let constraints = definition.placement_constraints.as_deref().unwrap_or_default();
    if constraints.len() > MOST_CONSTRAINTS {
        return Err(refuse("Too many placement constraints. The maximum is 10."));
    }
    for constraint in constraints {
        let kind = constraint.r#type.as_ref().map(|kind| kind.as_str());
        check_enum("type", kind.or(Some("")), &["memberOf"])?;
        let expression = constraint.expression.as_deref().unwrap_or_default();
        if crate::rules::query::parse(expression).is_err() {
            return Err(errors::invalid_parameter_exception("Invalid constraint expression."));
        }
    }
    Ok(())
}

fn check_proxy(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    let Some(proxy) = &definition.proxy_configuration else { return Ok(()) };
    let kind = proxy.r#type.as_ref().map(|kind| kind.as_str());
    check_enum("type", kind, api::ProxyConfigurationType::VALUES)?;
    if !is_mode(definition, "awsvpc") {
        return Err(refuse("APPMESH proxy configuration is only supported in networkMode=awsvpc."));
    }
    let name = proxy.container_name.as_deref().unwrap_or_default();
    if !containers_of(definition).iter().any(|c| c.name.as_deref() == Some(name)) {
        return Err(refuse(format!("Proxy container {name} does not exist.")));
    }
    let given = proxy.properties.as_deref().unwrap_or_default();
    let has = |name: &str| given.iter().any(|p| p.name.as_deref() == Some(name));
    for (property, missing) in [
        ("ProxyIngressPort", "Ingress port not found."),
        ("ProxyEgressPort", "Egress port not found."),
        ("AppPorts", "App ports not found."),
    ] {
        if !has(property) {
            return Err(refuse(missing));
        }
    }
    if !has("IgnoredUID") && !has("IgnoredGID") {
        return Err(refuse("Either IgnoredUID or IgnoredGID must be specified."));
    }
    Ok(())
}

pub(crate) fn containers_of(definition: &api::TaskDefinition) -> &[api::ContainerDefinition] {
    definition.container_definitions.as_deref().unwrap_or_default()
}

pub(crate) fn name_of(container: &api::ContainerDefinition) -> &str {
    container.name.as_deref().unwrap_or_default()
}

pub(crate) fn is_mode(definition: &api::TaskDefinition, mode: &str) -> bool {
    definition.network_mode.as_ref().is_some_and(|given| given.as_str() == mode)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
