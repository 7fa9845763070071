//! What an image has at a place, copied into a fresh volume: layer over layer, as overlayfs would
//! show them, without following a link of the image anywhere.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Component, Path, PathBuf};

/// Directories deeper than this are nobody's data.
const DEEPEST: usize = 64;

/// `layers`: unpacked, lowest first. A place that the image does not have leaves the volume empty.
pub fn copy_up(layers: &[PathBuf], place: &str, into: &Path) -> io::Result<()> {
    for layer in layers {
        let Some(from) = inside(layer, place) else { continue };
        let meta = fs::symlink_metadata(&from)?;
        if meta.is_dir() {
            own(&meta, into)?;
            merge(&from, into, 0)?;
        } else if is_whiteout(&meta) {
            clear(into)?;
        }
    }
    Ok(())
}

/// The path in a layer, if no link has to be followed to it.
fn inside(layer: &Path, place: &str) -> Option<PathBuf> {
    let mut path = layer.to_owned();
    for component in Path::new(place).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::CurDir => continue,
            Component::ParentDir | Component::Prefix(_) => return None,
        }
        let meta = fs::symlink_metadata(&path).ok()?;
        if meta.is_symlink() {
            return None;
        }
    }
    (path != layer).then_some(path)
}

/// overlayfs's mark of a file that a layer removes.
fn is_whiteout(meta: &fs::Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == 0
}

fn clear(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        remove(&entry?.path())?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn own(meta: &fs::Metadata, path: &Path) -> io::Result<()> {
    chown(path, Some(meta.uid()), Some(meta.gid()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(meta.mode() & 0o7777))
}

fn is_opaque(dir: &Path) -> bool {
    let mut value = [0; 4];
    let names = ["trusted.overlay.opaque", "user.overlay.opaque"];
    names.iter().any(|name| {
        rustix::fs::lgetxattr(dir, *name, &mut value).is_ok_and(|length| &value[..length] == b"y")
    })
}

fn merge(from: &Path, into: &Path, depth: usize) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other("the image's folders are too deep"));
    }
    if is_opaque(from) {
        clear(into)?;
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), into.join(entry.file_name()));
        let meta = fs::symlink_metadata(&source)?;
        let kind = meta.file_type();
        if kind.is_dir() {
            if !fs::symlink_metadata(&target).is_ok_and(|there| there.is_dir()) {
                remove(&target)?;
                fs::create_dir(&target)?;
            }
            own(&meta, &target)?;
            merge(&source, &target, depth + 1)?;
            continue;
        }
        remove(&target)?;
        if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
            lchown(&target, Some(meta.uid()), Some(meta.gid()))?;
        } else if kind.is_file() {
            fs::copy(&source, &target)?;
            own(&meta, &target)?;
        }
        // Devices, pipes and sockets are no data; a whiteout has removed what it hides.
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_layers_hold_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let layer = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.join("data/sub")).unwrap();
            path
        };
        let (low, high, into) = (layer("low"), layer("high"), dir.path().join("into"));
        fs::create_dir(&into).unwrap();
        fs::write(low.join("data/a"), "low").unwrap();
        fs::write(low.join("data/sub/b"), "b").unwrap();
        fs::write(high.join("data/a"), "high").unwrap();
        symlink("/etc/passwd", high.join("data/sub/c")).unwrap();
        copy_up(&[low.clone(), high.clone()], "/data", &into).unwrap();
        assert_eq!(fs::read_to_string(into.join("a")).unwrap(), "high");
        assert_eq!(fs::read_to_string(into.join("sub/b")).unwrap(), "b");
        assert!(fs::symlink_metadata(into.join("sub/c")).unwrap().is_symlink());

        symlink("/etc", high.join("escape")).unwrap();
        let empty = dir.path().join("empty");
        fs::create_dir(&empty).unwrap();
        for place in ["/escape", "/escape/apt", "/../low/data", "/none"] {
            copy_up(std::slice::from_ref(&high), place, &empty).unwrap();
            assert_eq!(fs::read_dir(&empty).unwrap().count(), 0, "{place}");
        }
    }
}
