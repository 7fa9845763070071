//! `dependsOn`: what it names exists, its conditions can come true, and no two wait in a circle.

use aws_protocol::ApiError;
use model_ecs as api;

use super::{check_enum, containers_of, name_of, refuse};

pub fn check(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    let containers = containers_of(definition);
    for container in containers {
        for dependency in container.depends_on.iter().flatten() {
            let on = dependency.container_name.as_deref().unwrap_or_default();
            let condition = dependency.condition.as_ref().map(|c| c.as_str());
            check_enum("condition", condition.or(Some("")), api::ContainerCondition::VALUES)?;
            if on == name_of(container) {
                return Err(refuse(format!("Container {on} cannot depend on itself.")));
            }
            let Some(target) = containers.iter().find(|c| name_of(c) == on) else {
                return Err(refuse(format!(
                    "Cannot depend on container {on} because it does not exist."
                )));
            };
            match condition {
                Some("HEALTHY") if target.health_check.is_none() => {
                    return Err(refuse(
                        "A dependency container with HEALTHY condition must have health check \
                         configured.",
                    ));
                }
                Some("SUCCESS" | "COMPLETE") if target.essential != Some(false) => {
                    return Err(refuse(
                        "A dependency container with SUCCESS or COMPLETE condition cannot be an \
                         essential container.",
                    ));
                }
                _ => {}
            }
        }
    }
    check_links(containers)?;
    if has_circle(containers) {
        return Err(refuse("Container dependency cycle detected."));
    }
    Ok(())
}

/// AWS: links and `volumesFrom` order containers too, so they must name others of the task.
fn check_links(containers: &[api::ContainerDefinition]) -> Result<(), ApiError> {
    let exists = |name: &str| containers.iter().any(|c| name_of(c) == name);
    for container in containers {
        for from in container.volumes_from.iter().flatten() {
            let source = from.source_container.as_deref().unwrap_or_default();
            if !exists(source) {
                return Err(refuse(format!("Unknown container '{source}'.")));
            }
            if source == name_of(container) {
                return Err(refuse(format!("Container '{source}' cannot mount its own volumes.")));
            }
        }
        for link in container.links.iter().flatten() {
            let target = link.split(':').next().unwrap_or_default();
            if !exists(target) {
                return Err(refuse(format!("Unknown container '{target}'.")));
            }
        }
    }
    Ok(())
}

/// Names that a container waits for.
fn waits_for(container: &api::ContainerDefinition) -> impl Iterator<Item = &str> {
    let depends = container.depends_on.iter().flatten();
    let depends = depends.filter_map(|d| d.container_name.as_deref());
    let volumes = container.volumes_from.iter().flatten();
    let volumes = volumes.filter_map(|v| v.source_container.as_deref());
    let links = container.links.iter().flatten().filter_map(|l| l.split(':').next());
    depends.chain(volumes).chain(links)
}

/// Take away what waits for nothing that is left; a circle is what remains.
fn has_circle(containers: &[api::ContainerDefinition]) -> bool {
    let mut left: Vec<_> = containers.iter().collect();
    loop {
        let free = |c: &&api::ContainerDefinition| {
            !waits_for(c).any(|on| left.iter().any(|other| name_of(other) == on))
        };
        let waiting: Vec<_> = left.iter().copied().filter(|c| !free(c)).collect();
        if waiting.len() == left.len() {
            return !left.is_empty();
        }
        left = waiting;
    }
}
