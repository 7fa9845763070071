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
        let mut docker = Self::at(&socket, owner).await?;
        docker.cgroups_of = docker.other_cgroups().await?;
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
        let (socket, owner) = (socket.to_owned(), owner.to_owned());
        Ok(Self { client, socket, cgroups_of: None, owner })
    }

    /// What answers, in a few words.
    pub async fn about(&self) -> Result<String> {
        let info = self.client.info().await.map_err(told)?;
        let words = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
        let (version, storage) = (words(info.server_version), words(info.driver));
        let driver = info.cgroup_driver.map_or_else(|| "unknown".to_owned(), |d| d.to_string());
        let groups = info.cgroup_version.map_or_else(String::new, |v| format!(" of version {v}"));
        Ok(format!("version {version}, storage {storage}, cgroups{groups} by {driver}"))
    }

    /// A task's limits are a cgroup's above its containers', which a daemon that leaves cgroups to
    /// systemd takes for a slice's name.
    async fn other_cgroups(&self) -> Result<Option<String>> {
        let info = self.client.info().await.map_err(told)?;
        match info.cgroup_driver {
            Some(SystemInfoCgroupDriverEnum::CGROUPFS) => Ok(None),
            Some(driver @ SystemInfoCgroupDriverEnum::SYSTEMD) => Ok(Some(driver.to_string())),
            // Without cgroups a container would have no limits.
            other => Err(Error::Unsupported(format!(
                "the Docker Engine has the cgroup driver {}, and containers' limits need cgroupfs or \
                 systemd",
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
    use std::io::{BufRead, BufReader, Write};

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

    /// Who answers as an Engine does: its version, and this as what it says of itself.
    fn engine(dir: &Path, info: &'static str) -> PathBuf {
        let path = dir.join("engine");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut words = String::new();
                let mut lines = BufReader::new(&stream);
                while !words.ends_with("\r\n\r\n") && lines.read_line(&mut words).unwrap() > 0 {}
                let body = match words.contains("/info ") {
                    true => info,
                    false => "{\"ApiVersion\":\"1.44\",\"MinAPIVersion\":\"1.24\"}",
                };
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json";
                let length = body.len();
                // Who asks may have gone: that is no matter of this one's.
                let _ = write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}");
            }
        });
        path
    }

    #[test]
    fn who_makes_cgroups_is_told() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let opened = |info| {
            let dir = tempfile::tempdir().unwrap();
            let host = format!("unix://{}", engine(dir.path(), info).display());
            runtime.block_on(async {
                let docker = Docker::open(Some(&host), "o").await?;
                Ok::<_, Error>((docker.refuses_groups(), docker.about().await?))
            })
        };
        let (refuses, about) = opened("{\"CgroupDriver\":\"cgroupfs\"}").unwrap();
        assert_eq!(refuses, None);
        assert_eq!(about, "version unknown, storage unknown, cgroups by cgroupfs");
        let (refuses, about) = opened(
            "{\"CgroupDriver\":\"systemd\",\"CgroupVersion\":\"2\",\"Driver\":\"overlayfs\"}",
        )
        .unwrap();
        assert!(refuses.unwrap().contains("systemd"));
        assert_eq!(about, "version unknown, storage overlayfs, cgroups of version 2 by systemd");
        for (info, named) in
            [("{\"CgroupDriver\":\"none\"}", "none"), ("{}", "unknown"), ("[]", "invalid")]
        {
            let refused = opened(info).unwrap_err().to_string();
            assert!(refused.contains(named), "{refused}");
        }
    }

    #[test]
    fn a_slice_is_made_by_nobody_here() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = engine(dir.path(), "{\"CgroupDriver\":\"systemd\"}");
        let host = format!("unix://{}", path.display());
        let docker = runtime.block_on(Docker::open(Some(&host), "o")).unwrap();
        let group = crate::GroupSpec { path: "/never/made".into(), ..Default::default() };
        let refused = runtime.block_on(docker.create_group(&group)).unwrap_err();
        assert!(matches!(refused, Error::Unsupported(_)), "{refused}");
        assert!(!crate::cgroups::Group::new("/never").unwrap().exists());
        let found = runtime.block_on(crate::doctor::engine_test(Some(&host)));
        let limits = found.last().unwrap();
        assert_eq!(limits.verdict, crate::doctor::Verdict::Limited, "{limits:?}");
        assert!(limits.found.contains("systemd") && !limits.advice.is_empty(), "{limits:?}");
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
