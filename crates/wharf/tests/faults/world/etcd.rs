//! An etcd of our own, of one member or several, on loopback: members can be killed, started again,
//! and asked who of them leads.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, has, wait_for};

struct Member {
    child: Option<Child>,
    port: u16,
    peer: u16,
}

pub struct Etcd {
    members: Vec<Member>,
    folder: TempDir,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `None`, having said so, where there is no etcd.
pub fn etcd(members: usize) -> Option<Etcd> {
    if !has("etcd", "etcd-server") {
        return None;
    }
    let member = |_| Member { child: None, port: free_port(), peer: free_port() };
    let members = (0..members).map(member).collect();
    let mut etcd = Etcd { members, folder: TempDir::new().unwrap() };
    (0..etcd.members.len()).for_each(|n| etcd.spawn(n));
    (0..etcd.members.len()).for_each(|n| etcd.wait_until_it_serves(n));
    Some(etcd)
}

impl Etcd {
    fn spawn(&mut self, n: usize) {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let name = |n: usize| format!("m{n}");
        let peers: Vec<String> = (self.members.iter().enumerate())
            .map(|(n, member)| format!("{}={}", name(n), url(member.peer)))
            .collect();
        let folder = self.folder.path();
        let member = &mut self.members[n];
        let (client, peer) = (url(member.port), url(member.peer));
        let child = Command::new("etcd")
            .args(["--name", &name(n), "--initial-cluster", &peers.join(",")])
            .arg("--data-dir")
            .arg(folder.join(name(n)))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .stdout(Stdio::null())
            .stderr(File::create(folder.join(format!("log{n}"))).unwrap())
            .spawn();
        member.child = Some(child.unwrap());
    }

    fn wait_until_it_serves(&self, n: usize) {
        wait_for("etcd serves reads", PATIENCE, || {
            let answer = self.ask(n, "/v3/kv/range", r#"{"key":"AA=="}"#)?;
            answer["header"]["raft_term"].is_string().then_some(())
        });
    }

    /// One request to a member's plain HTTP side.
    fn ask(&self, n: usize, path: &str, body: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.members[n].port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let length = body.len();
        let request =
            format!("POST {path} HTTP/1.0\r\nHost: etcd\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
    }

    pub fn port(&self, n: usize) -> u16 {
        self.members[n].port
    }

    /// What `--state` takes, for these ports.
    pub fn url_of(ports: &[u16]) -> String {
        let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("etcd://{}/faults", hosts.join(","))
    }

    pub fn url(&self) -> String {
        Etcd::url_of(&self.members.iter().map(|member| member.port).collect::<Vec<_>>())
    }

    /// The member that leads the others.
    pub fn leader(&self) -> usize {
        wait_for("etcd has a leader", PATIENCE, || {
            (0..self.members.len()).find(|n| {
                let status = self.ask(*n, "/v3/maintenance/status", "{}").unwrap_or_default();
                let leader = status["leader"].as_str();
                leader.is_some() && leader == status["header"]["member_id"].as_str()
            })
        })
    }

    /// kill -9.
    pub fn kill(&mut self, n: usize) {
        if let Some(mut child) = self.members[n].child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn restart(&mut self, n: usize) {
        self.spawn(n);
        self.wait_until_it_serves(n);
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        (0..self.members.len()).for_each(|n| self.kill(n));
    }
}
