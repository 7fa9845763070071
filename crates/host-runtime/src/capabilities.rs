//! Capabilities as Docker gives them: fourteen by default, more and fewer by name.

use std::str::FromStr;

use caps::Capability;

use crate::error::{Error, Result};
use crate::spec::ContainerSpec;

/// AWS: a container has Docker's default set unless `linuxParameters.capabilities` changes it.
const DEFAULT: [Capability; 14] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FSETID,
    Capability::CAP_FOWNER,
    Capability::CAP_MKNOD,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETPCAP,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_KILL,
    Capability::CAP_AUDIT_WRITE,
];

fn parse(name: &str) -> Result<Option<Capability>> {
    let upper = name.to_ascii_uppercase();
    if upper == "ALL" || upper == "CAP_ALL" {
        return Ok(None);
    }
    let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    Capability::from_str(&full)
        .map(Some)
        .map_err(|_| Error::Invalid(format!("invalid CapAdd: unknown capability: \"{full}\"")))
}

/// All that can be given: what this kernel knows and this process has, which may itself have been
/// started with less.
pub fn all() -> Vec<Capability> {
    let mine = caps::read(None, caps::CapSet::Bounding).unwrap_or_default();
    let known = caps::runtime::thread_all_supported();
    let mut known: Vec<_> = known.intersection(&mine).copied().collect();
    known.sort_by_key(|cap| cap.index());
    known
}

/// The container's final set.
pub fn of(spec: &ContainerSpec) -> Result<Vec<Capability>> {
    if spec.privileged {
        return Ok(all());
    }
    let mut set: Vec<Capability> = DEFAULT.to_vec();
    let adds = spec.security.cap_add.iter().map(|name| parse(name)).collect::<Result<Vec<_>>>()?;
    let drops =
        spec.security.cap_drop.iter().map(|name| parse(name)).collect::<Result<Vec<_>>>()?;
    if drops.contains(&None) {
        set.clear();
    }
    if adds.contains(&None) {
        set = all();
    }
    for cap in adds.iter().flatten() {
        if !set.contains(cap) {
            set.push(*cap);
        }
    }
    // Named drops win over ALL added, named adds over ALL dropped, as in Docker.
    set.retain(|cap| !drops.contains(&Some(*cap)) || adds.contains(&Some(*cap)));
    set.sort_by_key(|cap| cap.index());
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(add: &[&str], drop: &[&str]) -> Vec<Capability> {
        let mut spec = ContainerSpec::default();
        spec.security.cap_add = add.iter().map(|s| s.to_string()).collect();
        spec.security.cap_drop = drop.iter().map(|s| s.to_string()).collect();
        of(&spec).unwrap()
    }

    #[test]
    fn as_docker_reads_them() {
        assert_eq!(set(&[], &[]).len(), 14);
        assert_eq!(set(&[], &["ALL"]), vec![]);
        assert_eq!(set(&["net_admin"], &["ALL"]), vec![Capability::CAP_NET_ADMIN]);
        assert!(!set(&["ALL"], &["CAP_MKNOD"]).contains(&Capability::CAP_MKNOD));
        assert_eq!(set(&["SYS_PTRACE"], &["KILL"]).len(), 14);
        let mut spec = ContainerSpec::default();
        spec.security.cap_add = vec!["NO_SUCH".into()];
        assert!(of(&spec).unwrap_err().to_string().contains("CAP_NO_SUCH"));
    }
}
