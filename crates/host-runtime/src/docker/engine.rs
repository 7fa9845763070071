//! Which Engine a host's containers run in, whether it is one that can, and what of ours it keeps.
//!
//! A host hands paths, process ids and network namespaces to its Engine, so these must mean the same
//! to both: an Engine elsewhere, in a virtual machine or without root is refused by name, before a
//! task could find out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker as Client;
use bollard::models::SystemInfoCgroupDriverEnum;
use bollard::query_parameters::ListContainersOptionsBuilder;
use tokio::net::UnixStream;

use super::{Docker, OWNER, told};
use crate::Runtime;
use crate::error::{Error, Result};

/// Where every daemon listens.
const SOCKET: &str = "/var/run/docker.sock";
/// Seconds that one answer may take.
const TIMEOUT: u64 = 240;

/// What an Engine keeps of an owner.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    pub containers: Vec<String>,
    pub images: Vec<String>,
}

impl Docker {
    /// The Engine that `DOCKER_HOST` names, or the one at the usual place, if a host can have it.
    pub async fn open(host: Option<&str>, owner: &str) -> Result<Self> {
        let socket = socket(host)?;
        check_place(&socket).await?;
        let docker = Self::at(&socket, owner).await?;
        docker.check_groups().await?;
        Ok(docker)
    }

    /// The same, whether or not a host can have it; `None` where no daemon listens.
    pub async fn find(host: Option<&str>, owner: &str) -> Result<Option<Self>> {
        let socket = socket(host)?;
        match UnixStream::connect(&socket).await {
            Ok(_) => Self::at(&socket, owner).await.map(Some),
            Err(_) => Ok(None),
        }
    }

    pub async fn at(socket: &Path, owner: &str) -> Result<Self> {
        let path = socket.to_string_lossy();
        let client = Client::connect_with_socket(&path, TIMEOUT, bollard::API_DEFAULT_VERSION);
        let client = client.map_err(told)?.with_timeout(Duration::from_secs(TIMEOUT));
        let client = client.negotiate_version().await.map_err(told)?;
        Ok(Self { client, owner: owner.to_owned() })
    }

    /// What answers, in a few words.
    pub async fn about(&self) -> Result<String> {
        let info = self.client.info().await.map_err(told)?;
        let words = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
        let (version, storage) = (words(info.server_version), words(info.driver));
        Ok(format!("version {version}, storage {storage}"))
    }

    /// A task's limits are a cgroup's above its containers', which a daemon that leaves cgroups to
    /// systemd takes for a slice's name.
    async fn check_groups(&self) -> Result<()> {
        let info = self.client.info().await.map_err(told)?;
        match info.cgroup_driver {
            Some(SystemInfoCgroupDriverEnum::CGROUPFS) => Ok(()),
            other => Err(Error::Unsupported(format!(
                "the Docker Engine has the cgroup driver {}, and tasks' limits need cgroupfs: start \
                 dockerd with --exec-opt native.cgroupdriver=cgroupfs",
                other.map_or_else(|| "unknown".to_owned(), |driver| driver.to_string())
            ))),
        }
    }

    /// Everything of this owner, whichever agent made it.
    pub async fn kept(&self) -> Result<Kept> {
        let filter = HashMap::from([("label".to_owned(), vec![format!("{OWNER}={}", self.owner)])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filter).build();
        let answers = self.client.list_containers(Some(options)).await.map_err(told)?;
        let name = |names: Option<Vec<String>>| {
            Some(names?.first()?.trim_start_matches('/').to_owned()).filter(|name| !name.is_empty())
        };
        let mut containers: Vec<String> =
            answers.into_iter().filter_map(|answer| name(answer.names)).collect();
        containers.sort();
        Ok(Kept { containers, images: self.own_images().await? })
    }

    /// Remove everything of this owner; what resisted, with the reason.
    pub async fn remove(&self, kept: &Kept) -> Vec<(String, Error)> {
        let mut failed = Vec::new();
        for id in &kept.containers {
            failed.extend(self.delete(id).await.err().map(|error| (id.clone(), error)));
        }
        for name in &kept.images {
            failed.extend(self.remove_image(name).await.err().map(|error| (name.clone(), error)));
        }
        failed
    }
}

fn socket(host: Option<&str>) -> Result<PathBuf> {
    match host.filter(|host| !host.is_empty()) {
        None => Ok(SOCKET.into()),
        Some(host) => match host.strip_prefix("unix://") {
            Some(path) => Ok(path.into()),
            None => Err(Error::Unsupported(format!(
                "DOCKER_HOST is {host}, and a host runs its containers in an Engine of its own \
                 machine: unix://PATH"
            ))),
        },
    }
}

/// Who listens must see this process's files, processes and networks as this process does.
async fn check_place(socket: &Path) -> Result<()> {
    let away = |error: std::io::Error| Error::Away(format!("{}: {error}", socket.display()));
    let stream = UnixStream::connect(socket).await.map_err(away)?;
    let pid = stream.peer_cred().map_err(away)?.pid().filter(|pid| *pid > 0);
    let of = |pid: &str, kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok();
    for (kind, what) in [("pid", "processes"), ("mnt", "files"), ("net", "networks")] {
        let theirs = pid.and_then(|pid| of(&pid.to_string(), kind));
        if theirs.is_none() || theirs != of("self", kind) {
            return Err(Error::Unsupported(format!(
                "the Docker Engine at {} has {what} of its own: it must run in the same namespaces \
                 as the agent",
                socket.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_one_of_this_machine() {
        assert_eq!(socket(None).unwrap(), Path::new(SOCKET));
        assert_eq!(socket(Some("")).unwrap(), Path::new(SOCKET));
        assert_eq!(socket(Some("unix:///run/d.sock")).unwrap(), Path::new("/run/d.sock"));
        for elsewhere in ["tcp://10.0.0.1:2375", "ssh://me@there", "npipe://x"] {
            let refused = socket(Some(elsewhere)).unwrap_err().to_string();
            assert!(refused.contains(elsewhere), "{refused}");
        }
    }

    #[test]
    fn who_listens_is_in_our_namespaces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let check = || runtime.block_on(check_place(&path));
        assert!(matches!(check(), Err(Error::Away(_))));
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        check().unwrap();
    }
}
