//! Volumes of a task, and the mount points that name them.

use aws_protocol::ApiError;
use model_ecs as api;

use super::{check_enum, containers_of, refuse};

pub fn check_and_fill(definition: &mut api::TaskDefinition) -> Result<(), ApiError> {
    for volume in definition.volumes.iter_mut().flatten() {
        check_volume(volume)?;
        fill(volume);
    }
    let volumes = definition.volumes.as_deref().unwrap_or_default();
    for (nth, volume) in volumes.iter().enumerate() {
        if volumes[..nth].iter().any(|other| other.name == volume.name) {
            return Err(refuse("Volume names must be unique within a task definition."));
        }
    }
    for container in containers_of(definition) {
        let mut paths = Vec::new();
        for mount in container.mount_points.iter().flatten() {
            let source = mount.source_volume.as_deref();
            if !volumes.iter().any(|v| v.name.as_deref() == source && source.is_some()) {
                return Err(refuse(format!("Unknown volume '{}'.", source.unwrap_or("null"))));
            }
            let path = mount.container_path.as_deref().unwrap_or_default();
            if path.is_empty() {
                return Err(refuse("mountPoint.containerPath should not be blank."));
            }
            if paths.contains(&path) {
                return Err(refuse(format!("Duplicate mount point '{path}'.")));
            }
            paths.push(path);
        }
    }
    Ok(())
}

fn check_volume(volume: &api::Volume) -> Result<(), ApiError> {
    let name = volume.name.as_deref().unwrap_or_default();
    if name.is_empty() {
        return Err(refuse("Volume name should not be null or empty."));
    }
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.len() > 255 || !name.bytes().all(good) {
        return Err(refuse("Volume name contains invalid characters."));
    }
    let kinds = [
        volume.host.is_some(),
        volume.docker_volume_configuration.is_some(),
        volume.efs_volume_configuration.is_some(),
        volume.fsx_windows_file_server_volume_configuration.is_some(),
        volume.s3files_volume_configuration.is_some(),
        volume.configured_at_launch == Some(true),
    ];
    if kinds.iter().filter(|kind| **kind).count() > 1 {
        return Err(refuse(format!("Volume '{name}' must have only one volume configuration.")));
    }
    if volume.host.as_ref().is_some_and(|host| host.source_path.as_deref() == Some("")) {
        return Err(refuse("host.sourcePath should not be blank."));
    }
    if let Some(docker) = &volume.docker_volume_configuration {
        let scope = docker.scope.as_ref().map(|scope| scope.as_str());
        check_enum("scope", scope, api::Scope::VALUES)?;
        if scope == Some("task") && docker.autoprovision == Some(true) {
            return Err(refuse("autoprovision is only supported with scope 'shared'."));
        }
    }
    volume.efs_volume_configuration.as_ref().map_or(Ok(()), check_efs)
}

fn check_efs(efs: &api::EFSVolumeConfiguration) -> Result<(), ApiError> {
    if efs.file_system_id.as_deref().unwrap_or_default().is_empty() {
        return Err(refuse("EFS file system id should not be null or empty."));
    }
    let encryption = efs.transit_encryption.as_ref().map(|value| value.as_str());
    check_enum("transitEncryption", encryption, api::EFSTransitEncryption::VALUES)?;
    let encrypted = encryption == Some("ENABLED");
    if efs.transit_encryption_port.is_some() && !encrypted {
        return Err(refuse("TransitEncryptionPort requires that TransitEncryption is enabled."));
    }
    let Some(auth) = &efs.authorization_config else { return Ok(()) };
    let iam = auth.iam.as_ref().map(|value| value.as_str());
    check_enum("iam", iam, api::EFSAuthorizationConfigIAM::VALUES)?;
    if iam == Some("ENABLED") && !encrypted {
        return Err(refuse("EFS IAM authorization requires TransitEncryption to be enabled."));
    }
    if auth.access_point_id.is_some() {
        if !encrypted {
            return Err(refuse("EFS access point requires TransitEncryption to be enabled."));
        }
        if efs.root_directory.as_deref().is_some_and(|root| root != "/") {
            return Err(refuse(
                "When using an EFS access point, the root directory must either be set to \"/\" \
                 or be omitted.",
            ));
        }
    }
    Ok(())
}

/// AWS: a volume that is nothing else is an empty directory of the host; an EFS volume's root is
/// `/` unless it is said; a Docker volume that nobody shares is the task's own.
fn fill(volume: &mut api::Volume) {
    let other = volume.docker_volume_configuration.is_some()
        || volume.efs_volume_configuration.is_some()
        || volume.fsx_windows_file_server_volume_configuration.is_some()
        || volume.s3files_volume_configuration.is_some()
        || volume.configured_at_launch == Some(true);
    if !other {
        volume.host.get_or_insert_default();
    }
    if let Some(efs) = &mut volume.efs_volume_configuration {
        efs.root_directory.get_or_insert_with(|| "/".to_owned());
    }
    if let Some(docker) = &mut volume.docker_volume_configuration {
        let shared = docker.autoprovision == Some(true);
        let scope = if shared { api::Scope::SHARED } else { api::Scope::TASK };
        docker.scope.get_or_insert(scope);
    }
}
