//! A Docker Engine of a test's own, with its own folders, no bridge, and no rules in anybody's firewall.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use host_runtime::doctor::find_program;

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

pub struct Daemon {
    child: Child,
    dir: tempfile::TempDir,
}

impl Daemon {
    /// Started as `command` starts a program; `None`, and said so, where none can be had.
    pub fn start(command: impl FnOnce(&OsStr) -> Command) -> Option<Self> {
        let Some(program) = find_program("dockerd") else {
            println!("skipped: no dockerd on this machine (Debian's package docker.io)");
            return None;
        };
        let dir = tempfile::Builder::new().prefix("hrtd").tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let log = std::fs::File::create(path("log")).unwrap();
        let child = command(program.as_os_str())
            .args(["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"])
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--shutdown-timeout=1"])
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
            if std::os::unix::net::UnixStream::connect(daemon.socket()).is_ok() {
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

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
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
