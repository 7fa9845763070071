//! What a container asks of the kernel by name: `systemControls` and `ulimits`. A kernel says no with
//! a number and no name, so both are tried or compared before there is a container, and what is wrong
//! is told by the field, the name and the value.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::spec::{ContainerSpec, Namespace, Ulimit};

const RLIMITS: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Parameters of an IPC namespace, beside `fs.mqueue.*`.
const OF_IPC: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

pub fn check(spec: &ContainerSpec) -> Result<()> {
    for limit in &spec.ulimits {
        rlimit(limit)?;
    }
    check_open_files(&spec.ulimits, most_open_files())?;
    if spec.sysctls.is_empty() {
        return Ok(());
    }
    for name in spec.sysctls.keys() {
        check_name(spec, name).map_err(refused)?;
    }
    try_out(&spec.sysctls).map_err(refused)
}

fn refused(text: String) -> Error {
    Error::Invalid(format!("invalid systemControls: {text}"))
}

/// A limit as a bundle has it.
pub fn rlimit(limit: &Ulimit) -> Result<Value> {
    if !RLIMITS.contains(&limit.name.as_str()) {
        return Err(Error::Invalid(format!("invalid ulimit type: {}", limit.name)));
    }
    let (soft, hard) = (number(limit.soft), number(limit.hard));
    if soft > hard {
        return Err(Error::Invalid(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        )));
    }
    let name = format!("RLIMIT_{}", limit.name.to_ascii_uppercase());
    Ok(json!({ "type": name, "soft": soft, "hard": hard }))
}

/// -1 is without a limit.
fn number(value: i64) -> u64 {
    if value < 0 { u64::MAX } else { value.unsigned_abs() }
}

/// The one limit that has an end for root, too.
fn most_open_files() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/fs/nr_open").ok()?.trim().parse().ok()
}

fn check_open_files(limits: &[Ulimit], most: Option<u64>) -> Result<()> {
    let over =
        |limit: &&Ulimit| limit.name == "nofile" && most.is_some_and(|m| number(limit.hard) > m);
    match (limits.iter().find(over), most) {
        (Some(limit), Some(most)) => {
            let hard = match limit.hard {
                ..0 => "unlimited".to_owned(),
                hard => hard.to_string(),
            };
            Err(Error::Invalid(format!(
                "invalid ulimits: the hard limit of nofile, {hard}, is above the {most} that this host \
                 allows (fs.nr_open)"
            )))
        }
        _ => Ok(()),
    }
}

/// Whether a container can have that parameter for itself. AWS: with the namespaces of the host it
/// cannot, and all others are the host's.
fn check_name(spec: &ContainerSpec, name: &str) -> Result<(), String> {
    let dotted = name.replace('/', ".");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if dotted.split('.').any(|part| part.is_empty() || !part.chars().all(plain)) {
        return Err(format!("{name:?} is no name of a kernel parameter"));
    }
    let own = &spec.namespaces;
    let (space, field) = if OF_IPC.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") {
        (&own.ipc, "ipcMode")
    } else if dotted.starts_with("net.") {
        (&own.network, "networkMode")
    } else if dotted == "kernel.domainname" {
        (&own.uts, "networkMode")
    } else {
        return Err(format!(
            "{name:?} is a parameter of the whole host; a container has its own kernel.msg*, \
             kernel.sem, kernel.shm*, fs.mqueue.* and net.*"
        ));
    };
    match space {
        Namespace::Host => Err(format!("{name:?} would be the host's own with {field} host")),
        _ => Ok(()),
    }
}

/// Set them in namespaces that nobody else has and that end at once.
fn try_out(controls: &BTreeMap<String, String>) -> Result<(), String> {
    let own = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    std::thread::scope(|scope| {
        // A thread that goes takes its namespaces along.
        let tried = scope.spawn(|| match nix::sched::unshare(own) {
            Ok(()) => controls.iter().try_for_each(|(name, value)| set(name, value)),
            // Whoever makes the container may have more rights, and says what is wrong.
            Err(_) => Ok(()),
        });
        tried.join().unwrap_or(Ok(()))
    })
}

