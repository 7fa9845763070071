//! `requiresAttributes`: what a container instance must be able to do to run the task.
//!
//! AWS derives them from the definition. Their order on the wire is that of a hash set of
//! attributes; since clients compare answers, the same order is computed here.

use std::collections::BTreeSet;

use model_ecs as api;

use super::fargate::is_ecr_image;
use super::{containers_of, is_mode};

const AMAZONAWS: &str = "com.amazonaws.ecs.capability.";
const ECS: &str = "ecs.capability.";

pub fn required(definition: &api::TaskDefinition) -> Vec<api::Attribute> {
    let mut needs = Needs(BTreeSet::new());
    needs.task(definition);
    needs.volumes(definition);
    for container in containers_of(definition) {
        needs.container(container);
        needs.runtime(container);
        needs.images_and_secrets(definition, container);
        needs.logs(definition, container);
    }
    let names: Vec<String> = needs.0.into_iter().collect();
    in_order(names)
        .into_iter()
        .map(|name| api::Attribute { name: Some(name), ..Default::default() })
        .collect()
}

struct Needs(BTreeSet<String>);

impl Needs {
    fn amazonaws(&mut self, name: &str) {
        self.0.insert(format!("{AMAZONAWS}{name}"));
    }

    fn ecs(&mut self, name: &str) {
        self.0.insert(format!("{ECS}{name}"));
    }

    /// The version of the Docker API that first had what is needed.
    fn docker(&mut self, version: u32) {
        self.amazonaws(&format!("docker-remote-api.1.{version}"));
    }

    fn task(&mut self, definition: &api::TaskDefinition) {
        if definition.task_role_arn.is_some() {
            self.amazonaws(match is_mode(definition, "host") {
                true => "task-iam-role-network-host",
                false => "task-iam-role",
            });
        }
        if is_mode(definition, "awsvpc") {
            self.ecs("task-eni");
            self.docker(18);
        }
        if definition.pid_mode.is_some() || definition.ipc_mode.is_some() {
            self.ecs("pid-ipc-namespace-sharing");
        }
        if definition.proxy_configuration.is_some() {
            self.ecs("aws-appmesh");
        }
        if definition.ephemeral_storage.is_some() {
            self.ecs("extensible-ephemeral-storage");
        }
        if definition.enable_fault_injection == Some(true) {
            self.ecs("fault-injection");
        }
    }

    fn volumes(&mut self, definition: &api::TaskDefinition) {
        for volume in definition.volumes.iter().flatten() {
            if let Some(docker) = &volume.docker_volume_configuration {
                self.docker(25);
                let driver = docker.driver.as_deref().unwrap_or("local");
                self.ecs(&format!("docker-plugin.{driver}"));
            }
            if volume.efs_volume_configuration.is_some() {
                self.docker(25);
                self.ecs("efs");
                self.ecs("efsAuth");
            }
            if volume.fsx_windows_file_server_volume_configuration.is_some() {
                self.ecs("fsxWindowsFileServer");
            }
            if volume.configured_at_launch == Some(true) {
                self.ecs("storage.ebs-task-volume-attachment");
            }
        }
    }

    fn container(&mut self, container: &api::ContainerDefinition) {
        let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|l| !l.is_empty());
        if container.privileged == Some(true) {
            self.amazonaws("privileged-container");
        }
        let hosts = container.extra_hosts.as_ref().is_some_and(|list| !list.is_empty());
        if container.user.is_some()
            || container.links.is_some()
            || hosts
            || container.readonly_root_filesystem == Some(true)
            || some(&container.docker_security_options)
        {
            self.docker(17);
        }
        let labels = container.docker_labels.as_ref().is_some_and(|map| !map.is_empty());
        if labels || container.ulimits.as_ref().is_some_and(|list| !list.is_empty()) {
            self.docker(18);
        }
        if container.memory_reservation.is_some() {
            self.docker(21);
        }
        if container.system_controls.as_ref().is_some_and(|list| !list.is_empty()) {
            self.docker(24);
        }
        if let Some(health) = &container.health_check {
            self.ecs("container-health-check");
            // A start period came to Docker later than health checks.
            self.docker(if health.start_period.is_some() { 29 } else { 24 });
        }
        let ordered = container.depends_on.as_ref().is_some_and(|list| !list.is_empty());
        if ordered || container.start_timeout.is_some() || container.stop_timeout.is_some() {
            self.ecs("container-ordering");
        }
        if container.restart_policy.as_ref().is_some_and(|p| p.enabled == Some(true)) {
            self.ecs("container-restart-policy");
        }
        let ranges = container.port_mappings.iter().flatten();
        if ranges.into_iter().any(|mapping| mapping.container_port_range.is_some()) {
            self.ecs("network.container-port-range");
        }
        if container.credential_specs.as_ref().is_some_and(|list| !list.is_empty()) {
            self.ecs("gmsa");
        }
    }

    fn runtime(&mut self, container: &api::ContainerDefinition) {
        let Some(linux) = &container.linux_parameters else { return };
        let tmpfs = linux.tmpfs.as_ref().is_some_and(|list| !list.is_empty());
        if tmpfs || linux.shared_memory_size.is_some() {
            self.docker(22);
        }
        if linux.init_process_enabled.is_some() {
            self.docker(25);
        }
    }

    fn images_and_secrets(
        &mut self,
        definition: &api::TaskDefinition,
        container: &api::ContainerDefinition,
    ) {
        if is_ecr_image(container) {
            self.amazonaws("ecr-auth");
            if definition.execution_role_arn.is_some() {
                self.ecs("execution-role-ecr-pull");
            }
        }
        if container.repository_credentials.is_some() {
            self.ecs("private-registry-authentication.secretsmanager");
        }
        if container.environment_files.as_ref().is_some_and(|list| !list.is_empty()) {
            self.ecs("env-files.s3");
        }
        for secret in container.secrets.iter().flatten() {
            let store = store_of(secret);
            self.ecs(&format!("secrets.{store}.environment-variables"));
        }
    }

    fn logs(&mut self, definition: &api::TaskDefinition, container: &api::ContainerDefinition) {
        if let Some(firelens) = &container.firelens_configuration {
            let kind = firelens.r#type.as_ref().map(|kind| kind.as_str()).unwrap_or_default();
            self.ecs(&format!("firelens.{kind}"));
            let options = firelens.options.as_ref();
            if let Some(from) = options.and_then(|options| options.get("config-file-type")) {
                self.ecs(&format!("firelens.options.config.{from}"));
            }
        }
        let Some(log) = &container.log_configuration else { return };
        let driver = log.log_driver.as_ref().map(|driver| driver.as_str()).unwrap_or_default();
        self.amazonaws(&format!("logging-driver.{driver}"));
        match driver {
            "json-file" | "syslog" => self.docker(18),
            "awslogs" | "journald" => self.docker(19),
            "gelf" | "fluentd" => self.docker(20),
            "splunk" => self.docker(22),
            _ => {}
        }
        if driver == "awslogs" && definition.execution_role_arn.is_some() {
            self.ecs("execution-role-awslogs");
        }
        let has =
            |name: &str| log.options.as_ref().is_some_and(|options| options.contains_key(name));
        if has("mode") || has("max-buffer-size") {
            self.docker(28);
        }
        if has("awslogs-create-group") {
            self.docker(29);
        }
        if driver == "awsfirelens" && has("log-driver-buffer-limit") {
            self.ecs("logging-driver.awsfirelens.log-driver-buffer-limit");
        }
        for secret in log.secret_options.iter().flatten() {
            let store = store_of(secret);
            self.ecs(&format!("secrets.{store}.bootstrap.log-driver"));
        }
    }
}

