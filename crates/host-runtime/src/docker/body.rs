//! From our specification to the Engine API's: mostly other names for the same things.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, HostConfig, HostConfigLogConfig, Mount as ApiMount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, ResourcesUlimits,
};

use crate::error::{Error, Result};
use crate::spec::{ContainerSpec, Mount, Namespace, Seccomp, WhenFull};

/// What the Engine would not do is refused: nothing of a specification is left out.
pub fn create(spec: &ContainerSpec) -> Result<ContainerCreateBody> {
    if spec.stdio.limits.when_full == WhenFull::Wait {
        return Err(Error::Unsupported(
            "the log option mode=blocking is not kept by Docker, which forgets what is old whoever \
             reads: this host needs mode=non-blocking"
                .into(),
        ));
    }
    let process = &spec.process;
    let mut labels: HashMap<String, String> = spec.labels.clone().into_iter().collect();
    if !spec.name.is_empty() {
        labels.insert("wharf.name".to_owned(), spec.name.clone());
    }
    let own_uts = spec.namespaces.uts == Namespace::Own
        && !matches!(spec.namespaces.network, Namespace::Container(_));
    Ok(ContainerCreateBody {
        hostname: spec.hostname.clone().filter(|_| own_uts),
        domainname: spec.domainname.clone().filter(|_| own_uts),
        user: process.user.clone(),
        tty: Some(process.tty),
        open_stdin: Some(process.stdin),
        env: Some(process.env.clone()),
        // Both are decided already: the image's own words take no part.
        entrypoint: Some(process.args[..1].to_vec()),
        cmd: Some(process.args[1..].to_vec()),
        image: Some(spec.rootfs.image.clone()),
        working_dir: process.cwd.clone(),
        labels: Some(labels),
        stop_signal: spec.stop_signal.map(|signal| signal.to_string()),
        host_config: Some(host_config(spec)?),
        ..Default::default()
    })
}

fn host_config(spec: &ContainerSpec) -> Result<HostConfig> {
    let resources = &spec.resources;
    let number = |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
    let list = |values: &[String]| (!values.is_empty()).then(|| values.to_vec());
    let parent = spec.cgroup.as_ref().and_then(|path| path.rsplit_once('/'));
    let (mounts, tmpfs) = mounts(spec);
    let own_ipc = if spec.no_shm { "none" } else { "shareable" };
    Ok(HostConfig {
        cpu_shares: number(resources.cpu_shares.map(|shares| shares.max(2))),
        cpu_quota: resources.cpu_quota,
        cpu_period: number(resources.cpu_period),
        cpuset_cpus: resources.cpuset.clone(),
        memory: number(resources.memory),
        memory_reservation: number(resources.memory_reservation),
        memory_swap: resources.memory_swap,
        memory_swappiness: number(resources.swappiness),
        pids_limit: resources.pids,
        oom_score_adj: resources.oom_score_adj.map(i64::from),
        // The daemon makes the last part of the path itself: the container's id.
        cgroup_parent: parent.map(|(parent, _)| parent.to_owned()).filter(|p| !p.is_empty()),
        devices: Some(spec.devices.iter().map(device).collect()),
        init: spec.init.then_some(true),
        ulimits: Some(spec.ulimits.iter().map(ulimit).collect()),
        log_config: Some(log(spec)),
        network_mode: Some(network(&spec.namespaces.network)?),
        pid_mode: mode("pid", &spec.namespaces.pid)?,
        ipc_mode: mode("ipc", &spec.namespaces.ipc)?.or(Some(own_ipc.to_owned())),
        uts_mode: mode("uts", &spec.namespaces.uts)?,
        mounts: Some(mounts),
        tmpfs: Some(tmpfs),
        cap_add: list(&spec.security.cap_add),
        cap_drop: list(&spec.security.cap_drop),
        privileged: Some(spec.privileged),
        readonly_rootfs: Some(spec.readonly_rootfs),
        security_opt: Some(security(spec)),
        shm_size: number(spec.shm_size_mib.map(|size| size.saturating_mul(1 << 20))),
        sysctls: Some(spec.sysctls.clone().into_iter().collect()),
        ..Default::default()
    })
}

