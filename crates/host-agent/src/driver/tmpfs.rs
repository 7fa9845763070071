//! Volumes in memory: Docker's `local` driver with `type=tmpfs`. Such a volume is mounted on this host
//! when its first container is made, so that all containers of its task have the same one.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// mount(8)'s words for what the kernel takes as flags; all others are the file system's own.
const FLAGS: &[(&str, MountFlags)] = &[
    ("ro", MountFlags::RDONLY),
    ("nosuid", MountFlags::NOSUID),
    ("nodev", MountFlags::NODEV),
    ("noexec", MountFlags::NOEXEC),
    ("sync", MountFlags::SYNCHRONOUS),
    ("noatime", MountFlags::NOATIME),
    ("nodiratime", MountFlags::NODIRATIME),
    ("relatime", MountFlags::RELATIME),
    ("strictatime", MountFlags::STRICTATIME),
];
/// What is the case without a word, and mount(8) knows a word for all the same.
const DEFAULTS: &[&str] = &["defaults", "rw", "suid", "dev", "exec", "async", "atime"];

fn flags(options: &str) -> (MountFlags, String) {
    let (mut flags, mut rest) = (MountFlags::empty(), Vec::new());
    for word in options.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match FLAGS.iter().find(|(name, _)| *name == word) {
            Some((_, flag)) => flags |= *flag,
            None if DEFAULTS.contains(&word) => {}
            None => rest.push(word),
        }
    }
    (flags, rest.join(","))
}

/// Mount one at a folder, which is made; nothing where one is mounted there already.
pub fn provide(path: &Path, options: &str) -> Result<(), String> {
    let (flags, data) = flags(options);
    // Docker's words.
    let failed = |error: std::io::Error| {
        let path = path.display();
        format!("failed to mount local volume: mount tmpfs:{path}, data: {data}: {error}")
    };
    std::fs::create_dir_all(path).map_err(failed)?;
    if is_mounted(path).map_err(failed)? {
        return Ok(());
    }
    let words = std::ffi::CString::new(data.clone()).map_err(|error| failed(error.into()))?;
    mount("tmpfs", path, "tmpfs", flags, &*words).map_err(|errno| failed(errno.into()))
}

fn is_mounted(path: &Path) -> std::io::Result<bool> {
    let above = path.parent().map(std::fs::metadata).transpose()?;
    let own = std::fs::metadata(path)?;
    Ok(above.is_some_and(|above| above.dev() != own.dev()))
}

/// Unmount all that are mounted in a folder.
pub fn remove_all(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_mounted(&entry.path()).unwrap_or(false) {
            // One that cannot go keeps its folder, and that is told.
            let _ = unmount(entry.path(), UnmountFlags::DETACH);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn flags_are_told_from_the_file_systems_own_options() {
        let (found, rest) = flags("size=100m,uid=1000, nosuid,rw,noexec,mode=700");
        assert_eq!(found, MountFlags::NOSUID | MountFlags::NOEXEC);
        assert_eq!(rest, "size=100m,uid=1000,mode=700");
    }

    proptest! {
        #[test]
        fn any_options_are_survived(text in ".{0,60}") {
            let (_, rest) = flags(&text);
            prop_assert!(rest.len() <= text.len());
        }
    }
}
