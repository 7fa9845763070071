//! Layers that mean harm: whatever is in them stays in them, and nothing stays of the refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod archives;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use archives::{Archive, docker_archive};
use host_images::{Error, Image, Limits, Store};
use proptest::prelude::*;
use tar::EntryType;

fn load(dir: &Path, layers: &[&[u8]], limits: Limits) -> Result<Image, Error> {
    let store = Store::open_with(dir.join("store"), limits).unwrap();
    let loaded = store.load(&docker_archive(&["x:1"], layers)[..], &|_| {});
    let left = std::fs::read_dir(dir.join("store/work")).unwrap().count();
    assert_eq!(left, 0, "work is left");
    if loaded.is_err() {
        store.sweep_content().unwrap();
        assert_eq!(std::fs::read_dir(dir.join("store/layers")).unwrap().count(), 0);
    }
    loaded.map(|mut images| images.remove(0))
}

fn one(layer: Archive) -> (tempfile::TempDir, Result<Image, Error>) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("outside"), "untouched").unwrap();
    let loaded = load(dir.path(), &[&layer.done()], Limits::default());
    assert_eq!(std::fs::read(dir.path().join("outside")).unwrap(), b"untouched");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "something was made outside");
    (dir, loaded)
}

#[test]
fn dot_dot_and_absolute_paths_stay_inside() {
    let (_dir, refused) = one(Archive::new().file("a/../../../../outside", b"evil"));
    assert!(refused.unwrap_err().to_string().contains("leads outside"));
    let (_dir, image) = one(Archive::new().file("/etc/passwd", b"own").file("a/../b", b"b"));
    let root = image.unwrap().layers.remove(0);
    assert_eq!(std::fs::read(root.join("etc/passwd")).unwrap(), b"own");
    assert_eq!(std::fs::read(root.join("b")).unwrap(), b"b");
}

#[test]
fn symlinks_in_the_way_lead_nowhere_outside() {
    let up = "../../../../../../../..";
    let inside = [("/", ""), (up, ""), ("../../../..", ""), ("/proc/self/root", "proc/self/root")];
    for (target, place) in inside {
        let (_dir, image) = one(Archive::new().symlink("way", target).file("way/outside", b"evil"));
        // The layer's own root is all that there is, and its parent, too.
        let place = image.unwrap().layers[0].join(place);
        assert_eq!(std::fs::read(place.join("outside")).unwrap(), b"evil", "{target}");
        assert!(!Path::new("/outside").exists());
    }
}

#[test]
fn a_symlink_to_a_folder_is_followed_where_the_folder_is_another_layers() {
    for target in ["real/deep", "/real/deep", "../../real/deep", "./real//other/../deep", "hop"] {
        for is_there in [false, true] {
            let mut layer = Archive::new().symlink("hop", "/real/deep");
            if is_there {
                layer = layer.dir("real", 0o711).dir("real/deep", 0o711);
            }
            let (_dir, image) = one(layer.symlink("way", target).file("way/in/file", b"own"));
            let root = image.unwrap_or_else(|error| panic!("{target}: {error}")).layers.remove(0);
            assert_eq!(std::fs::read(root.join("real/deep/in/file")).unwrap(), b"own", "{target}");
            assert_eq!(std::fs::read_link(root.join("way")).unwrap(), Path::new(target));
            let mode = std::fs::metadata(root.join("real")).unwrap().mode() & 0o777;
            assert_eq!(mode, if is_there { 0o711 } else { 0o755 }, "{target}");
        }
    }
}

#[test]
fn ways_that_lead_to_no_folder_are_told() {
    let circle = Archive::new().symlink("a", "b").symlink("b", "/a").file("a/f", b"x");
    let blocked = Archive::new().file("a", b"x").file("a/b/f", b"x");
    let pipe = Archive::new().raw(EntryType::Fifo, "p", "", b"", |_| {}).symlink("a", "/p");
    for (layer, says) in [
        (circle, "invalid path \"a\" in the layer: its symlinks lead round in a circle"),
        (blocked, "invalid path \"a/b\" in the layer: a file stands where it has a folder"),
        (
            pipe.file("a/f", b"x"),
            "invalid path \"a\" in the layer: a file stands where it has a folder",
        ),
    ] {
        let (_dir, refused) = one(layer);
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn a_file_does_not_write_through_a_symlink_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    let layer = Archive::new().symlink("f", victim.to_str().unwrap()).file("f", b"own").done();
    let image = load(dir.path(), &[&layer], Limits::default()).unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"untouched");
    assert_eq!(std::fs::read(image.layers[0].join("f")).unwrap(), b"own");
}

#[test]
fn a_hardlink_reaches_only_into_the_layer() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    for target in [victim.to_str().unwrap(), "../../../../victim", "way/victim"] {
        let way = dir.path().to_str().unwrap();
        let layer = Archive::new().symlink("way", way).hardlink("l", target).done();
        assert!(load(dir.path(), &[&layer], Limits::default()).is_err(), "{target}");
        assert_eq!(std::fs::metadata(&victim).unwrap().nlink(), 1);
    }
    let layer = Archive::new().file("a", b"a").hardlink("b", "/a").done();
    let image = load(dir.path(), &[&layer], Limits::default()).unwrap();
    assert_eq!(std::fs::metadata(image.layers[0].join("b")).unwrap().nlink(), 2);
}

