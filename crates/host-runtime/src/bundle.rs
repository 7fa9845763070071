//! From our specification to an OCI bundle's `config.json`, which the embedded runtime and runc both
//! read. What the image decides (users, links in paths) is looked up in the mounted root.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use caps::Capability;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::spec::{ContainerSpec, Device, Mount, Namespace, ProcessSpec, Seccomp};
use crate::users::Identity;
use crate::{capabilities, parameters, seccomp};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SHM_MIB: u64 = 64;

const MASKED: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READONLY: &[&str] =
    &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Whose engine reads the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Our executor sets user and capabilities last, after seccomp: until then it must be root.
    Embedded,
    Runc,
}

/// What was looked up before the document can be written.
pub struct Looked {
    pub rootfs: PathBuf,
    pub identity: Identity,
    pub cgroup: String,
    /// Whether that group shall be all that the container sees of groups. Docker: with version 2, where
    /// the others' would be one mount away.
    pub own_cgroup: bool,
    /// Processes of other containers whose namespaces are shared, by their ids.
    pub others: BTreeMap<String, u32>,
    /// Another container's /dev/shm, mounted here, where its IPC namespace is shared.
    pub shared_shm: Option<PathBuf>,
    /// The program that is pid 1 where runc shall give an init.
    pub init_program: Option<PathBuf>,
}

/// Refuse early what no runtime could do, in words that name the field.
pub fn check(spec: &ContainerSpec) -> Result<()> {
    crate::check_id(&spec.id)?;
    if spec.process.args.is_empty() || spec.process.args[0].is_empty() {
        return Err(Error::Create("No command specified".into()));
    }
    let texts = spec.process.args.iter().chain(&spec.process.env);
    if texts.clone().any(|text| text.contains('\0')) {
        return Err(Error::Invalid("arguments and environment cannot hold a NUL".into()));
    }
    if let Some(bad) = spec.process.env.iter().find(|e| e.is_empty() || e.starts_with('=')) {
        return Err(Error::Invalid(format!("invalid environment variable: {bad}")));
    }
    if let Some(hostname) = &spec.hostname
        && (hostname.is_empty() || hostname.len() > 64)
    {
        return Err(Error::Invalid(format!("invalid hostname \"{hostname}\"")));
    }
    crate::cgroups::check(&spec.resources)?;
    capabilities::of(spec)?;
    parameters::check(spec)?;
    for mount in &spec.mounts {
        let (Mount::Bind { target, .. } | Mount::Tmpfs { target, .. }) = mount;
        check_target(target)?;
        // Nothing but the kernel's own view of processes can stand there: runc refuses it, too.
        let view = matches!(mount, Mount::Bind { source, .. } if source == Path::new("/proc"));
        if target.trim_end_matches('/') == "/proc" && !view {
            let text = format!("\"{target}\" cannot be mounted because it is inside /proc");
            return Err(Error::Start(text));
        }
    }
    check_modules(spec)
}

fn check_target(target: &str) -> Result<()> {
    let why = match target {
        relative if !relative.starts_with('/') => "mount path must be absolute",
        all if all.trim_matches('/').is_empty() => "destination can't be '/'",
        _ => return Ok(()),
    };
    Err(Error::Invalid(format!("invalid mount path: '{target}' {why}")))
}

fn check_modules(spec: &ContainerSpec) -> Result<()> {
    if let Some(profile) = &spec.security.apparmor
        && profile != "unconfined"
    {
        let on = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
        if !on.is_ok_and(|text| text.trim() == "Y") {
            return Err(Error::Unsupported(format!(
                "AppArmor profile \"{profile}\" was asked for, and this kernel has no AppArmor"
            )));
        }
    }
    let labels = spec.security.selinux.iter().any(|label| label != "disable");
    if labels && !Path::new("/sys/fs/selinux/enforce").exists() {
        return Err(Error::Unsupported(
            "SELinux labels were asked for, and this kernel has no SELinux".into(),
        ));
    }
    Ok(())
}

