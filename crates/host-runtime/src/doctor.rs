//! What this machine can do for containers, tried rather than guessed, and what to do where it
//! cannot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::Runtime;
use crate::cgroups::{Group, Hierarchies, hierarchies};
use crate::docker::Docker;
use crate::error::Error;
use crate::shimmed::ShimProgram;
use crate::spec::Resources;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Good,
    /// Something is less than it could be; containers run.
    Limited,
    /// The runtime cannot work.
    Missing,
}

#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub name: &'static str,
    pub verdict: Verdict,
    pub found: String,
    /// What to do about it; empty where nothing is.
    pub advice: String,
}

fn good(name: &'static str, found: impl Into<String>) -> Finding {
    Finding { name, verdict: Verdict::Good, found: found.into(), advice: String::new() }
}

fn bad(
    name: &'static str,
    verdict: Verdict,
    found: impl Into<String>,
    advice: impl Into<String>,
) -> Finding {
    Finding { name, verdict, found: found.into(), advice: advice.into() }
}

/// Where a program lies, by the path of this process and the usual places.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
    std::env::split_paths(&path)
        .chain(usual.iter().map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

/// Everything that the runtimes need, in the order in which they need it. `scratch` is a folder on
/// the disk that will hold containers.
pub fn self_test(scratch: &Path) -> Vec<Finding> {
    let own = [
        overlay(scratch),
        seccomp(),
        namespaces(),
        memfd(),
        program("runc", "the runc runtime", "only needed with --runtime runc"),
        docker(),
    ];
    basics().into_iter().chain(own).collect()
}

/// What containers of every runtime need.
fn basics() -> [Finding; 5] {
    [root(), kernel(), cgroup_version(), controllers(), cgroup_write()]
}

/// What a host needs whose containers run in a Docker Engine: the one that `DOCKER_HOST` names.
pub async fn engine_test(docker_host: Option<&str>) -> Vec<Finding> {
    let engine = engine(docker_host).await;
    basics().into_iter().chain([namespaces()]).chain(engine).collect()
}

/// The Engine, and whether tasks can have limits of their own in it.
async fn engine(docker_host: Option<&str>) -> Vec<Finding> {
    let asked = async {
        let docker = Docker::open(docker_host, "doctor").await?;
        let about = docker.about().await?;
        Ok((docker, about))
    };
    match asked.await {
        Ok((docker, about)) => {
            let limits = match docker.refuses_groups() {
                None => good("tasks' limits", "a cgroup above the containers'"),
                Some(why) => bad(
                    "tasks' limits",
                    Verdict::Limited,
                    format!("{why}: tasks that have cpu or memory of their own find no host here"),
                    "where they shall: {\"exec-opts\": [\"native.cgroupdriver=cgroupfs\"]} in \
                     /etc/docker/daemon.json",
                ),
            };
            vec![good("docker", about), limits]
        }
        Err(error) => {
            let advice = match error {
                Error::Away(_) => {
                    "install and start it (Debian's package docker.io), or name its socket by \
                     DOCKER_HOST=unix://PATH"
                }
                _ => "docs/HOSTS.md says what an Engine must be like",
            };
            vec![bad("docker", Verdict::Missing, crate::reason(&error), advice)]
        }
    }
}

fn root() -> Finding {
    if rustix::process::geteuid().is_root() {
        return good("user", "root");
    }
    bad("user", Verdict::Missing, "not root", "start the agent as root")
}

fn kernel() -> Finding {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let text = text.trim();
    // mount_setattr and cgroup.kill came with 5.12 and 5.14.
    match release(text) {
        Some(version) if version >= (5, 14) => good("kernel", text),
        Some(version) if version >= (5, 12) => {
            bad("kernel", Verdict::Limited, text, "Linux 5.14 or later kills groups at once")
        }
        _ => bad("kernel", Verdict::Missing, text, "Linux 5.12 or later is needed"),
    }
}

fn release(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn cgroup_version() -> Finding {
    match hierarchies() {
        Hierarchies::V2 => good("cgroups", "version 2"),
        Hierarchies::V1(all) if all.is_empty() => bad(
            "cgroups",
            Verdict::Missing,
            "none at /sys/fs/cgroup",
            "mount cgroup2 at /sys/fs/cgroup",
        ),
        Hierarchies::V1(_) => good("cgroups", "version 1"),
    }
}

fn controllers() -> Finding {
    let found: Vec<String> = match hierarchies() {
        Hierarchies::V2 => {
            let text = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        }
        Hierarchies::V1(all) => all.keys().cloned().collect(),
    };
    let lost: Vec<&str> = ["cpu", "memory", "pids"]
        .into_iter()
        .filter(|wanted| !found.iter().any(|have| have == wanted))
        .collect();
    if lost.is_empty() {
        return good("controllers", found.join(" "));
    }
    bad(
        "controllers",
        Verdict::Limited,
        found.join(" "),
        format!("limits that need {} are refused; enable it for this group", lost.join(", ")),
    )
}

fn cgroup_write() -> Finding {
    let name = format!("/wharf-doctor-{}", std::process::id());
    let tried = Group::new(&name).and_then(|group| {
        let limit = Resources { memory: Some(64 << 20), pids: Some(64), ..Default::default() };
        let made = group.create().and_then(|()| match controllers().verdict {
            Verdict::Good => group.limit(&limit),
            // That there are none is told by another finding.
            _ => Ok(()),
        });
        made.and(group.remove())
    });
    match tried {
        Ok(()) => good("making groups", "allowed"),
        Err(error) => bad(
            "making groups",
            Verdict::Missing,
            crate::reason(&error),
            "in a container, start it with --privileged",
        ),
    }
}

fn overlay(scratch: &Path) -> Finding {
    let name = "overlayfs";
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let loaded = known.lines().any(|line| line.trim().ends_with("overlay"));
    match try_overlay(scratch) {
        Ok(()) => good(name, format!("works in {}", scratch.display())),
        Err(error) if loaded => bad(
            name,
            Verdict::Missing,
            error.to_string(),
            "put --data-dir on ext4 or xfs (inside a container: a volume, not its own root)",
        ),
        Err(error) => bad(name, Verdict::Missing, error.to_string(), "modprobe overlay"),
    }
}

/// A mount that is never attached to a path: nothing to clean up but the folders.
fn try_overlay(scratch: &Path) -> std::io::Result<()> {
    use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
    let base = scratch.join(format!(".doctor-{}", std::process::id()));
    for part in ["lower", "upper", "work"] {
        fs::create_dir_all(base.join(part))?;
    }
    let mounted = || -> rustix::io::Result<()> {
        let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, part) in [("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work")] {
            rustix::mount::fsconfig_set_string(&fs, key, base.join(part))?;
        }
        rustix::mount::fsconfig_create(&fs)?;
        rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        Ok(())
    };
    let tried = mounted();
    fs::remove_dir_all(&base)?;
    Ok(tried?)
}

fn seccomp() -> Finding {
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let compiled = crate::seccomp::compile(&[]);
    match compiled {
        Ok(_) if actions.contains("errno") => good("seccomp", "filters"),
        Ok(_) => bad(
            "seccomp",
            Verdict::Missing,
            "this kernel has no filters",
            "a kernel with CONFIG_SECCOMP_FILTER, or dockerSecurityOptions seccomp=unconfined",
        ),
        Err(error) => bad("seccomp", Verdict::Missing, error.to_string(), "use the runc runtime"),
    }
}

fn namespaces() -> Finding {
    let kinds = ["mnt", "pid", "net", "ipc", "uts"];
    let lost: Vec<&str> =
        kinds.into_iter().filter(|kind| !Path::new("/proc/self/ns").join(kind).exists()).collect();
    if lost.is_empty() {
        return good("namespaces", kinds.join(" "));
    }
    let text = format!("without {}", lost.join(" "));
    bad("namespaces", Verdict::Missing, text, "a kernel with these namespaces")
}

fn memfd() -> Finding {
    let noexec = fs::read_to_string("/proc/sys/vm/memfd_noexec").unwrap_or_default();
    let forbidden = noexec.trim() == "2";
    match ShimProgram::current(&[]) {
        Ok(_) if !forbidden => good("programs in memory", "allowed"),
        Ok(_) => bad(
            "programs in memory",
            Verdict::Missing,
            "forbidden by vm.memfd_noexec=2",
            "sysctl -w vm.memfd_noexec=1",
        ),
        Err(error) => bad(
            "programs in memory",
            Verdict::Missing,
            crate::reason(&error),
            "a kernel with memfd_create",
        ),
    }
}

fn program(name: &'static str, what: &str, advice: &str) -> Finding {
    let Some(path) = find_program(name) else {
        return bad(name, Verdict::Limited, format!("not found ({what})"), advice);
    };
    let output = Command::new(&path).arg("--version").output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line: String = text.lines().next().unwrap_or("").chars().take(60).collect();
    good(name, format!("{} ({line})", path.display()))
}

fn docker() -> Finding {
    let socket = Path::new("/var/run/docker.sock");
    match std::os::unix::net::UnixStream::connect(socket) {
        Ok(_) => good("docker", socket.display().to_string()),
        Err(_) => bad(
            "docker",
            Verdict::Limited,
            "no daemon answers at /var/run/docker.sock",
            "only needed with --runtime docker",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_that_is_not_good_has_advice() {
        let dir = tempfile::tempdir().unwrap();
        for finding in self_test(dir.path()) {
            assert!(!finding.found.is_empty(), "{finding:?}");
            assert_eq!(finding.verdict == Verdict::Good, finding.advice.is_empty(), "{finding:?}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let nowhere = format!("unix://{}/none", dir.path().display());
        let findings = runtime.block_on(engine_test(Some(&nowhere)));
        let engine = findings.last().unwrap();
        assert_eq!(engine.verdict, Verdict::Missing);
        assert!(engine.found.contains("/none"), "{engine:?}");
        assert_eq!(release("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(release("odd"), None);
    }
}
