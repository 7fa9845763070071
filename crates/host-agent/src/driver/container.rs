//! A container of a payload as a specification for the runtime: every field of a container
//! definition does what it says, or the container fails by name.

use std::path::Path;
use std::sync::Arc;

use aws_agent::docker::{Config, HostConfig};
use aws_agent::task::Container;
use host_images::Image;
use host_network::Attachment;
use host_runtime::{
    ContainerSpec, Device, LogFiles, Mount, Namespace, Namespaces, ProcessSpec, Resources, Rootfs,
    Seccomp, Security, Stdio, Ulimit,
};

use super::files::{Names, bind, check_addresses, hostname, target_of};
use super::volumes::Volumes;
use super::{Driver, network, process};
use crate::engine::Failure;
use crate::logs;
use crate::tasks::{Given, Live, NetworkMode};

impl Driver {
    pub(super) async fn container_spec(
        &self,
        live: &Arc<Live>,
        part: usize,
        image: &Arc<Image>,
        attachment: Option<&Attachment>,
    ) -> Result<ContainerSpec, Failure> {
        let given = &live.given;
        let (config, host) = &given.configs[part];
        let container = &given.task.containers[part];
        let id = given.container_id(part);
        let privileged = container.privileged || host.privileged;
        if privileged && !self.settings.privileged {
            return Err(create("privileged containers are disabled on this host".to_owned()));
        }
        let args = process::args(container, config, &image.config.config);
        if args.is_empty() {
            return Err(create("no command specified".to_owned()));
        }
        let mounts = self.mounts(live, part, image, attachment)?;
        let run = &image.config.config;
        let or_image = |own: &str, image: &str| match (own, image) {
            ("", "") => None,
            ("", image) => Some(image.to_owned()),
            (own, _) => Some(own.to_owned()),
        };
        Ok(ContainerSpec {
            name: docker_name(given, part),
            labels: labels(given, container, config, &self.settings.cluster),
            rootfs: Rootfs {
                layers: image.layers.clone(),
                image: self.name_for_runtime(image, &container.image),
            },
            process: ProcessSpec {
                args,
                env: self.environment(live, part, image),
                cwd: or_image(&config.working_dir, &run.working_dir),
                user: or_image(&config.user, &run.user),
                tty: config.tty,
                stdin: config.open_stdin,
            },
            hostname: self.own_hostname(given, part),
            domainname: (!config.domainname.is_empty()).then(|| config.domainname.clone()),
            readonly_rootfs: host.readonly_rootfs,
            mounts,
            shm_size_mib: shm(container, host),
            no_shm: ipc_mode(given, host) == "none",
            privileged,
            devices: devices(container, host),
            sysctls: host.sysctls.clone(),
            ulimits: ulimits(host),
            security: security(container, host)?,
            resources: resources(container, host),
            cgroup: self.cgroup(given, &id),
            namespaces: Namespaces {
                network: self.network_namespace(given, part, attachment),
                ..shared_namespaces(given, self.namespace_holder(given), &id, host)
            },
            pause: false,
            init: host.init.unwrap_or(false)
                || container.linux_parameters.as_ref().is_some_and(|l| l.init_process_enabled),
            stop_signal: process::signal(&config.stop_signal)
                .or_else(|| process::signal(&run.stop_signal)),
            stdio: Stdio {
                log: Some(LogFiles { dir: self.log_dir(given, part) }),
                limits: logs::limits(&host.log_config).map_err(|e| create(e.to_string()))?,
            },
            id,
        })
    }

    /// Where a container's output is kept, whichever driver it asks for.
    pub fn log_dir(&self, given: &Given, part: usize) -> std::path::PathBuf {
        let name = &given.task.containers[part].name;
        self.settings.dir.join("logs").join(&given.id).join(name)
    }