pub fn config(spec: &ContainerSpec, looked: &Looked, flavour: Flavour) -> Result<Value> {
    let capabilities = capabilities::of(spec)?;
    let mut linux = json!({
        "namespaces": namespaces(spec, looked)?,
        "cgroupsPath": looked.cgroup,
        "sysctl": sysctls(spec),
    });
    let (devices, rules) = devices(spec)?;
    linux["devices"] = Value::Array(devices);
    linux["resources"] = json!({ "devices": rules });
    if !spec.privileged {
        linux["maskedPaths"] = json!(MASKED);
        linux["readonlyPaths"] = json!(READONLY);
    }
    if flavour == Flavour::Runc && confined(spec) {
        let document = seccomp::document(&capabilities)?;
        linux["seccomp"] = serde_json::to_value(document)
            .map_err(|error| Error::Create(format!("seccomp: {error}")))?;
    }
    if let Some(label) = selinux_label(spec) {
        linux["mountLabel"] = json!(label);
    }
    let mut process = process(spec, &spec.process, &looked.identity, flavour)?;
    if let Some(program) = &looked.init_program {
        let mut args = vec![json!("/sbin/docker-init")];
        if !program.ends_with("catatonit") {
            args.push(json!("--"));
        }
        args.extend(spec.process.args.iter().map(|arg| json!(arg)));
        process["args"] = Value::Array(args);
    }
    let mut config = json!({
        "ociVersion": "1.0.2",
        "process": process,
        "root": { "path": looked.rootfs, "readonly": spec.readonly_rootfs },
        "mounts": mounts(spec, looked)?,
        "linux": linux,
    });
    if spec.namespaces.uts == Namespace::Own {
        config["hostname"] = json!(hostname(spec));
        if let Some(domain) = &spec.domainname {
            config["domainname"] = json!(domain);
        }
    }
    Ok(config)
}

/// AWS: a container without a hostname has the first twelve letters of its id, as with Docker.
fn hostname(spec: &ContainerSpec) -> String {
    spec.hostname.clone().unwrap_or_else(|| spec.id.chars().take(12).collect())
}

pub fn confined(spec: &ContainerSpec) -> bool {
    spec.security.seccomp == Seccomp::Default && !spec.privileged
}

fn selinux_label(spec: &ContainerSpec) -> Option<String> {
    let given = &spec.security.selinux;
    (!given.is_empty() && !given.iter().any(|l| l == "disable")).then(|| given.join(","))
}

/// The `process` member, of the first process and of those that `exec` starts.
pub fn process(
    spec: &ContainerSpec,
    process: &ProcessSpec,
    identity: &Identity,
    flavour: Flavour,
) -> Result<Value> {
    let mut set = capabilities::of(spec)?;
    let mut user = json!({
        "uid": identity.uid, "gid": identity.gid, "additionalGids": identity.groups,
    });
    if flavour == Flavour::Embedded {
        user = json!({ "uid": 0, "gid": 0 });
        for needed in [
            Capability::CAP_SYS_ADMIN,
            Capability::CAP_SETUID,
            Capability::CAP_SETGID,
            Capability::CAP_SETPCAP,
        ] {
            if !set.contains(&needed) {
                set.push(needed);
            }
        }
    }
    let names: Vec<String> = set.iter().map(|capability| capability.to_string()).collect();
    let rlimits = spec.ulimits.iter().map(parameters::rlimit).collect::<Result<Vec<_>>>()?;
    let mut value = json!({
        "terminal": process.tty,
        "user": user,
        "args": process.args,
        "env": environment(spec, process, identity),
        "cwd": process.cwd.as_deref().unwrap_or("/"),
        // The last two are said, since a reader may have defaults for what is absent.
        "capabilities": {
            "bounding": names, "effective": names, "permitted": names,
            "inheritable": [], "ambient": [],
        },
        "rlimits": rlimits,
        "noNewPrivileges": spec.security.no_new_privileges,
    });
    if let Some(score) = spec.resources.oom_score_adj {
        value["oomScoreAdj"] = json!(score);
    }
    if let Some(profile) = spec.security.apparmor.as_ref().filter(|p| *p != "unconfined") {
        value["apparmorProfile"] = json!(profile);
    }
    if let Some(label) = selinux_label(spec) {
        value["selinuxLabel"] = json!(label);
    }
    Ok(value)
}

