//! Namespaces that the containers of a task share belong to none of them: a first process that runs
//! no program holds them, so any container may end before another begins.

use host_runtime::{ContainerSpec, Error, Namespace, ProcessSpec, Rootfs, Security};

use super::{Driver, network, reason};
use crate::engine::Failure;
use crate::tasks::Given;

impl Driver {
    /// The container whose namespaces all others of the task share.
    pub(super) fn namespace_holder(&self, given: &Given) -> Option<String> {
        let shares = given.task.pid_mode == "task" || given.task.ipc_mode == "task";
        shares.then(|| match self.runtime.holds_namespaces() {
            true => pause_id(given),
            false => given.container_id(0),
        })
    }

    pub(super) async fn hold_namespaces(&self, given: &Given) -> Result<(), Failure> {
        if self.namespace_holder(given).is_none_or(|holder| holder != pause_id(given)) {
            return Ok(());
        }
        let failed = |text: String| {
            let text = format!("cannot hold the namespaces that the task shares: {text}");
            Failure::new(Failure::RESOURCE, text)
        };
        let root = self.task_dir(given).join("pause");
        std::fs::create_dir_all(&root).map_err(|error| failed(error.to_string()))?;
        let mut spec = ContainerSpec {
            name: format!("ecs-{}-{}-pause", given.task.family, given.task.version),
            rootfs: Rootfs { layers: vec![root], image: String::new() },
            cgroup: self.cgroup(given, &pause_id(given)),
            ..spec(pause_id(given))
        };
        let namespace = |mode: &str| match mode {
            "host" => Namespace::Host,
            _ => Namespace::Own,
        };
        spec.namespaces.pid = namespace(&given.task.pid_mode);
        spec.namespaces.ipc = namespace(&given.task.ipc_mode);
        self.start_pause(&spec).await.map(drop).map_err(|error| failed(reason(&error)))
    }

    /// Start a pause container; its process.
    pub(super) async fn start_pause(&self, spec: &ContainerSpec) -> Result<u32, Error> {
        match self.runtime.create(spec).await {
            // Left by an agent that died before it remembered.
            Err(Error::Exists(_)) => {
                self.runtime.delete(&spec.id).await?;
                self.runtime.create(spec).await
            }
            other => other,
        }?;
        Ok(self.runtime.start(&spec.id).await?.pid)
    }

    /// The task's containers have ended, and with them what they shared.
    pub(super) async fn let_namespaces_go(&self, given: &Given) {
        let mut all = Vec::new();
        all.extend(self.namespace_holder(given).map(|_| pause_id(given)));
        if !self.runtime.joins_paths() {
            all.extend(network::holders(given));
        }
        for id in all {
            if let Err(error) = self.runtime.delete(&id).await {
                tracing::warn!("{id} was not removed: {error}");
            }
        }
    }
}

/// What all pause containers have in common.
pub(super) fn spec(id: String) -> ContainerSpec {
    ContainerSpec {
        id,
        process: ProcessSpec { args: vec!["/pause".to_owned()], ..ProcessSpec::default() },
        security: Security { cap_drop: vec!["ALL".to_owned()], ..Security::default() },
        pause: true,
        ..ContainerSpec::default()
    }
}

fn pause_id(given: &Given) -> String {
    format!("{}-pause", given.id)
}
