//! Archives in, images out: what `docker save` and OCI tools write, and what an attacker might.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod archives;

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use archives::{Archive, config_of, docker_archive, sha256};
use host_images::{Error, Store};

fn quiet(_: &str) {}

#[test]
fn a_saved_image_is_found_by_name_and_id_with_its_layers() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let lower = Archive::new().dir("etc", 0o755).file("etc/hello", b"hi").file("gone", b"x").done();
    let upper = Archive::new().file("etc/more", b"more").file(".wh.gone", b"").done();
    let tar = docker_archive(&["app:1"], &[&lower, &upper]);
    let loaded = store.load(&tar[..], &quiet).unwrap();
    assert_eq!(loaded.len(), 1);

    let image = store.find("app:1").unwrap().unwrap();
    assert_eq!(image.id, loaded[0].id);
    assert_eq!(image.references, ["docker.io/library/app:1"]);
    assert_eq!(image.config.config.cmd, ["/bin/app"]);
    assert_eq!(image.size, 2 + 1 + 4);
    assert_eq!(std::fs::read(image.layers[0].join("etc/hello")).unwrap(), b"hi");
    let whiteout = std::fs::symlink_metadata(image.layers[1].join("gone")).unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
    assert_eq!(store.find(&image.id.to_string()).unwrap().unwrap().id, image.id);
    assert_eq!(store.find(&image.id.short()).unwrap().unwrap().id, image.id);
    assert!(store.find("other").unwrap().is_none());

    // Another handle, as another process would have, sees the same.
    let other = Store::open(dir.path()).unwrap();
    assert_eq!(other.list().unwrap().len(), 1);
    assert_eq!(std::fs::read_dir(dir.path().join("work")).unwrap().count(), 0);
    let mode = std::fs::metadata(&image.layers[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn a_layer_that_is_not_what_the_configuration_names_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let layer = Archive::new().file("a", b"a").done();
    let config = config_of(&[&sha256(b"something else")]);
    let list = r#"[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l.tar"]}]"#;
    let tar = Archive::new()
        .file("manifest.json", list.as_bytes())
        .file("c.json", config.as_bytes())
        .file("l.tar", &layer)
        .done();
    let refused = store.load(&tar[..], &quiet).unwrap_err();
    assert!(matches!(refused, Error::Digest { .. }), "{refused}");
    assert!(store.list().unwrap().is_empty());
    store.sweep_content().unwrap();
    for part in ["blobs", "layers", "work"] {
        assert_eq!(std::fs::read_dir(dir.path().join(part)).unwrap().count(), 0, "{part}");
    }
}

#[test]
fn what_is_leased_stays_and_what_is_not_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let shared = Archive::new().file("base", b"base").done();
    let own = Archive::new().file("own", b"own").done();
    store.load(&docker_archive(&["a:1"], &[&shared])[..], &quiet).unwrap();
    store.load(&docker_archive(&["b:1", "b:2"], &[&shared, &own])[..], &quiet).unwrap();
    let image = store.lease("container-1", "b:1").unwrap();
    assert_eq!(store.remove("b:2", false).unwrap().deleted, None);
    let refused = store.remove("b:1", true).unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    assert!(store.lease("../x", "b:1").is_err());

    assert!(store.remove("a:1", false).unwrap().deleted.is_some());
    assert!(image.layers[0].join("base").exists());
    store.release("container-1").unwrap();
    store.release("container-1").unwrap();
    assert!(store.remove("b:1", false).unwrap().deleted.is_some());
    assert_eq!(std::fs::read_dir(dir.path().join("layers")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(dir.path().join("blobs")).unwrap().count(), 0);
}
