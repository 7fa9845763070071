//! A real etcd of the test's own, on free ports.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{BETWEEN_LOOKS, PATIENCE};

pub struct Etcd {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

/// `None`, and one line that says so, where this machine has no etcd and need not have one.
pub fn etcd() -> Option<Etcd> {
    let found = Command::new("etcd").arg("--version").stdout(Stdio::null()).status();
    if found.is_err() {
        let needed = std::env::var_os("WHARF_REQUIRE_ETCD").is_some();
        assert!(!needed, "etcd is not on PATH: install Debian's etcd-server");
        eprintln!("skipped: etcd is not on PATH (Debian: apt-get install etcd-server)");
        return None;
    }
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (port, peer) = (free(), free());
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new("etcd")
        .arg("--data-dir")
        .arg(dir.path().join("data"))
        .args(["--listen-client-urls", &url(port), "--advertise-client-urls", &url(port)])
        .args(["--listen-peer-urls", &url(peer), "--initial-advertise-peer-urls", &url(peer)])
        .args(["--initial-cluster", &format!("default={}", url(peer))])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "etcd does not listen");
        std::thread::sleep(BETWEEN_LOOKS);
    }
    Some(Etcd { child, port, _dir: dir })
}

impl Etcd {
    pub fn url(&self) -> String {
        format!("etcd://127.0.0.1:{}/test", self.port)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