#[test]
fn whiteouts_hide_names_and_nothing_else() {
    for bad in [".wh.", ".wh..", ".wh...", "d/.wh..."] {
        let (_dir, refused) = one(Archive::new().file(bad, b""));
        assert!(refused.is_err(), "{bad}");
    }
    let layer = Archive::new()
        .dir("d", 0o755)
        .file("d/.wh..wh..opq", b"")
        .file(".wh..wh.plnk", b"")
        .file(".wh.kept", b"")
        .file("kept", b"own");
    let (_dir, image) = one(layer);
    let root = image.unwrap().layers.remove(0);
    let mut mark = [0; 8];
    let n = rustix::fs::getxattr(root.join("d"), "trusted.overlay.opaque", &mut mark).unwrap();
    assert_eq!(&mark[..n], b"y");
    assert_eq!(std::fs::read(root.join("kept")).unwrap(), b"own");
    assert!(!root.join(".wh..wh.plnk").exists());
}

#[test]
fn attributes_are_kept_but_those_of_overlayfs() {
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let layer = Archive::new()
        .pax(&[
            ("SCHILY.xattr.security.capability", &capability),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("mtime", b"1234.5"),
        ])
        .raw(EntryType::Regular, "bin", "", b"x", |header| {
            header.set_mode(0o4751);
            header.set_uid(12);
            header.set_gid(34);
        })
        .raw(EntryType::Char, "null", "", b"", |header| {
            header.set_mode(0o666);
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        })
        .raw(EntryType::Directory, "d", "", b"", |header| header.set_mode(0o1777))
        .file("d/f", b"");
    let (_dir, image) = one(layer);
    let root = image.unwrap().layers.remove(0);
    let bin = std::fs::metadata(root.join("bin")).unwrap();
    assert_eq!((bin.mode() & 0o7777, bin.uid(), bin.gid()), (0o4751, 12, 34));
    assert_eq!((bin.mtime(), bin.mtime_nsec()), (1234, 500_000_000));
    let mut value = [0; 64];
    let get = |name: &str, value: &mut [u8]| rustix::fs::getxattr(root.join("bin"), name, value);
    assert_eq!(get("security.capability", &mut value), Ok(capability.len()));
    assert!(get("trusted.overlay.redirect", &mut value).is_err());
    assert!(get("user.overlay.opaque", &mut value).is_err());
    assert_eq!(std::fs::metadata(root.join("null")).unwrap().rdev(), rustix::fs::makedev(1, 3));
    let dir = std::fs::metadata(root.join("d")).unwrap();
    assert_eq!((dir.permissions().mode() & 0o7777, dir.mtime()), (0o1777, 1_600_000_000));
}

#[test]
fn a_bomb_is_refused_by_ratio_size_and_count() {
    let zeros = vec![0; 3 << 20];
    let layer = Archive::new().file("a", &zeros).done();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &layer).unwrap();
    let packed = packed.finish().unwrap();
    let store = |limits| {
        let dir = tempfile::tempdir().unwrap();
        let config = archives::config_of(&[&archives::sha256(&layer)]);
        let list = r#"[{"Config":"c","RepoTags":null,"Layers":["l"]}]"#;
        let tar = Archive::new()
            .file("manifest.json", list.as_bytes())
            .file("c", config.as_bytes())
            .file("l", &packed)
            .done();
        let store = Store::open_with(dir.path(), limits).unwrap();
        store.load(&tar[..], &|_| {}).map(drop).map_err(|e| e.to_string())
    };
    assert_eq!(store(Limits::default()), Ok(()));
    let ratio = Limits { ratio: 100, ratio_from: 1 << 20, ..Limits::default() };
    assert!(store(ratio).unwrap_err().contains("more than 100 times"));
    let bytes = Limits { bytes: 1 << 20, ..Limits::default() };
    assert!(store(bytes).unwrap_err().contains("larger than 1048576 bytes"));
    let entries = Limits { entries: 0, ..Limits::default() };
    assert!(store(entries).unwrap_err().contains("more than 0 entries"));
}

#[test]
fn a_hole_of_exabytes_counts() {
    let layer = Archive::new().raw(EntryType::GNUSparse, "hole", "", b"", |header| {
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size(1 << 60);
    });
    let (_dir, refused) = one(layer);
    assert!(refused.unwrap_err().to_string().contains("larger than"));
}

/// One hostile entry: a name and a target out of parts that hurt.
fn entry() -> impl Strategy<Value = (u8, Vec<&'static str>, Vec<&'static str>)> {
    let part = || prop::sample::select(vec!["a", "b", "..", ".", "", "w", ".wh.a", ".wh..wh..opq"]);
    let path = || prop::collection::vec(part(), 1..5);
    (0u8..6, path(), path())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_mixture_of_entries_reaches_outside(
        entries in prop::collection::vec(entry(), 1..12),
    ) {
        let mut archive = Archive::new();
        for (kind, path, link) in &entries {
            let (path, link) = (path.join("/"), link.join("/"));
            archive = match kind {
                0 => archive.dir(&path, 0o755),
                1 => archive.symlink(&path, &format!("/{link}")),
                2 => archive.symlink(&path, &link),
                3 => archive.hardlink(&path, &link),
                4 => archive.raw(EntryType::Fifo, &path, "", b"", |_| {}),
                _ => archive.file(&path, b"data"),
            };
        }
        let (dir, _) = one(archive);
        let top: Vec<_> = std::fs::read_dir(dir.path().join("store")).unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        for name in top {
            let known = ["blobs", "layers", "work", "partial", "locks", "leases", "used", "lock", "table.json"];
            prop_assert!(known.contains(&name.as_str()), "{} appeared", name);
        }
    }
}
