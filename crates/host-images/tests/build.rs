//! Folders in, images out, the same each time; saved archives that load again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod archives;

use std::os::unix::fs::PermissionsExt;

use archives::{Archive, docker_archive};
use host_images::{Error, Recipe, Reference, Store};

fn quiet(_: &str) {}

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

#[test]
fn a_folder_becomes_the_same_image_twice() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("app");
    std::fs::create_dir_all(folder.join("site")).unwrap();
    std::fs::write(folder.join("site/index.html"), "hello").unwrap();
    std::fs::write(folder.join("run"), "#!/bin/sh").unwrap();
    std::fs::set_permissions(folder.join("run"), PermissionsExt::from_mode(0o755)).unwrap();
    let recipe = Recipe::read(
        r#"
        entrypoint = ["/bin/run"]
        cmd = ["-v"]
        env = { MODE = "test" }
        workdir = "/srv"
        user = "1000:1000"
        expose = [80, "53/udp"]
        labels = { team = "web" }
        stop_signal = "SIGINT"
        healthcheck = { command = ["CMD", "true"], interval = 5 }
        copy = [{ from = "run", to = "/bin/" }, { from = "site", to = "/srv/www" }]
        "#,
    )
    .unwrap();
    let store = Store::open(dir.path().join("one")).unwrap();
    let image = store.build(&folder, &recipe, Some(&name("app:1")), &quiet).unwrap();
    let run = &image.config.config;
    assert_eq!((&run.entrypoint[..], &run.cmd[..]), (&["/bin/run".into()][..], &["-v".into()][..]));
    assert_eq!(run.env, ["MODE=test"]);
    assert!(run.exposed_ports.contains_key("80/tcp") && run.exposed_ports.contains_key("53/udp"));
    assert_eq!(run.healthcheck.as_ref().unwrap().interval, Some(5_000_000_000));
    let root = &image.layers[0];
    assert_eq!(std::fs::read(root.join("srv/www/index.html")).unwrap(), b"hello");
    let mode = std::fs::metadata(root.join("bin/run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);

    let touched = std::fs::File::options().append(true).open(folder.join("run")).unwrap();
    touched.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let other = Store::open(dir.path().join("two")).unwrap();
    assert_eq!(other.build(&folder, &recipe, None, &quiet).unwrap().id, image.id);

    // A base gives its layers and what the recipe does not say.
    let recipe = Recipe { from: Some("app:1".into()), ..Recipe::default() };
    let upon = store.build(&folder, &recipe, Some(&name("app:2")), &quiet).unwrap();
    assert_eq!(upon.layers.len(), 2);
    assert_eq!(upon.layers[0], image.layers[0]);
    assert_eq!(upon.config.config.working_dir, "/srv");
    let recipe = Recipe { from: Some("none".into()), ..Recipe::default() };
    assert!(matches!(store.build(&folder, &recipe, None, &quiet), Err(Error::NoSuchImage(_))));
}

#[test]
fn a_recipe_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("f")).unwrap();
    let store = Store::open(dir.path().join("s")).unwrap();
    for bad in [
        r#"entrypiont = ["x"]"#,
        r#"copy = [{ from = "../s", to = "/" }]"#,
        r#"copy = [{ from = "absent", to = "/" }]"#,
        r#"copy = [{ from = ".", to = "/a/../../b" }]"#,
        "expose = [0]",
        r#"expose = ["http"]"#,
        r#"env = { "A=B" = "c" }"#,
        r#"healthcheck = { command = ["true"] }"#,
        "created = -5",
    ] {
        let built = Recipe::read(bad)
            .and_then(|recipe| store.build(&dir.path().join("f"), &recipe, None, &quiet));
        assert!(built.is_err(), "{bad}");
    }
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn a_saved_archive_loads_again_whatever_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("one")).unwrap();
    let layer = Archive::new().file("a", b"a").done();
    store.load(&docker_archive(&["x:1", "x:2"], &[&layer])[..], &quiet).unwrap();
    let mut saved = Vec::new();
    store.save_images(&["x:1".into()], &mut saved).unwrap();
    let other = Store::open(dir.path().join("two")).unwrap();
    let loaded = other.load(&saved[..], &quiet).unwrap();
    assert_eq!(loaded[0].references, ["docker.io/library/x:1"]);
    assert_eq!(loaded[0].id, store.find("x:1").unwrap().unwrap().id);

    // Without Docker's list, it is an OCI layout.
    let mut layout = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(&saved[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let (mut header, path) = (entry.header().clone(), entry.path().unwrap().into_owned());
        if path.to_str() != Some("manifest.json") {
            layout.append_data(&mut header, path, &mut entry).unwrap();
        }
    }
    let third = Store::open(dir.path().join("three")).unwrap();
    let loaded = third.load(&layout.into_inner().unwrap()[..], &quiet).unwrap();
    assert_eq!(loaded[0].references, ["docker.io/library/x:1"]);
    assert!(third.load(&layer[..], &quiet).unwrap_err().to_string().contains("neither"));
}

#[test]
fn a_root_file_system_is_imported() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let archive = Archive::new().dir("bin", 0o755).file("bin/sh", b"sh").done();
    let packed = zstd::encode_all(&archive[..], 3).unwrap();
    let recipe = Recipe { cmd: Some(vec!["/bin/sh".into()]), ..Recipe::default() };
    let image = store.import(&packed[..], &recipe, Some(&name("base")), &quiet).unwrap();
    assert_eq!(std::fs::read(image.layers[0].join("bin/sh")).unwrap(), b"sh");
    let plain = store.import(&archive[..], &recipe, None, &quiet).unwrap();
    assert_eq!(plain.id, image.id);
}
