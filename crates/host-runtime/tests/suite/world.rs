//! A machine for one test: a runtime, busybox as the image, and the leak check.

use std::future::Future;
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use host_runtime::{
    Config, ContainerSpec, Error, ExecSpec, Exit, LogLine, LogsFrom, ProcessSpec, Runtime,
    ShimProgram, Shimmed,
};
use tokio::io::AsyncReadExt;

/// How long a thing that will surely happen is waited for before the test is called hung.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Embedded,
    Runc,
    Docker,
}

pub type Test = Box<dyn Fn(Arc<World>) -> Pin<Box<dyn Future<Output = ()>>>>;

pub struct World {
    pub kind: Kind,
    pub tag: String,
    pub runtime: Arc<dyn Runtime>,
    pub dir: tempfile::TempDir,
    pub root: PathBuf,
}

/// Run a test on every runtime that this machine has; says which it skips.
pub fn on_all<F: Future<Output = ()>>(test: impl Fn(Arc<World>) -> F) {
    for kind in [Kind::Embedded, Kind::Runc] {
        on(kind, &test);
    }
}

pub fn on<F: Future<Output = ()>>(kind: Kind, test: impl Fn(Arc<World>) -> F) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: containers are made by root");
        return;
    }
    let Some(world) = World::make(kind) else { return };
    run(world, &test);
}

/// Run one test, then see what it has left, also where it failed.
pub fn run<F: Future<Output = ()>>(world: World, test: &impl Fn(Arc<World>) -> F) {
    let world = Arc::new(world);
    let kind = world.kind;
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let rt = rt.unwrap();
    let done = catch_unwind(AssertUnwindSafe(|| {
        rt.block_on(async {
            tokio::time::timeout(PATIENCE, test(world.clone())).await.expect("the test hangs");
        });
    }));
    println!("on {kind:?}");
    let left = catch_unwind(AssertUnwindSafe(|| rt.block_on(world.leave_nothing())));
    if let Err(panic) = done.and(left) {
        resume_unwind(panic);
    }
}

pub fn find_program(name: &str) -> Option<PathBuf> {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin"];
    places.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists())
}