/// AWS: a plain name is a parameter of the Systems Manager in the task's own region.
fn store_of(secret: &api::Secret) -> &'static str {
    let from = secret.value_from.as_deref().unwrap_or_default();
    match core_types::Arn::parse(from) {
        Ok(arn) if arn.service == "secretsmanager" => "asm",
        _ => "ssm",
    }
}

/// The order in which a Java hash set of these attributes is walked.
fn in_order(mut names: Vec<String>) -> Vec<String> {
    let mut buckets = 16;
    while names.len() * 4 > buckets as usize * 3 {
        buckets *= 2;
    }
    names.sort_by_key(|name| bucket(name, buckets));
    names
}

/// The bucket of an attribute that has a name and no value: `HashMap` folds the upper half of
/// the hash into the lower one.
fn bucket(name: &str, buckets: u32) -> u32 {
    let text = name.bytes().fold(0u32, |hash, b| hash.wrapping_mul(31).wrapping_add(b.into()));
    let hash = text.wrapping_add(59).wrapping_mul(59).wrapping_add(43);
    (hash ^ hash >> 16) & (buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(old: &[&str]) -> Vec<String> {
        old.iter().map(|s| s.replace("O:", AMAZONAWS).replace("N:", ECS)).collect()
    }

    /// Lists as AWS answered them.
    #[test]
    fn the_order_is_the_one_on_the_wire() {
        let seen: [&[&str]; 3] = [
            &[
                "O:logging-driver.awslogs",
                "N:execution-role-awslogs",
                "O:ecr-auth",
                "O:docker-remote-api.1.19",
                "O:task-iam-role",
                "N:container-health-check",
                "N:execution-role-ecr-pull",
                "N:secrets.ssm.environment-variables",
                "O:docker-remote-api.1.18",
                "N:task-eni",
                "O:docker-remote-api.1.29",
            ],
            // More than twelve: the set has grown to 32 buckets.
            &[
                "N:execution-role-awslogs",
                "O:ecr-auth",
                "O:docker-remote-api.1.21",
                "O:task-iam-role",
                "N:execution-role-ecr-pull",
                "O:docker-remote-api.1.18",
                "N:task-eni",
                "O:docker-remote-api.1.29",
                "O:logging-driver.awslogs",
                "N:efsAuth",
                "O:docker-remote-api.1.19",
                "N:efs",
                "O:docker-remote-api.1.25",
            ],
            &[
                "O:ecr-auth",
                "N:pid-ipc-namespace-sharing",
                "O:docker-remote-api.1.17",
                "N:aws-appmesh",
                "N:container-ordering",
                "N:container-health-check",
                "O:docker-remote-api.1.18",
                "N:task-eni",
                "O:docker-remote-api.1.29",
            ],
        ];
        for list in seen {
            let list = names(list);
            let mut buckets = 16;
            while list.len() * 4 > buckets as usize * 3 {
                buckets *= 2;
            }
            let places: Vec<_> = list.iter().map(|name| bucket(name, buckets)).collect();
            assert!(places.is_sorted(), "{places:?}");
            let mut mixed = list.clone();
            mixed.reverse();
            let again: Vec<_> = in_order(mixed).iter().map(|n| bucket(n, buckets)).collect();
            assert_eq!(again, places);
        }
    }
}