/// The daemon's own files, which `logs` reads. Its writer waits for the disk alone: with a buffer
/// between them lines would be lost that nobody counts.
fn log(spec: &ContainerSpec) -> HostConfigLogConfig {
    /// The least size of a file that is of use.
    const LEAST: u64 = 4 << 10;
    if spec.pause {
        return HostConfigLogConfig { typ: Some("none".to_owned()), config: None };
    }
    let limits = spec.stdio.limits;
    let config = HashMap::from([
        ("max-size".to_owned(), limits.file_size.max(LEAST).to_string()),
        ("max-file".to_owned(), limits.files.max(1).to_string()),
        ("mode".to_owned(), "blocking".to_owned()),
    ]);
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(config) }
}

fn network(wanted: &Namespace) -> Result<String> {
    Ok(match wanted {
        // The caller attaches one by the process's namespace, if any.
        Namespace::Own => "none".to_owned(),
        Namespace::Host => "host".to_owned(),
        Namespace::Container(id) => format!("container:{id}"),
        Namespace::Path(_) => {
            return Err(Error::Unsupported(
                "Docker joins no network namespace by its path: share a container's instead".into(),
            ));
        }
    })
}

fn mode(kind: &str, wanted: &Namespace) -> Result<Option<String>> {
    Ok(match wanted {
        Namespace::Own => None,
        Namespace::Host => Some("host".to_owned()),
        Namespace::Container(id) if kind != "uts" => Some(format!("container:{id}")),
        Namespace::Container(_) | Namespace::Path(_) => {
            return Err(Error::Unsupported(format!("Docker cannot join this {kind} namespace")));
        }
    })
}

fn security(spec: &ContainerSpec) -> Vec<String> {
    let security = &spec.security;
    let mut options = Vec::new();
    if security.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    if security.seccomp == Seccomp::Unconfined {
        options.push("seccomp=unconfined".to_owned());
    }
    options.extend(security.apparmor.iter().map(|profile| format!("apparmor={profile}")));
    options.extend(security.selinux.iter().map(|label| format!("label={label}")));
    options
}

fn device(device: &crate::spec::Device) -> DeviceMapping {
    let host = device.host_path.to_string_lossy().into_owned();
    let letters = [(device.read, 'r'), (device.write, 'w'), (device.mknod, 'm')];
    let access: String = letters.iter().filter_map(|(on, letter)| on.then_some(*letter)).collect();
    DeviceMapping {
        path_in_container: Some(device.container_path.clone().unwrap_or_else(|| host.clone())),
        path_on_host: Some(host),
        cgroup_permissions: Some(if access.is_empty() { "rwm".to_owned() } else { access }),
    }
}

fn ulimit(limit: &crate::spec::Ulimit) -> ResourcesUlimits {
    ResourcesUlimits {
        name: Some(limit.name.clone()),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    }
}

fn mounts(spec: &ContainerSpec) -> (Vec<ApiMount>, HashMap<String, String>) {
    let (mut binds, mut tmpfs) = (Vec::new(), HashMap::new());
    for mount in &spec.mounts {
        match mount {
            Mount::Bind { source, target, readonly, recursive } => binds.push(ApiMount {
                target: Some(target.clone()),
                source: Some(source.to_string_lossy().into_owned()),
                typ: Some(MountType::BIND),
                read_only: Some(*readonly),
                bind_options: Some(MountBindOptions {
                    propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
                    non_recursive: Some(!recursive),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            Mount::Tmpfs { target, size_mib, options } => {
                let mut all = options.clone();
                all.extend(size_mib.map(|size| format!("size={size}m")));
                tmpfs.insert(target.clone(), all.join(","));
            }
        }
    }
    (binds, tmpfs)
}
