//! Volumes: where their files are on this host, and the mounts that show them.
//!
//! A volume lives as long as its task, or, where its scope is `shared`, until somebody removes it. A
//! fresh one begins with what the image has at the place where it is mounted, as with Docker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_agent::task::{Container, Volume};
use host_images::Image;
use host_runtime::Mount;

use super::files::{bind, target_of};
use super::{copy_up, tmpfs};
use crate::engine::Failure;
use crate::tasks::Given;

pub struct Volumes<'a> {
    pub given: &'a Given,
    /// What lives as long as the task.
    pub task_dir: PathBuf,
    /// What outlives it.
    pub shared_dir: PathBuf,
}

enum Place {
    /// A folder of the host that the definition names.
    Host(PathBuf),
    /// Ours, filled from the image when it is new.
    Own(PathBuf),
    /// Ours too, in memory, with these options.
    Memory(PathBuf, String),
}

impl Volumes<'_> {
    /// Every mount of a container, those of others included.
    pub fn mounts(&self, part: usize, image: &Image) -> Result<Vec<Mount>, Failure> {
        let container = &self.given.task.containers[part];
        let mut mounts = self.own(container, Some(image))?;
        for from in &container.volumes_from {
            let source =
                self.given.task.containers.iter().find(|c| c.name == from.source_container);
            let Some(source) = source else { continue };
            for mount in self.own(source, None)? {
                let there = mounts.iter().any(|known| target_of(known) == target_of(&mount));
                if let (false, Mount::Bind { source, target, readonly, .. }) = (there, mount) {
                    mounts.push(bind(source, target, readonly || from.read_only));
                }
            }
        }
        for target in image.config.config.volumes.keys() {
            let there = mounts.iter().any(|known| target_of(known) == target);
            if !there && target.starts_with('/') {
                mounts.push(self.anonymous(container, target, image)?);
            }
        }
        Ok(mounts)
    }

    fn own(&self, container: &Container, image: Option<&Image>) -> Result<Vec<Mount>, Failure> {
        let mut mounts = Vec::new();
        for point in &container.mount_points {
            let name = &point.source_volume;
            let volume = self.given.task.volumes.iter().find(|volume| volume.name == *name);
            let unknown = || failed(format!("the task has no volume {name}"));
            let place = self.place(volume.ok_or_else(unknown)?)?;
            let source = match place {
                Place::Host(path) => {
                    make(&path)?;
                    path
                }
                Place::Own(path) => {
                    fill(&path, &point.container_path, image)?;
                    path
                }
                Place::Memory(path, options) => {
                    let mounted = tmpfs::provide(&path, &options);
                    mounted.map_err(|why| failed(format!("create {name}: {why}")))?;
                    fill(&path, &point.container_path, image)?;
                    path
                }
            };
            mounts.push(bind(source, point.container_path.clone(), point.read_only));
        }
        Ok(mounts)
    }

    fn place(&self, volume: &Volume) -> Result<Place, Failure> {
        let name = &volume.name;
        if let Some(docker) = &volume.docker_volume_configuration {
            let driver = &docker.driver;
            if !matches!(driver.as_str(), "" | "local") {
                return Err(failed(format!(
                    "create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" \
                     not found"
                )));
            }
            let shared = docker.scope == "shared";
            let path = match shared {
                true => self.shared_dir.join(checked(name)?),
                false => self.task_dir.join("volumes").join(checked(name)?),
            };
            // AWS: a shared volume that is not to be made must be there.
            if shared && !docker.autoprovision && !path.is_dir() {
                return Err(failed(format!("get {name}: no such volume")));
            }
            return match docker.driver_opts.is_empty() {
                true => Ok(Place::Own(path)),
                false => with_options(name, path, &docker.driver_opts),
            };
        }
        match volume.host.as_ref().map(|host| host.source_path.as_str()) {
            Some(path) if path.starts_with('/') => Ok(Place::Host(path.into())),
            Some(path) if !path.is_empty() => {
                Err(failed(format!("{path} includes invalid characters for a local volume name")))
            }
            _ => Ok(Place::Own(self.task_dir.join("volumes").join(checked(name)?))),
        }
    }

    fn anonymous(
        &self,
        container: &Container,
        target: &str,
        image: &Image,
    ) -> Result<Mount, Failure> {
        let name = target.trim_matches('/').replace('/', "-");
        let folder = format!("{}.{name}", container.name);
        let path = self.task_dir.join("anonymous").join(checked(&folder)?);
        fill(&path, target, Some(image))?;
        Ok(bind(path, target.to_owned(), false))
    }
}