    fn mounts(
        &self,
        live: &Live,
        part: usize,
        image: &Image,
        attachment: Option<&Attachment>,
    ) -> Result<Vec<Mount>, Failure> {
        let given = &live.given;
        let (config, host) = &given.configs[part];
        let container = &given.task.containers[part];
        let task_dir = self.task_dir(given);
        let shared_dir = self.settings.dir.join("volumes");
        let volumes = Volumes { given, task_dir: task_dir.clone(), shared_dir };
        let mut mounts = volumes.mounts(part, image)?;
        for (target, options) in &host.tmpfs {
            mounts.push(tmpfs(target, options)?);
        }
        mounts.extend(self.router_mounts(given, part)?);
        if let Some(text) = host.binds.first() {
            return Err(create(format!("the bind {text} is not part of a container definition")));
        }
        check_addresses(&host.extra_hosts, &host.dns).map_err(create)?;
        let own = self.own_hostname(given, part);
        let shares_host = given.network_mode() == NetworkMode::Host;
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let names = Names {
            hostname: own.as_deref().unwrap_or(machine.trim()),
            domainname: &config.domainname,
            address: attachment.and_then(Attachment::address),
            host,
            links: self.link_names(given, container),
            shares_host,
        };
        let dir = task_dir.join("files").join(part.to_string());
        let io = |error| create(format!("cannot write {}: {error}", dir.display()));
        let files = names.write(&dir, &mounts).map_err(io)?;
        mounts.extend(files);
        let taken = mounts.iter().any(|mount| target_of(mount) == AUTHORITY);
        if let (Some(ca), false) = (self.authority(given, part), taken) {
            mounts.push(bind(ca.to_owned(), AUTHORITY.to_owned(), true));
        }
        let logs = self.log_dir(given, part);
        make_log_dir(&logs)?;
        Ok(mounts)
    }

    /// The CA that this host's agent trusts, for a container that is sent to the same control plane:
    /// one that a definition sends elsewhere needs others.
    fn authority(&self, given: &Given, part: usize) -> Option<&Path> {
        let bare = |url: &str| url.trim_end_matches('/').to_owned();
        let own = bare(self.settings.endpoint.as_deref()?);
        let told = given.task.containers[part].environment.get("AWS_ENDPOINT_URL");
        let same = told.is_none_or(|told| bare(told) == own);
        self.settings.ca.as_deref().filter(|_| same && own.starts_with("https://"))
    }

    /// AWS: a container with the host's network has the host's name.
    pub(super) fn own_hostname(&self, given: &Given, part: usize) -> Option<String> {
        let config = &given.configs[part].0;
        match given.network_mode() {
            NetworkMode::Host => None,
            NetworkMode::Awsvpc => {
                let address = network::eni(given).ok()?.address;
                let eni = given.task.elastic_network_interfaces.first();
                let dns = eni.map(|eni| eni.private_dns_name.clone()).filter(|n| !n.is_empty());
                Some(dns.unwrap_or_else(|| format!("ip-{}", address.to_string().replace('.', "-"))))
            }
            _ if !config.hostname.is_empty() => Some(config.hostname.clone()),
            _ => Some(hostname(&given.container_id(part))),
        }
    }

    fn environment(&self, live: &Live, part: usize, image: &Image) -> Vec<String> {
        let own = self.own_environment(live, part, image);
        let links = self.link_variables(live, part);
        let is_set = |name: &str| own.iter().any(|pair| pair.split('=').next() == Some(name));
        let links = links.into_iter().filter(|(name, _)| !is_set(name));
        let mut all: Vec<String> = links.map(|(name, value)| format!("{name}={value}")).collect();
        all.extend(own);
        all
    }

