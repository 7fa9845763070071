//! The whole suite once more on the Docker Engine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Arc;

use host_runtime::{Docker, ImageStore, Runtime};

use crate::daemon::Daemon;
use crate::world::{World, find_program, image, run};

fn client(daemon: &Daemon, owner: &str) -> Docker {
    let rt = tokio::runtime::Runtime::new().unwrap();
    rt.block_on(Docker::at(&daemon.socket(), owner)).unwrap()
}

/// The root of busybox as `docker save` would write it.
fn saved() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let root = image(dir.path()).unwrap();
    let done = |words: &[&str], at: &std::path::Path| {
        let done = Command::new("tar").args(words).current_dir(at).status().unwrap();
        assert!(done.success());
    };
    done(&["-cf", "../layer.tar", "."], &root);
    let layer = std::fs::read(dir.path().join("layer.tar")).unwrap();
    let sum = Command::new("sha256sum").arg("layer.tar").current_dir(dir.path()).output().unwrap();
    let sum = String::from_utf8(sum.stdout[..64].to_vec()).unwrap();
    assert!(!layer.is_empty());
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" },
        "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{sum}")] },
    });
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let manifest = serde_json::json!([{
        "Config": "config.json", "RepoTags": ["box:latest"], "Layers": ["layer.tar"],
    }]);
    std::fs::write(dir.path().join("manifest.json"), manifest.to_string()).unwrap();
    done(&["-cf", "all.tar", "manifest.json", "config.json", "layer.tar"], dir.path());
    std::fs::read(dir.path().join("all.tar")).unwrap()
}

/// As by an agent, and by whoever cleans up after it was killed: the daemon refuses the second, which
/// then waits for the first.
async fn removed_twice_at_once_it_is_gone(world: Arc<World>) {
    for number in 0..4 {
        let spec = world.script(&format!("{}-{number}", world.tag), "sleep 1000");
        world.begin(&spec).await;
        let remove = || world.runtime.delete(&spec.id);
        let (first, second) = tokio::join!(remove(), remove());
        first.and(second).unwrap();
        let state = world.runtime.state(&spec.id).await;
        assert!(matches!(state, Err(host_runtime::Error::NotFound(_))), "{state:?}");
    }
}

#[test]
fn the_suite_on_docker() {
    if !rustix::process::geteuid().is_root() || find_program("busybox").is_none() {
        println!("skipped: root and busybox are needed");
        return;
    }
    let Some(daemon) = Daemon::start(|program| Command::new(program)) else { return };
    let rt = tokio::runtime::Runtime::new().unwrap();
    let loading = client(&daemon, "load");
    rt.block_on(async {
        let (send, archive) = tokio::sync::mpsc::channel(1);
        send.send(Ok(saved().into())).await.unwrap();
        drop(send);
        loading.load(archive).await.unwrap();
    });
    let mut failed = Vec::new();
    let pause: (_, crate::world::Test) = (
        "a_pause_holds_namespaces",
        Box::new(|world| Box::pin(crate::life::a_pause_holds_namespaces(world))),
    );
    let twice: (_, crate::world::Test) = (
        "removed_twice_at_once_it_is_gone",
        Box::new(|world| Box::pin(removed_twice_at_once_it_is_gone(world))),
    );
    let tests = crate::life::all().into_iter().chain(crate::hostile::all()).chain([pause, twice]);
    for (number, (name, test)) in tests.enumerate() {
        println!("{name}");
        let tag = format!("hrtd{}-{number}", std::process::id());
        let runtime: Arc<dyn Runtime> = Arc::new(client(&daemon, &tag));
        let Some(world) = World::docker(runtime, tag) else { return };
        if catch_unwind(AssertUnwindSafe(|| run(world, &test))).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}
