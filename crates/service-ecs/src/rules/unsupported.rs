//! What a task definition may ask for and is not here yet. Registration takes it, as AWS does; the
//! task stops with AWS's error, which names it.

use model_ecs as api;

use super::task_definition::name_of;

fn some<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

/// The reason with which a task of this definition stops, should it ask for what is not here.
pub fn reason(
    definition: &api::TaskDefinition,
    containers: &[api::ContainerDefinition],
) -> Option<String> {
    let error = |text: String| Some(format!("ResourceInitializationError: {text}"));
    for volume in definition.volumes.iter().flatten() {
        let name = volume.name.as_deref().unwrap_or_default();
        let what = if volume.efs_volume_configuration.is_some() {
            "efsVolumeConfiguration"
        } else if volume.fsx_windows_file_server_volume_configuration.is_some() {
            "fsxWindowsFileServerVolumeConfiguration"
        } else if volume.s3files_volume_configuration.is_some() {
            "s3filesVolumeConfiguration"
        } else if volume.configured_at_launch == Some(true) {
            "configuredAtLaunch"
        } else {
            continue;
        };
        return error(format!("failed to set up volume {name}: {what} is not available here"));
    }
    if definition.proxy_configuration.is_some() {
        return error("proxyConfiguration is not available here".to_owned());
    }
    if definition.trusted_execution_configuration.is_some() {
        return error("trustedExecutionConfiguration is not available here".to_owned());
    }
    for container in containers {
        let name = name_of(container);
        let mut needs = container.resource_requirements.iter().flatten();
        if needs.any(|need| need.sharing_strategy.is_some()) {
            return error(format!("the sharingStrategy of container {name} is not available here"));
        }
        let log = container.log_configuration.as_ref();
        if some(&container.secrets) || log.is_some_and(|log| some(&log.secret_options)) {
            return error(format!(
                "unable to pull secrets or registry auth: the secrets of container {name} need \
                 Secrets Manager or Systems Manager, which are not available here"
            ));
        }
        if container.repository_credentials.is_some() {
            return error(format!(
                "unable to pull secrets or registry auth: the repositoryCredentials of container \
                 {name} need Secrets Manager, which is not available here"
            ));
        }
        if some(&container.environment_files) {
            return error(format!(
                "failed to download env files: the environmentFiles of container {name} need S3, \
                 which is not available here"
            ));
        }
        if some(&container.credential_specs) {
            return error(format!(
                "the credentialSpecs of container {name} are not available here"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing() {
        let secret = api::Secret { name: Some("S".into()), value_from: Some("p".into()) };
        let container = api::ContainerDefinition {
            name: Some("web".into()),
            secrets: Some(vec![secret]),
            ..Default::default()
        };
        let text = reason(&api::TaskDefinition::default(), &[container]).expect("a reason");
        assert!(text.starts_with("ResourceInitializationError: unable to pull secrets"), "{text}");
        assert!(text.contains("container web"), "{text}");
        let shared = api::ResourceRequirement {
            sharing_strategy: Some(api::SharingStrategy::default()),
            ..Default::default()
        };
        let container = api::ContainerDefinition {
            name: Some("web".into()),
            resource_requirements: Some(vec![shared]),
            ..Default::default()
        };
        let text = reason(&api::TaskDefinition::default(), &[container]).expect("a reason");
        assert!(text.ends_with("the sharingStrategy of container web is not available here"));
        let plain = api::ContainerDefinition::default();
        assert_eq!(reason(&api::TaskDefinition::default(), &[plain]), None);
    }
}
