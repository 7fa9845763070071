//! A small world for each test: network and mount namespaces of its own, in which it is the machine. Nothing of it can
//! meet another test's, and all of it ends with the test, however that ends.

#![allow(dead_code, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use host_network::{CleanOptions, Tag, clean, leftovers, namespaces};
use rustix::mount::MountPropagationFlags;

pub struct World {
    name: &'static str,
    folder: tempfile::TempDir,
}

impl World {
    /// Runs a test as root in a world of its own.
    pub fn enter(name: &'static str, test: impl FnOnce(&World) + Send) {
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests make namespaces and run as root"
        );
        let folder = tempfile::Builder::new().prefix("wharf-net-").tempdir().unwrap();
        let world = World { name, folder };
        namespaces::apart(name, || {
            namespaces::unshare(true, true)?;
            let quiet = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            rustix::mount::mount_change("/", quiet).unwrap();
            // A file of its own in the place of the machine's.
            let hosts = world.hosts_file();
            std::fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
            rustix::mount::mount_bind(&hosts, "/etc/hosts").unwrap();
            loopback_up();
            let _sweep = Sweep(&world);
            test(&world);
            Ok(())
        })
        .unwrap();
    }

    pub fn tag(&self) -> Tag {
        Tag::of(&self.data_dir())
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    pub fn hosts_file(&self) -> PathBuf {
        self.folder.path().join("hosts")
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what the test left, also where it failed, and tells on what can't be removed.
struct Sweep<'a>(&'a World);

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        let options = CleanOptions {
            hosts_file: self.0.hosts_file(),
            run: self.0.run(),
            ..CleanOptions::new(self.0.data_dir())
        };
        let cleaned = clean(&options).unwrap();
        let left = leftovers(&options).unwrap();
        if !std::thread::panicking() {
            assert!(cleaned.failed.is_empty() && left.is_empty(), "{:?} {left:?}", cleaned.failed);
        }
    }
}

fn loopback_up() {
    host_network::raise_loopback().unwrap();
}

pub fn ask(to: impl Into<SocketAddr>) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to.into(), Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// A server inside a namespace that tells each caller its own name and whom it takes the caller for.
pub fn serve(namespace: &Path, port: u16, name: &'static str) {
    let listener = namespaces::inside(namespace, || {
        Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap())
    })
    .unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, from)) = listener.accept() {
            let _ = write!(stream, "{name} {}", from.ip());
        }
    });
}

/// Gives a link of the calling thread's namespace one more address, by the `ip` command.
pub fn add_address(link: &str, address: Ipv4Addr) {
    ip(&format!("address replace {address}/32 dev {link}"));
}

fn ip(arguments: &str) {
    let done = std::process::Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(done.success(), "ip {arguments}");
}

pub fn add_route(to: ipnet::Ipv4Net, by: Ipv4Addr) {
    ip(&format!("route replace {to} via {by}"));
}

/// What lies beyond the machine: a namespace at the far end of its default route.
pub struct Outside {
    pub namespace: PathBuf,
    pub here: Ipv4Addr,
    pub there: Ipv4Addr,
    holder: std::process::Child,
}

impl Outside {
    pub fn connect(there: Ipv4Addr, here: Ipv4Addr) -> Outside {
        let mut holder = std::process::Command::new("unshare");
        let holder =
            holder.args(["-n", "cat"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let namespace = PathBuf::from(format!("/proc/{}/ns/net", holder.id()));
        let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        // Until it has left this namespace.
        while std::fs::read_link(&namespace).unwrap() == own {
            std::thread::yield_now();
        }
        ip("link add out0 type veth peer name in0");
        ip(&format!("link set in0 netns {}", holder.id()));
        ip(&format!("address add {here}/24 dev out0"));
        ip("link set out0 up");
        ip(&format!("route add default via {there}"));
        namespaces::inside(&namespace, || {
            ip(&format!("address add {there}/24 dev in0"));
            ip("link set in0 up");
            loopback_up();
            Ok(())
        })
        .unwrap();
        Outside { namespace, here, there, holder }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.holder.kill().unwrap();
        self.holder.wait().unwrap();
    }
}
