//! What a container shall be: everything that a container definition can ask of a kernel, in our own
//! words. One value serves every runtime, is written into the container's directory, and is all that
//! a later agent needs to know about it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Signals are numbers here, as the kernel and exit records have them.
pub const SIGTERM: i32 = 15;
pub const SIGKILL: i32 = 9;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Letters, digits, `-`, `_` and `.`; at most 128 characters.
    pub id: String,
    /// What an operator calls it (Docker shows it in `docker ps`).
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub rootfs: Rootfs,
    pub process: ProcessSpec,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub readonly_rootfs: bool,
    pub mounts: Vec<Mount>,
    /// In MiB; Docker's default is 64.
    pub shm_size_mib: Option<u64>,
    /// With an IPC namespace of its own there is no `/dev/shm` either (`ipcMode` `none`).
    pub no_shm: bool,
    pub privileged: bool,
    pub devices: Vec<Device>,
    /// `net.*`, `fs.mqueue.*` and the IPC ones, by their dotted names.
    pub sysctls: BTreeMap<String, String>,
    pub ulimits: Vec<Ulimit>,
    pub security: Security,
    pub resources: Resources,
    /// Absolute within every hierarchy; `None`: below the runtime's own root, named by the id.
    pub cgroup: Option<String>,
    pub namespaces: Namespaces,
    /// A tiny init is pid 1: it reaps zombies and passes signals on.
    pub init: bool,
    /// It runs no program: its first process holds the namespaces that others share, and reaps what
    /// is orphaned in them. Not with runc.
    pub pause: bool,
    /// What `stop` sends first; SIGTERM where the image does not say otherwise.
    pub stop_signal: Option<i32>,
    pub stdio: Stdio,
}

/// What a process is started with: the container's first one, or one by `exec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessSpec {
    /// Entry point and command together, never empty.
    pub args: Vec<String>,
    /// `NAME=value`; `PATH` and `HOME` are added where they are missing.
    pub env: Vec<String>,
    /// Made inside the container where it is missing.
    pub cwd: Option<String>,
    /// `user`, `user:group`, `uid`, `uid:gid`, … as the image's own /etc/passwd and /etc/group say.
    pub user: Option<String>,
    pub tty: bool,
    /// Standard input stays open.
    pub stdin: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rootfs {
    /// Unpacked layers, lowest first, as `host-images` gives them. Embedded and runc.
    pub layers: Vec<PathBuf>,
    /// The image's reference, which is shown; with Docker its name in the Engine's own store.
    pub image: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Mount {
    /// A file or folder of this machine.
    Bind {
        source: PathBuf,
        target: String,
        readonly: bool,
        /// Also what is mounted below it (Docker's `rbind`), which is the default of Docker.
        #[serde(default = "yes")]
        recursive: bool,
    },
    Tmpfs {
        target: String,
        size_mib: Option<u64>,
        /// As ECS allows them: `ro`, `noexec`, `mode=1777`, ….
        options: Vec<String>,
    },
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    pub host_path: PathBuf,
    /// Inside the container; `None`: as outside.
    pub container_path: Option<String>,
    pub read: bool,
    pub write: bool,
    pub mknod: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ulimit {
    /// As Docker says it: `nofile`, `nproc`, `core`, ….
    pub name: String,
    /// -1 is without a limit.
    pub soft: i64,
    pub hard: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// With or without `CAP_`; `ALL`.
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub no_new_privileges: bool,
    pub seccomp: Seccomp,
    pub apparmor: Option<String>,
    /// What stands behind `label:` in SELinux's options.
    pub selinux: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// Docker's default profile; a container starts with it or not at all.
    #[default]
    Default,
    Unconfined,
}

/// Limits; `None` is without one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Relative weight, 1024 a CPU; below 2 the kernel's least is taken, as Docker and ECS do.
    pub cpu_shares: Option<u64>,
    /// Microseconds of CPU per `cpu_period`.
    pub cpu_quota: Option<i64>,
    pub cpu_period: Option<u64>,
    pub cpuset: Option<String>,
    /// Bytes; going over it kills.
    pub memory: Option<u64>,
    /// Bytes; a soft limit.
    pub memory_reservation: Option<u64>,
    /// Bytes of memory and swap together; -1 is unlimited. `None`: twice `memory`, as Docker does.
    pub memory_swap: Option<i64>,
    /// 0–100; cgroup v1 only, refused by name on v2 when it is neither absent nor 60.
    pub swappiness: Option<u64>,
    pub pids: Option<i64>,
    pub oom_score_adj: Option<i32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    pub network: Namespace,
    pub pid: Namespace,
    pub ipc: Namespace,
    pub uts: Namespace,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// A new one.
    #[default]
    Own,
    /// The agent's.
    Host,
    /// An existing one: `/run/netns/…`, `/proc/PID/ns/…`.
    Path(PathBuf),
    /// That of a running container of the same runtime.
    Container(String),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stdio {
    /// Where lines go; `None`: `log` in the container's directory with the limits' defaults.
    pub log: Option<LogFiles>,
    pub limits: LogLimits,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogFiles {
    /// A directory that outlives the container: `delete` leaves it.
    pub dir: PathBuf,
}

/// How much a container may write to this machine's disk, and who waits when it wants more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogLimits {
    /// Bytes of one file before the next is begun.
    pub file_size: u64,
    /// Files kept, the current one counted.
    pub files: u32,
    pub when_full: WhenFull,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { file_size: 10 << 20, files: 3, when_full: WhenFull::Forget }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The oldest file goes (`json-file`).
    #[default]
    Forget,
    /// What is more than the reader has room for is dropped and counted (`mode=non-blocking`). Here the
    /// size of a file is that of its text: as much as fits into all files but one is never dropped.
    Drop,
    /// The container waits in `write` until the reader has acknowledged (`mode=blocking`).
    Wait,
}

/// A further process in a running container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    /// `env` is added to the container's; `user` and `cwd` default to the container's.
    pub process: ProcessSpec,
    /// Rows and columns of the terminal, where there is one.
    pub size: Option<(u16, u16)>,
}

/// A cgroup above containers: a task's own limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupSpec {
    /// Absolute within every hierarchy, as in `ContainerSpec::cgroup`.
    pub path: String,
    pub resources: Resources,
}