fn environment(spec: &ContainerSpec, process: &ProcessSpec, identity: &Identity) -> Vec<String> {
    let given = |name: &str| process.env.iter().any(|e| e.split('=').next() == Some(name));
    let mut env = Vec::new();
    if !given("PATH") {
        env.push(format!("PATH={DEFAULT_PATH}"));
    }
    if !given("HOSTNAME") {
        env.push(format!("HOSTNAME={}", hostname(spec)));
    }
    if process.tty && !given("TERM") {
        env.push("TERM=xterm".to_owned());
    }
    // A name without a value is not set, as with Docker.
    env.extend(process.env.iter().filter(|e| e.contains('=')).cloned());
    if !given("HOME") {
        env.push(format!("HOME={}", identity.home));
    }
    env
}

fn namespaces(spec: &ContainerSpec, looked: &Looked) -> Result<Vec<Value>> {
    let mut list = vec![json!({ "type": "mount" })];
    list.extend(looked.own_cgroup.then(|| json!({ "type": "cgroup" })));
    let all = &spec.namespaces;
    for (kind, file, wanted) in [
        ("network", "net", &all.network),
        ("pid", "pid", &all.pid),
        ("ipc", "ipc", &all.ipc),
        ("uts", "uts", &all.uts),
    ] {
        match wanted {
            Namespace::Own => list.push(json!({ "type": kind })),
            Namespace::Host => {}
            Namespace::Path(path) => {
                if !path.exists() {
                    return Err(Error::Create(format!(
                        "{kind} namespace {} does not exist",
                        path.display()
                    )));
                }
                list.push(json!({ "type": kind, "path": path }));
            }
            Namespace::Container(id) => {
                let pid = looked.others.get(id).ok_or_else(|| {
                    Error::Create(format!("cannot join {kind} of a non running container: {id}"))
                })?;
                list.push(json!({ "type": kind, "path": format!("/proc/{pid}/ns/{file}") }));
            }
        }
    }
    Ok(list)
}