fn set(name: &str, value: &str) -> Result<(), String> {
    match std::fs::write(file_of(name), value).map_err(|error| error.kind()) {
        Err(ErrorKind::NotFound) => Err(format!("this host's kernel knows no {name:?}")),
        Err(ErrorKind::PermissionDenied) => {
            Err(format!("this host's kernel lets no container change {name:?}"))
        }
        Err(ErrorKind::InvalidInput) => {
            Err(format!("this host's kernel does not take {value:?} for {name:?}"))
        }
        _ => Ok(()),
    }
}

/// An interface that the container will have is stood in for by the one that every network has.
fn file_of(name: &str) -> PathBuf {
    let mut parts: Vec<&str> = name.split(['.', '/']).collect();
    if let ["net", _, "conf" | "neigh", interface, _, ..] = &mut parts[..]
        && !matches!(*interface, "all" | "default")
    {
        *interface = "lo";
    }
    parts.iter().fold(Path::new("/proc/sys").to_owned(), |path, part| path.join(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asking(name: &str, value: &str) -> ContainerSpec {
        let sysctls = [(name.to_owned(), value.to_owned())].into();
        ContainerSpec { sysctls, ..ContainerSpec::default() }
    }

    #[test]
    fn open_files_have_an_end() {
        let limit = |hard| [Ulimit { name: "nofile".into(), soft: 1, hard }];
        assert!(check_open_files(&limit(1024), Some(1024)).is_ok());
        assert!(check_open_files(&limit(-1), None).is_ok());
        let text = check_open_files(&limit(1025), Some(1024)).unwrap_err().to_string();
        assert!(text.contains("the hard limit of nofile, 1025, is above the 1024"), "{text}");
        let text = check_open_files(&limit(-1), Some(1024)).unwrap_err().to_string();
        assert!(text.contains("nofile, unlimited, is above"), "{text}");
        let others = [Ulimit { name: "nproc".into(), soft: 1, hard: 1025 }];
        assert!(check_open_files(&others, Some(1024)).is_ok());
    }

    #[test]
    fn only_parameters_of_a_container_are_its_own() {
        let text = |spec: &ContainerSpec, name| check_name(spec, name).err().unwrap_or_default();
        let own = ContainerSpec::default();
        for fine in ["net.core.somaxconn", "kernel.sem", "fs.mqueue.msg_max", "net/ipv4/ip_forward"]
        {
            assert_eq!(text(&own, fine), "");
        }
        for of_host in ["vm.swappiness", "kernel.pid_max", "kernel.hostname", "fs.file-max"] {
            assert!(text(&own, of_host).contains("of the whole host"), "{of_host}");
        }
        for wrong in ["", "net.", "net..x", "net.../../x", "net.a b"] {
            assert!(text(&own, wrong).contains("no name"), "{wrong}");
        }
        let mut shared = ContainerSpec::default();
        shared.namespaces.network = Namespace::Host;
        shared.namespaces.ipc = Namespace::Host;
        assert!(text(&shared, "net.core.somaxconn").ends_with("with networkMode host"));
        assert!(text(&shared, "kernel.msgmax").ends_with("with ipcMode host"));
    }

    #[test]
    fn the_kernel_is_asked_without_harm() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: other namespaces need root");
            return;
        }
        let here = || std::fs::read_to_string("/proc/sys/kernel/msgmax").unwrap();
        let before = here();
        for (name, value, says) in [
            ("kernel.msgmax", "9001", ""),
            ("net.ipv4.conf.eth7.rp_filter", "0", ""),
            ("net.ipv4.no_such_thing", "1", "knows no \"net.ipv4.no_such_thing\""),
            ("net.ipv4.ip_forward", "yes", "does not take \"yes\" for \"net.ipv4.ip_forward\""),
        ] {
            let said = check(&asking(name, value)).map_err(|error| error.to_string());
            match says {
                "" => assert_eq!(said, Ok(())),
                says => assert!(said.clone().unwrap_err().contains(says), "{said:?}"),
            }
        }
        assert_eq!(here(), before);
    }

    proptest! {
        #[test]
        fn names_lead_nowhere_else(name in ".{0,40}") {
            if check_name(&ContainerSpec::default(), &name).is_ok() {
                prop_assert!(!file_of(&name).to_string_lossy().contains(".."));
            }
        }
    }
}
