//! Namespaces that the containers of a task share belong to none of them: a first process that runs
//! no program holds them, so any container may end before another begins.

use host_runtime::{ContainerSpec, Error, Namespace, Rootfs, Security};

use super::{Driver, reason};
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
            id: pause_id(given),
            name: format!("ecs-{}-{}-pause", given.task.family, given.task.version),
            rootfs: Rootfs { layers: vec![root], image: String::new() },
            cgroup: Some(format!("{}/{}", self.group(given), pause_id(given))),
            security: Security { cap_drop: vec!["ALL".to_owned()], ..Security::default() },
            pause: true,
            ..ContainerSpec::default()
        };
        spec.process.args = vec!["/pause".to_owned()];
        let namespace = |mode: &str| match mode {
            "host" => Namespace::Host,
            _ => Namespace::Own,
        };
        spec.namespaces.pid = namespace(&given.task.pid_mode);
        spec.namespaces.ipc = namespace(&given.task.ipc_mode);
        let made = async {
            match self.runtime.create(&spec).await {
                // Left by an agent that died before it remembered.
                Err(Error::Exists(_)) => {
                    self.runtime.delete(&spec.id).await?;
                    self.runtime.create(&spec).await
                }
                other => other,
            }?;
            self.runtime.start(&spec.id).await
        };
        made.await.map(drop).map_err(|error| failed(reason(&error)))
    }

    pub(super) async fn let_namespaces_go(&self, given: &Given) {
        let id = pause_id(given);
        if self.namespace_holder(given).is_some()
            && let Err(error) = self.runtime.delete(&id).await
        {
            tracing::warn!("{id} was not removed: {error}");
        }
    }
}

fn pause_id(given: &Given) -> String {
    format!("{}-pause", given.id)
}
