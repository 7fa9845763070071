//! The container's root: an overlay of the image's layers and a folder of its own, mounted in a
//! mount namespace that only the shim and its container live in. Nothing is left on the machine when
//! they end, however they end.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags,
};

use crate::error::{Error, Result};
use crate::record::Dir;
use crate::spec::ContainerSpec;

/// mount(2) takes one page of options.
const OPTIONS_LIMIT: usize = 4000;

fn failed(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Error {
    move |errno| Error::system(what)(errno.into())
}

pub fn prepare(dir: &Dir, spec: &ContainerSpec) -> Result<PathBuf> {
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|errno| Error::system("a mount namespace")(errno.into()))?;
    // What this machine mounts later is still seen; what is mounted here stays here.
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM,
    )
    .map_err(failed("a private mount tree"))?;
    let layers = &spec.rootfs.layers;
    if layers.is_empty() {
        return Err(Error::Create(format!("image \"{}\" has no layers", spec.rootfs.image)));
    }
    if let Some(lost) = layers.iter().find(|layer| !layer.is_dir()) {
        return Err(Error::Create(format!("layer {} does not exist", lost.display())));
    }
    for folder in [dir.rootfs(), dir.upper(), dir.work()] {
        fs::create_dir_all(&folder).map_err(Error::file("cannot make", &folder))?;
    }
    overlay(dir, layers)?;
    Ok(dir.rootfs())
}

fn overlay(dir: &Dir, layers: &[PathBuf]) -> Result<()> {
    // The kernel wants the highest first.
    let lower: Vec<String> = layers.iter().rev().map(|layer| escape(layer)).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        escape(&dir.upper()),
        escape(&dir.work())
    );
    if options.len() > OPTIONS_LIMIT {
        return overlay_of_many(dir, layers);
    }
    let options = std::ffi::CString::new(options)
        .map_err(|_| Error::Create("a layer's path holds a NUL".into()))?;
    rustix::mount::mount("overlay", dir.rootfs(), "overlay", MountFlags::empty(), &*options)
        .map_err(failed("mount the overlay of the image's layers"))
}

/// Commas and colons separate.
fn escape(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.replace('\\', "\\\\").replace(',', "\\,").replace(':', "\\:")
}

/// One option a layer, since Linux 6.7.
fn overlay_of_many(dir: &Dir, layers: &[PathBuf]) -> Result<()> {
    let mount = || {
        let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for layer in layers.iter().rev() {
            rustix::mount::fsconfig_set_string(&fs, "lowerdir+", layer)?;
        }
        rustix::mount::fsconfig_set_string(&fs, "upperdir", dir.upper())?;
        rustix::mount::fsconfig_set_string(&fs, "workdir", dir.work())?;
        rustix::mount::fsconfig_create(&fs)?;
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        let mounted = rustix::mount::fsmount(&fs, flags, MountAttrFlags::empty())?;
        rustix::mount::move_mount(
            &mounted,
            "",
            rustix::fs::CWD,
            dir.rootfs(),
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    mount().map_err(failed("mount the overlay of the image's many layers (needs Linux 6.7)"))
}

/// Another container's /dev/shm, for one that shares its IPC namespace: taken as a detached copy
/// while visiting its mount namespace, and put where this shim's mounts are.
pub fn share_shm(dir: &Dir, pid: u32) -> Result<PathBuf> {
    let target = dir.0.join("shm");
    fs::create_dir_all(&target).map_err(Error::file("cannot make", &target))?;
    let open = |path: &str| fs::File::open(path).map_err(Error::file("cannot open", path.as_ref()));
    let (mine, theirs) = (open("/proc/self/ns/mnt")?, open(&format!("/proc/{pid}/ns/mnt"))?);
    let enter = |ns: &fs::File| {
        setns(ns, CloneFlags::CLONE_NEWNS)
            .map_err(|errno| Error::system("enter a mount namespace")(errno.into()))
    };
    enter(&theirs)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(rustix::fs::CWD, "/dev/shm", flags);
    enter(&mine)?;
    let tree = tree.map_err(failed("share /dev/shm"))?;
    rustix::mount::move_mount(
        &tree,
        "",
        rustix::fs::CWD,
        &target,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(failed("share /dev/shm"))?;
    Ok(target)
}