/// As Docker does: a container with a network of its own may ping and bind low ports as any user.
fn sysctls(spec: &ContainerSpec) -> BTreeMap<String, String> {
    let mut all = spec.sysctls.clone();
    if spec.namespaces.network != Namespace::Host {
        for (name, value) in [
            ("net.ipv4.ip_unprivileged_port_start", "0"),
            ("net.ipv4.ping_group_range", "0 2147483647"),
        ] {
            let file = Path::new("/proc/sys").join(name.replace('.', "/"));
            if file.exists() {
                all.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
    }
    all
}

fn mounts(spec: &ContainerSpec, looked: &Looked) -> Result<Vec<Value>> {
    let system = |target: &str, kind: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": kind, "options": options });
    let access = if spec.privileged { "rw" } else { "ro" };
    let shm = format!("size={}k", spec.shm_size_mib.unwrap_or(SHM_MIB).saturating_mul(1024));
    let mut list = vec![
        system("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        system("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        system(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        system("/sys", "sysfs", &["nosuid", "noexec", "nodev", access]),
        system("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", access]),
    ];
    let bind = |source: &Path, target: &str| json!({ "destination": target, "type": "bind", "source": source, "options": ["rbind", "rw"] });
    let given: Vec<&str> = spec.mounts.iter().map(target_of).collect();
    if !given.contains(&"/dev/mqueue") {
        list.push(match spec.namespaces.ipc {
            Namespace::Host => bind(Path::new("/dev/mqueue"), "/dev/mqueue"),
            _ => system("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        });
        if spec.namespaces.ipc == Namespace::Host && !Path::new("/dev/mqueue").exists() {
            list.pop();
        }
    }
    let none = spec.no_shm && spec.namespaces.ipc == Namespace::Own;
    if !given.contains(&"/dev/shm") && !none {
        list.push(match (&spec.namespaces.ipc, &looked.shared_shm) {
            (Namespace::Host, _) => bind(Path::new("/dev/shm"), "/dev/shm"),
            (_, Some(shared)) => bind(shared, "/dev/shm"),
            _ => system("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", &shm]),
        });
    }
    if let Some(program) = &looked.init_program {
        let mut init = bind(program, "/sbin/docker-init");
        init["options"] = json!(["bind", "ro"]);
        list.push(init);
    }
    let mut own: Vec<&Mount> = spec.mounts.iter().collect();
    // A mount below another one must come after it, whatever order the definition has.
    own.sort_by_key(|mount| target_of(mount).split('/').filter(|part| !part.is_empty()).count());
    for mount in own {
        list.push(user_mount(mount)?);
    }
    Ok(list)
}

fn target_of(mount: &Mount) -> &str {
    match mount {
        Mount::Bind { target, .. } | Mount::Tmpfs { target, .. } => target,
    }
}

fn user_mount(mount: &Mount) -> Result<Value> {
    Ok(match mount {
        Mount::Bind { source, target, readonly, recursive } => {
            if !source.exists() {
                return Err(Error::Create(format!(
                    "invalid mount config for type \"bind\": bind source path does not exist: {}",
                    source.display()
                )));
            }
            let kind = if *recursive { "rbind" } else { "bind" };
            let access = if *readonly { "ro" } else { "rw" };
            json!({
                "destination": target, "type": "bind", "source": source,
                "options": [kind, access, "rprivate"],
            })
        }
        Mount::Tmpfs { target, size_mib, options } => {
            let mut all = vec!["nosuid".to_owned(), "nodev".into(), "noexec".into()];
            for option in options {
                // A later word takes an earlier one back, as mount(8) reads them.
                let opposite =
                    option.strip_prefix("no").map_or(format!("no{option}"), str::to_owned);
                let opposite = if *option == "suid" { "nosuid".into() } else { opposite };
                all.retain(|have| *have != opposite && have != option);
                if !["suid", "dev", "exec"].contains(&option.as_str()) {
                    all.push(option.clone());
                }
            }
            if let Some(size) = size_mib {
                all.push(format!("size={}k", size.saturating_mul(1024)));
            }
            json!({ "destination": target, "type": "tmpfs", "source": "tmpfs", "options": all })
        }
    })
}

/// Device files, and who may use them.
fn devices(spec: &ContainerSpec) -> Result<(Vec<Value>, Vec<Value>)> {
    let rule = |allow: bool, kind: &str, numbers: Option<(i64, i64)>, access: &str| {
        let mut rule = json!({ "allow": allow, "type": kind, "access": access });
        if let Some((major, minor)) = numbers {
            // Absent is any.
            rule["major"] = json!(major);
            if minor >= 0 {
                rule["minor"] = json!(minor);
            }
        }
        rule
    };
    let mut files = Vec::new();
    if spec.privileged {
        for path in host_devices(Path::new("/dev"), 0) {
            files.extend(device_file(&path, &path.to_string_lossy()).map(|(file, _)| file));
        }
        return Ok((files, vec![rule(true, "a", None, "rwm")]));
    }
    let mut rules =
        vec![rule(false, "a", None, "rwm"), rule(true, "c", None, "m"), rule(true, "b", None, "m")];
    for (major, minor) in
        [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, -1)]
    {
        rules.push(rule(true, "c", Some((major, minor)), "rwm"));
    }
    for device in &spec.devices {
        add_device(device, &mut files, &mut rules, &rule)?;
    }
    Ok((files, rules))
}

type Rule<'a> = &'a dyn Fn(bool, &str, Option<(i64, i64)>, &str) -> Value;

fn add_device(
    device: &Device,
    files: &mut Vec<Value>,
    rules: &mut Vec<Value>,
    rule: Rule<'_>,
) -> Result<()> {
    let host = &device.host_path;
    let inside = device.container_path.clone().unwrap_or_else(|| host.to_string_lossy().into());
    // Docker looks at devices as it starts a container.
    let missing = || {
        let why = if host.exists() { "not a device node" } else { "no such file or directory" };
        Error::Start(format!(
            "error gathering device information while adding custom device \"{}\": {why}",
            host.display()
        ))
    };
    let access: String = [(device.read, 'r'), (device.write, 'w'), (device.mknod, 'm')]
        .iter()
        .filter_map(|(on, letter)| on.then_some(*letter))
        .collect();
    // AWS: without permissions a device has all three.
    let access = if access.is_empty() { "rwm" } else { &access };
    let found = if host.is_dir() { host_devices(host, 0) } else { vec![host.clone()] };
    if found.is_empty() {
        return Err(missing());
    }
    for path in found {
        let below = path.strip_prefix(host).ok().filter(|p| !p.as_os_str().is_empty());
        let target = match below {
            Some(below) => Path::new(&inside).join(below).to_string_lossy().into_owned(),
            None => inside.clone(),
        };
        let (file, (kind, major, minor)) = device_file(&path, &target).ok_or_else(missing)?;
        files.push(file);
        rules.push(rule(true, kind, Some((major, minor)), access));
    }
    Ok(())
}

fn device_file(path: &Path, target: &str) -> Option<(Value, (&'static str, i64, i64))> {
    let meta = std::fs::metadata(path).ok()?;
    let kind = match meta.file_type() {
        kind if kind.is_char_device() => "c",
        kind if kind.is_block_device() => "b",
        _ => return None,
    };
    let (major, minor) =
        (i64::from(rustix::fs::major(meta.rdev())), i64::from(rustix::fs::minor(meta.rdev())));
    let file = json!({
        "path": target, "type": kind, "major": major, "minor": minor,
        "fileMode": meta.mode() & 0o7777, "uid": meta.uid(), "gid": meta.gid(),
    });
    Some((file, (kind, major, minor)))
}

/// Device files below a folder, without those that every container has its own of.
fn host_devices(dir: &Path, depth: u32) -> Vec<PathBuf> {
    const OWN: &[&str] = &["pts", "shm", "mqueue", "fd", "console", "lxd", "ptmx", ".lxc"];
    const MOST: usize = 1024;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        let name = entry.file_name();
        if depth == 0 && dir == Path::new("/dev") && OWN.iter().any(|own| *own == name) {
            continue;
        }
        if kind.is_dir() && depth < 4 {
            found.extend(host_devices(&path, depth + 1));
        } else if kind.is_char_device() || kind.is_block_device() {
            found.push(path);
        }
    }
    found.sort();
    found.truncate(MOST);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ContainerSpec {
        let mut spec = ContainerSpec { id: "c1".into(), ..Default::default() };
        spec.process.args = vec!["sh".into()];
        spec
    }

    fn looked() -> Looked {
        Looked {
            rootfs: "/tmp/root".into(),
            identity: Identity { home: "/root".into(), ..Default::default() },
            cgroup: "/wharf/c1".into(),
            own_cgroup: true,
            others: BTreeMap::new(),
            shared_shm: None,
            init_program: None,
        }
    }

    #[test]
    fn the_document_is_one_that_both_can_read() {
        for flavour in [Flavour::Embedded, Flavour::Runc] {
            let value = config(&spec(), &looked(), flavour).unwrap();
            assert_eq!(value["linux"]["seccomp"].is_object(), flavour == Flavour::Runc);
            let read: oci_spec::runtime::Spec = serde_json::from_value(value).unwrap();
            assert_eq!(read.hostname().as_deref(), Some("c1"));
        }
    }

    #[test]
    fn tmpfs_options_take_defaults_back() {
        let mount = Mount::Tmpfs {
            target: "/t".into(),
            size_mib: Some(2),
            options: vec!["exec".into(), "ro".into()],
        };
        let value = user_mount(&mount).unwrap();
        assert_eq!(value["options"], json!(["nosuid", "nodev", "ro", "size=2048k"]));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let mut bad = spec();
        bad.ulimits = vec![crate::Ulimit { name: "nofiles".into(), soft: 1, hard: 1 }];
        assert_eq!(check(&bad).unwrap_err().to_string(), "invalid ulimit type: nofiles");
        let mut bad = spec();
        bad.process.args.clear();
        assert_eq!(check(&bad).unwrap_err().to_string(), "No command specified");
        for (target, text) in [
            ("a", "invalid mount path: 'a' mount path must be absolute"),
            ("/", "invalid mount path: '/' destination can't be '/'"),
            // The start went wrong where seccomp's state is looked up.
            ("/proc", "\"/proc\" cannot be mounted because it is inside /proc"),
        ] {
            let mut bad = spec();
            let (target, options) = (target.to_owned(), Vec::new());
            bad.mounts = vec![Mount::Tmpfs { target, size_mib: None, options }];
            assert_eq!(check(&bad).unwrap_err().to_string(), text);
        }
        let mut bad = spec();
        bad.namespaces.network = Namespace::Container("gone".into());
        let text = config(&bad, &looked(), Flavour::Runc).unwrap_err().to_string();
        assert_eq!(text, "cannot join network of a non running container: gone");
    }
}