impl World {
    fn make(kind: Kind) -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("hrt{}-{count}", std::process::id());
        let dir = tempfile::Builder::new().prefix(&tag).tempdir().unwrap();
        let root = image(dir.path())?;
        let config = Config {
            state_dir: dir.path().join("containers"),
            cgroup_root: format!("/{tag}"),
            shim: ShimProgram::at(env!("CARGO_BIN_EXE_host-runtime-shim"), &[]),
        };
        let runtime: Arc<dyn Runtime> = match kind {
            Kind::Embedded => Arc::new(Shimmed::embedded(config).unwrap()),
            Kind::Runc => {
                let Some(program) = find_program("runc") else {
                    println!("skipped: no runc on this machine (Debian's package runc)");
                    return None;
                };
                Arc::new(Shimmed::runc(config, program).unwrap())
            }
            Kind::Docker => return None,
        };
        Some(Self { kind, tag, runtime, dir, root })
    }

    /// On a daemon that has the image already.
    pub fn docker(runtime: Arc<dyn Runtime>, tag: String) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix(&tag).tempdir().unwrap();
        let root = image(dir.path())?;
        std::fs::create_dir(dir.path().join("containers")).unwrap();
        Some(Self { kind: Kind::Docker, tag, runtime, dir, root })
    }

    /// The signal that ended it, where the runtime tells it apart from an exit code.
    pub fn killed(&self, exit: &Exit, signal: i32) -> bool {
        let told = if self.kind == Kind::Docker { None } else { Some(signal) };
        exit.code == Some(128 + signal) && exit.signal == told
    }

    /// A container of busybox with a shell script.
    pub fn script(&self, id: &str, script: &str) -> ContainerSpec {
        ContainerSpec {
            id: id.into(),
            rootfs: host_runtime::Rootfs { layers: vec![self.root.clone()], image: "box".into() },
            process: ProcessSpec {
                args: vec!["/bin/sh".into(), "-c".into(), script.into()],
                ..Default::default()
            },
            ..Default::default()
        }
    }

    pub async fn begin(&self, spec: &ContainerSpec) {
        self.runtime.create(spec).await.unwrap();
        self.runtime.start(&spec.id).await.unwrap();
    }

    /// From nothing to its end, and what it said.
    pub async fn run(&self, spec: &ContainerSpec) -> (Exit, String) {
        self.begin(spec).await;
        let exit = self.runtime.wait(&spec.id).await.unwrap();
        let text = self.said(&spec.id).await;
        self.runtime.delete(&spec.id).await.unwrap();
        (exit, text)
    }

    pub async fn lines(&self, id: &str) -> Vec<LogLine> {
        let from = LogsFrom { follow: true, ..Default::default() };
        let mut reader = self.runtime.logs(id, from).await.unwrap();
        let mut all = Vec::new();
        loop {
            let lines = reader.next().await.unwrap();
            if lines.is_empty() {
                return all;
            }
            all.extend(lines);
        }
    }

    pub async fn said(&self, id: &str) -> String {
        let lines = self.lines(id).await;
        lines.into_iter().fold(String::new(), |text, line| text + &line.text + "\n")
    }

    /// Follow until a line is there.
    pub async fn hears(&self, id: &str, wanted: &str) {
        let from = LogsFrom { follow: true, ..Default::default() };
        let mut reader = self.runtime.logs(id, from).await.unwrap();
        loop {
            let lines = reader.next().await.unwrap();
            assert!(!lines.is_empty(), "{id} ended and never said {wanted:?}");
            if lines.iter().any(|line| line.text.contains(wanted)) {
                return;
            }
        }
    }

    pub async fn exec(&self, id: &str, script: &str) -> (i32, String) {
        let spec = ExecSpec {
            process: ProcessSpec {
                args: vec!["/bin/sh".into(), "-c".into(), script.into()],
                ..Default::default()
            },
            ..Default::default()
        };
        let mut exec = self.runtime.exec(id, &spec).await.unwrap();
        let mut text = String::new();
        exec.stdout.read_to_string(&mut text).await.unwrap();
        if let Some(stderr) = &mut exec.stderr {
            stderr.read_to_string(&mut text).await.unwrap();
        }
        (exec.control.wait().await.unwrap(), text)
    }

    pub async fn refused(&self, spec: &ContainerSpec) -> Error {
        match self.runtime.create(spec).await {
            Err(error) => error,
            Ok(_) => {
                let error = self.runtime.start(&spec.id).await.unwrap_err();
                self.runtime.delete(&spec.id).await.unwrap();
                error
            }
        }
    }

    /// Delete what the test left on purpose; then nothing may remain.
    async fn leave_nothing(&self) {
        let mut deleted = Vec::new();
        for state in self.runtime.list().await.unwrap() {
            deleted.push(self.runtime.delete(&state.id).await);
        }
        let removed = self.runtime.remove_group(&format!("/{}", self.tag)).await;
        deleted.into_iter().for_each(Result::unwrap);
        removed.unwrap();
        assert_eq!(groups(&self.tag), [] as [PathBuf; 0], "cgroups are left");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&self.tag), "mounts are left");
        let left: Vec<_> =
            std::fs::read_dir(self.dir.path().join("containers")).unwrap().flatten().collect();
        assert!(left.is_empty(), "folders are left: {left:?}");
        for pid in std::fs::read_dir("/proc").unwrap().flatten() {
            let words = std::fs::read(pid.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words);
            assert!(!words.contains(&self.tag), "left: {words}");
        }
    }
}

/// The cgroups of a test, in all hierarchies there are.
pub fn groups(tag: &str) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let cgroups = mounts.lines().filter(|line| line.contains(" - cgroup"));
    let mounts = cgroups.filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut found = Vec::new();
    let mut below: Vec<PathBuf> = mounts.collect();
    while let Some(dir) = below.pop() {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        for path in dirs.map(|entry| entry.path()) {
            if path.file_name().is_some_and(|name| name == tag) {
                found.push(path.clone());
            }
            below.push(path);
        }
    }
    found
}

/// A root of Debian's static busybox, made by hand.
pub fn image(dir: &Path) -> Option<PathBuf> {
    let Some(busybox) = find_program("busybox") else {
        println!("skipped: no busybox on this machine (Debian's package busybox-static)");
        return None;
    };
    let root = dir.join("image");
    for folder in ["bin", "etc", "tmp", "proc", "sys", "dev", "root", "var"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::copy(busybox, root.join("bin/busybox")).unwrap();
    for name in [
        "sh", "cat", "echo", "sleep", "id", "ls", "mount", "hostname", "ps", "env", "tail", "dd",
        "kill", "yes", "head", "touch", "stty", "wc", "ip", "true", "seq", "mknod", "unshare",
        "grep", "ulimit", "df", "mkdir", "stat", "chmod", "setsid", "pwd", "tr", "sysctl", "nproc",
        "su",
    ] {
        symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/var:/bin/sh\n";
    std::fs::write(root.join("etc/passwd"), passwd).unwrap();
    std::fs::write(root.join("etc/group"), "root:x:0:\nweb:x:34:\nlogs:x:50:web\n").unwrap();
    Some(root)
}
