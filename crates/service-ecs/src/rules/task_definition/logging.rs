//! `logConfiguration` and FireLens.

use aws_protocol::ApiError;
use model_ecs as api;

use super::{check_enum, containers_of, refuse};

pub fn check(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    let containers = containers_of(definition);
    let routers = containers.iter().filter(|c| c.firelens_configuration.is_some()).count();
    if routers > 1 {
        return Err(refuse(
            "Only one container in a task definition can have a firelens configuration.",
        ));
    }
    for container in containers {
        if let Some(firelens) = &container.firelens_configuration {
            let kind = firelens.r#type.as_ref().map(|kind| kind.as_str());
            let known = api::FirelensConfigurationType::VALUES;
            check_enum("type", kind.or(Some("")), known)?;
        }
        let Some(log) = &container.log_configuration else { continue };
        let driver = log.log_driver.as_ref().map(|d| d.as_str()).unwrap_or_default();
        check_enum("logDriver", Some(driver), api::LogDriver::VALUES)?;
        if driver == "awslogs" {
            check_awslogs(log)?;
        }
        if driver == "awsfirelens" && routers == 0 {
            return Err(refuse(
                "When awsfirelens log driver is specified in log configuration, a firelens \
                 configuration object must be specified.",
            ));
        }
        let secrets = log.secret_options.as_deref().unwrap_or_default();
        if !secrets.is_empty() && definition.execution_role_arn.is_none() {
            return Err(refuse(
                "When you are specifying container secrets, you must also specify a value for \
                 'executionRoleArn'.",
            ));
        }
    }
    Ok(())
}

const OF_AWSLOGS: &[&str] = &[
    "awslogs-create-group",
    "awslogs-create-stream",
    "awslogs-credentials-endpoint",
    "awslogs-datetime-format",
    "awslogs-endpoint",
    "awslogs-force-flush-interval-seconds",
    "awslogs-format",
    "awslogs-group",
    "awslogs-max-buffered-events",
    "awslogs-multiline-pattern",
    "awslogs-region",
    "awslogs-stream",
    "awslogs-stream-prefix",
    "max-buffer-size",
    "mode",
    "tag",
];

fn check_awslogs(log: &api::LogConfiguration) -> Result<(), ApiError> {
    let has = |name: &str| log.options.as_ref().is_some_and(|options| options.contains_key(name));
    let needed = ["awslogs-region", "awslogs-group"];
    let missing: Vec<_> = needed.into_iter().filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        return Err(refuse(format!("Log driver awslogs requires options: {}", missing.join(", "))));
    }
    // AWS: other drivers' options are left to the host, which makes no container with one that its
    // driver does not have.
    let given = log.options.iter().flat_map(|options| options.keys());
    let unknown: Vec<_> =
        given.filter(|name| !OF_AWSLOGS.contains(&name.as_str())).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(refuse(format!(
            "Log driver awslogs disallows options: {}",
            unknown.join(", ")
        )));
    }
    Ok(())
}