    /// What a container is told whoever it is linked to.
    pub(super) fn own_environment(&self, live: &Live, part: usize, image: &Image) -> Vec<String> {
        let given = &live.given;
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let mut own = Vec::new();
        if let Some(id) = given.endpoints.get(part) {
            own.push(pair("ECS_CONTAINER_METADATA_URI", format!("{METADATA}/v3/{id}")));
            own.push(pair("ECS_CONTAINER_METADATA_URI_V4", format!("{METADATA}/v4/{id}")));
            own.push(pair("ECS_AGENT_URI", format!("{METADATA}/api/{id}")));
        }
        if let Some(role) = &given.task.role_credentials {
            let path = format!("/v2/credentials/{}", role.credentials_id);
            own.push(pair("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", path));
        }
        own.extend(self.router_variables(given, part));
        let mut defaults = vec![
            pair("AWS_REGION", self.settings.region.clone()),
            pair("AWS_DEFAULT_REGION", self.settings.region.clone()),
            pair("AWS_EXECUTION_ENV", "AWS_ECS_EC2".to_owned()),
        ];
        if let Some(endpoint) = &self.settings.endpoint {
            defaults.push(pair("AWS_ENDPOINT_URL", endpoint.clone()));
            // An endpoint of one name has no names below it.
            defaults.push(pair("AWS_DISABLE_HOST_PREFIX_INJECTION", "true".to_owned()));
        }
        if self.authority(given, part).is_some() {
            let names = ["AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];
            defaults.extend(names.map(|name| pair(name, AUTHORITY.to_owned())));
        }
        let container = &given.task.containers[part];
        let config = &given.configs[part].0;
        process::environment(&image.config.config, config, container, &own, &defaults)
    }
}

const METADATA: &str = "http://169.254.170.2";
/// Where a container finds the CA of a control plane that is in nobody's store.
const AUTHORITY: &str = "/etc/wharf/ca.pem";

fn create(text: String) -> Failure {
    Failure::new(Failure::CREATE, text)
}

fn make_log_dir(dir: &Path) -> Result<(), Failure> {
    let io = |error| create(format!("cannot make {}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(io)
}

/// AWS: `ecs-<family>-<revision>-<container>-<random>`.
pub(crate) fn docker_name(given: &Given, part: usize) -> String {
    let (task, container) = (&given.task, &given.task.containers[part]);
    let end = hostname(&given.container_id(part));
    format!("ecs-{}-{}-{}-{end}", task.family, task.version, container.name)
}

pub(crate) fn labels(
    given: &Given,
    container: &Container,
    config: &Config,
    cluster: &str,
) -> std::collections::BTreeMap<String, String> {
    let mut labels = config.labels.clone();
    let task = &given.task;
    for (name, value) in [
        ("cluster", cluster),
        ("container-name", &container.name),
        ("task-arn", &task.arn),
        ("task-definition-family", &task.family),
        ("task-definition-version", &task.version),
    ] {
        labels.insert(format!("com.amazonaws.ecs.{name}"), value.to_owned());
    }
    labels
}

fn shm(container: &Container, host: &HostConfig) -> Option<u64> {
    let of_host = u64::try_from(host.shm_size >> 20).ok().filter(|mib| *mib > 0);
    let linux = container.linux_parameters.as_ref();
    let own = linux.and_then(|linux| linux.shared_memory_size);
    of_host.or(own.and_then(|mib| u64::try_from(mib).ok()).filter(|mib| *mib > 0))
}

fn devices(container: &Container, host: &HostConfig) -> Vec<Device> {
    let device = |path: &str, inside: &str, permissions: &str| Device {
        host_path: path.into(),
        container_path: (!inside.is_empty()).then(|| inside.to_owned()),
        // Docker: no permissions named means all.
        read: permissions.is_empty() || permissions.contains('r'),
        write: permissions.is_empty() || permissions.contains('w'),
        mknod: permissions.is_empty() || permissions.contains('m'),
    };
    if !host.devices.is_empty() {
        let all = host.devices.iter();
        return all
            .map(|d| device(&d.path_on_host, &d.path_in_container, &d.cgroup_permissions))
            .collect();
    }
    let all = container.linux_parameters.iter().flat_map(|linux| &linux.devices);
    all.map(|d| {
        let words = d.permissions.iter().map(|word| match word.as_str() {
            "read" => "r",
            "write" => "w",
            _ => "m",
        });
        device(&d.host_path, &d.container_path, &words.collect::<String>())
    })
    .collect()
}

fn ulimits(host: &HostConfig) -> Vec<Ulimit> {
    let each = host.ulimits.iter();
    each.map(|u| Ulimit { name: u.name.clone(), soft: u.soft, hard: u.hard }).collect()
}

fn security(container: &Container, host: &HostConfig) -> Result<Security, Failure> {
    let own = container.linux_parameters.as_ref().and_then(|linux| linux.capabilities.as_ref());
    let mut security = Security {
        cap_add: host.cap_add.clone(),
        cap_drop: host.cap_drop.clone(),
        ..Security::default()
    };
    if let (true, Some(own)) = (host.cap_add.is_empty() && host.cap_drop.is_empty(), own) {
        security.cap_add.clone_from(&own.add);
        security.cap_drop.clone_from(&own.drop);
    }
    for option in &host.security_opt {
        let (name, value) = option.split_once([':', '=']).unwrap_or((option, "true"));
        match (name, value) {
            ("no-new-privileges", "true") => security.no_new_privileges = true,
            ("no-new-privileges", "false") => security.no_new_privileges = false,
            ("apparmor", profile) => security.apparmor = Some(profile.to_owned()),
            ("label", label) => security.selinux.push(label.to_owned()),
            ("seccomp", "unconfined") => security.seccomp = Seccomp::Unconfined,
            _ => return Err(create(format!("invalid --security-opt: {option:?}"))),
        }
    }
    Ok(security)
}

fn resources(container: &Container, host: &HostConfig) -> Resources {
    let positive = |bytes: i64| u64::try_from(bytes).ok().filter(|bytes| *bytes > 0);
    let memory = positive(container.memory).map(|mib| mib << 20).or(positive(host.memory));
    Resources {
        // AWS: without cpu a container gets the kernel's least, 2.
        cpu_shares: Some(positive(container.cpu).or(positive(host.cpu_shares)).unwrap_or(2)),
        memory,
        memory_reservation: positive(host.memory_reservation),
        memory_swap: (host.memory_swap != 0).then_some(host.memory_swap),
        swappiness: host.memory_swappiness.and_then(|s| u64::try_from(s).ok()),
        pids: host.pids_limit.filter(|pids| *pids > 0),
        ..Resources::default()
    }
}

fn shared_namespaces(
    given: &Given,
    holder: Option<String>,
    id: &str,
    host: &HostConfig,
) -> Namespaces {
    let shared = |mode: &str| match mode {
        "host" => Namespace::Host,
        "task" => match holder.clone().filter(|holder| holder != id) {
            Some(holder) => Namespace::Container(holder),
            None => Namespace::Own,
        },
        _ => Namespace::Own,
    };
    let uts = match given.network_mode() {
        NetworkMode::Host => Namespace::Host,
        _ => Namespace::Own,
    };
    let pid = if host.pid_mode.is_empty() { &given.task.pid_mode } else { &host.pid_mode };
    let (pid, ipc) = (shared(pid), shared(ipc_mode(given, host)));
    Namespaces { pid, ipc, uts, ..Namespaces::default() }
}

/// A container's own word counts over its task's.
fn ipc_mode<'a>(given: &'a Given, host: &'a HostConfig) -> &'a str {
    if host.ipc_mode.is_empty() { &given.task.ipc_mode } else { &host.ipc_mode }
}

/// What Docker knows of mount(8)'s options of a tmpfs; those that stand before a `=` have a value.
const OF_TMPFS: &[&str] = &[
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "gid",
    "mand",
    "mode",
    "mpol",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nr_blocks",
    "nr_inodes",
    "private",
    "rbind",
    "relatime",
    "remount",
    "ro",
    "rprivate",
    "rshared",
    "rslave",
    "runbindable",
    "rw",
    "shared",
    "slave",
    "strictatime",
    "suid",
    "sync",
    "uid",
    "unbindable",
];

/// Docker's options of a tmpfs: `size=64m` among those of mount(8).
fn tmpfs(target: &str, options: &str) -> Result<Mount, Failure> {
    let (mut size_mib, mut rest) = (None, Vec::new());
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let bad = || create(format!("invalid tmpfs option [{option:?}]"));
        let Some(size) = option.strip_prefix("size=") else {
            let name = option.split_once('=').map_or(option, |(name, _)| name);
            if !OF_TMPFS.contains(&name) {
                return Err(bad());
            }
            rest.push(option.to_owned());
            continue;
        };
        let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number: u64 = digits.parse().map_err(|_| bad())?;
        let bytes = match size[digits.len()..].to_ascii_lowercase().as_str() {
            "" | "b" => number,
            "k" => number << 10,
            "m" => number << 20,
            "g" => number << 30,
            _ => return Err(bad()),
        };
        size_mib = Some(bytes.div_ceil(1 << 20));
    }
    Ok(Mount::Tmpfs { target: target.to_owned(), size_mib, options: rest })
}