/// Docker's `local` driver mounts what its options say: a folder of the host, or memory. What lies
/// elsewhere is mounted on the host by its operator, and bound from there.
fn with_options(
    name: &str,
    path: PathBuf,
    options: &BTreeMap<String, String>,
) -> Result<Place, Failure> {
    const KNOWN: [&str; 3] = ["type", "o", "device"];
    if let Some(unknown) = options.keys().find(|option| !KNOWN.contains(&option.as_str())) {
        return Err(failed(format!("create {name}: invalid option: \"{unknown}\"")));
    }
    let option = |name: &str| options.get(name).map(String::as_str).unwrap_or_default();
    let (kind, device) = (option("type"), option("device"));
    let binds = option("o").split(',').any(|word| word == "bind");
    match kind {
        _ if binds && device.starts_with('/') => Ok(Place::Host(device.into())),
        "tmpfs" => Ok(Place::Memory(path, option("o").to_owned())),
        kind => Err(failed(format!(
            "create {name}: this host mounts no volumes of type \"{kind}\": mount it on the host, \
             and name it by type=none,o=bind,device=PATH"
        ))),
    }
}

fn failed(text: String) -> Failure {
    Failure::new("CannotCreateVolumeError", text)
}

/// A volume's name becomes a folder's.
fn checked(name: &str) -> Result<&str, Failure> {
    let good = !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if good {
        return Ok(name);
    }
    Err(failed(format!("\"{name}\" includes invalid characters for a local volume name")))
}

/// Docker makes a folder of the host that is not there.
fn make(path: &Path) -> Result<(), Failure> {
    let io = |error| failed(format!("cannot make {}: {error}", path.display()));
    if path.exists() { Ok(()) } else { std::fs::create_dir_all(path).map_err(io) }
}

fn fill(path: &Path, target: &str, image: Option<&Image>) -> Result<(), Failure> {
    let io = |error| failed(format!("cannot fill {}: {error}", path.display()));
    std::fs::create_dir_all(path).map_err(io)?;
    let empty = std::fs::read_dir(path).map_err(io)?.next().is_none();
    match image {
        Some(image) if empty => copy_up::copy_up(&image.layers, target, path).map_err(io),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_does_not_mount_is_named() {
        let place = |pairs: &[(&str, &str)]| {
            let options = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            with_options("v", "/t/v".into(), &options)
        };
        let refused = |pairs: &[(&str, &str)]| match place(pairs) {
            Err(failure) => failure.to_string(),
            Ok(_) => panic!("{pairs:?}"),
        };
        let nfs = refused(&[("type", "nfs"), ("o", "addr=10.0.0.1"), ("device", ":/x")]);
        assert!(nfs.starts_with("CannotCreateVolumeError: create v: "), "{nfs}");
        assert!(nfs.contains("type \"nfs\""), "{nfs}");
        let odd = refused(&[("type", "tmpfs"), ("size", "5m")]);
        assert!(odd.ends_with("invalid option: \"size\""), "{odd}");
        let bound = place(&[("type", "none"), ("o", "bind"), ("device", "/srv")]);
        assert!(matches!(bound, Ok(Place::Host(path)) if path == Path::new("/srv")));
        let memory = place(&[("type", "tmpfs"), ("o", "size=5m")]);
        assert!(
            matches!(memory, Ok(Place::Memory(path, o)) if path == Path::new("/t/v") && o == "size=5m")
        );
    }
}
