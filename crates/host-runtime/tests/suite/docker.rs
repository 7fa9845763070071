//! The whole suite once more on the Docker Engine: a daemon of our own, with its own folders, no
//! bridge, and no rules in anybody's firewall.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use host_runtime::{Docker, ImageStore, Runtime};

use crate::BETWEEN_LOOKS;
use crate::world::{World, find_program, image, run};

struct Daemon {
    child: Child,
    dir: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Option<Self> {
        let Some(program) = find_program("dockerd") else {
            println!("skipped: no dockerd on this machine (Debian's package docker.io)");
            return None;
        };
        let dir = tempfile::Builder::new().prefix("hrtd").tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let log = std::fs::File::create(path("log")).unwrap();
        let child = Command::new(program)
            .args(["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"])
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .arg(format!("--host=unix://{}", path("sock").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Self { child, dir };
        loop {
            if std::os::unix::net::UnixStream::connect(daemon.dir.path().join("sock")).is_ok() {
                return Some(daemon);
            }
            if let Ok(Some(status)) = daemon.child.try_wait() {
                let log = std::fs::read_to_string(daemon.dir.path().join("log")).unwrap();
                let last = log.lines().last().unwrap_or("").to_owned();
                println!("skipped: dockerd does not run on this machine: {status}: {last}");
                return None;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    fn client(&self, owner: &str) -> Docker {
        let rt = tokio::runtime::Runtime::new().unwrap();
        rt.block_on(Docker::at(&self.dir.path().join("sock"), owner)).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
        // It leaves its own mounts where it was stopped in a hurry.
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for line in mounts.lines().rev() {
            let target = line.split(' ').nth(4).unwrap_or("");
            if target.starts_with(&*self.dir.path().to_string_lossy()) {
                let flags = rustix::mount::UnmountFlags::DETACH;
                let _ = rustix::mount::unmount(target, flags);
            }
        }
    }
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

#[test]
fn the_suite_on_docker() {
    if !rustix::process::geteuid().is_root() || find_program("busybox").is_none() {
        println!("skipped: root and busybox are needed");
        return;
    }
    let Some(daemon) = Daemon::start() else { return };
    let rt = tokio::runtime::Runtime::new().unwrap();
    let loading = daemon.client("load");
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
    let tests = crate::life::all().into_iter().chain(crate::hostile::all()).chain([pause]);
    for (number, (name, test)) in tests.enumerate() {
        println!("{name}");
        let tag = format!("hrtd{}-{number}", std::process::id());
        let runtime: Arc<dyn Runtime> = Arc::new(daemon.client(&tag));
        let Some(world) = World::docker(runtime, tag) else { return };
        if catch_unwind(AssertUnwindSafe(|| run(world, &test))).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}
