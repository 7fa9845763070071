//! A real etcd of our own for one test: started on free ports, gone with the test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use plane_journal::{EtcdJournal, EtcdOptions, Journal};
use tempfile::TempDir;

use super::{World, signal, wait_for};

pub struct Etcd {
    process: std::process::Child,
    dir: TempDir,
    port: u16,
    peer: u16,
    args: Vec<String>,
    /// Where the certificates are, for an etcd that wants to see one.
    tls: Option<PathBuf>,
}

/// `None`, and one line that says so, where this machine has no etcd and need not have one.
pub fn etcd() -> Option<Etcd> {
    etcd_with(&[])
}

pub fn etcd_with(args: &[&str]) -> Option<Etcd> {
    let found = Command::new("etcd").arg("--version").stdout(Stdio::null()).status();
    if found.is_err() {
        let needed = ["WHARF_REQUIRE_ETCD", "CI"]
            .iter()
            .any(|name| std::env::var(name).is_ok_and(|value| value == "1" || value == "true"));
        assert!(!needed, "etcd is not on PATH: install Debian's etcd-server");
        eprintln!("skipped: etcd is not on PATH (Debian: apt-get install etcd-server)");
        return None;
    }
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (port, peer, dir) = (free(), free(), TempDir::new().unwrap());
    let args: Vec<String> = args.iter().map(|arg| arg.to_string()).collect();
    let process = spawn(&dir, port, peer, &args);
    wait_until_it_serves(port);
    Some(Etcd { process, dir, port, peer, args, tls: None })
}

/// An etcd that speaks TLS and knows clients by their certificates.
pub fn etcd_with_tls() -> Option<Etcd> {
    let mut plain = etcd()?;
    plain.kill();
    let certificates = plain.dir.path().join("tls");
    make_certificates(&certificates);
    let file = |name: &str| certificates.join(name).to_str().unwrap().to_owned();
    let (ca, cert, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
    let url = format!("https://127.0.0.1:{}", plain.port);
    let args = [
        ["--listen-client-urls", &url],
        ["--advertise-client-urls", &url],
        ["--cert-file", &cert],
        ["--key-file", &key],
        ["--trusted-ca-file", &ca],
    ];
    plain.args = args.concat().iter().map(|arg| arg.to_string()).collect();
    plain.args.push("--client-cert-auth".into());
    plain.process = spawn(&plain.dir, plain.port, plain.peer, &plain.args);
    wait_for("etcd listens", || TcpStream::connect(("127.0.0.1", plain.port)).is_ok());
    plain.tls = Some(certificates);
    Some(plain)
}

fn make_certificates(dir: &Path) {
    std::fs::create_dir(dir).unwrap();
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_text = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut one = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    one.extended_key_usages = vec![
        rcgen::ExtendedKeyUsagePurpose::ServerAuth,
        rcgen::ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let cert = one.signed_by(&key, &issuer).unwrap();
    for (name, text) in
        [("ca.pem", ca_text), ("cert.pem", cert.pem()), ("key.pem", key.serialize_pem())]
    {
        std::fs::write(dir.join(name), text).unwrap();
    }
}

fn spawn(dir: &TempDir, port: u16, peer: u16, args: &[String]) -> std::process::Child {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    Command::new("etcd")
        .arg("--data-dir")
        .arg(dir.path().join("data"))
        .args(["--listen-client-urls", &url(port), "--advertise-client-urls", &url(port)])
        .args(["--listen-peer-urls", &url(peer), "--initial-advertise-peer-urls", &url(peer)])
        .args(["--initial-cluster", &format!("default={}", url(peer))])
        .args(args)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
        .spawn()
        .unwrap()
}

fn wait_until_it_serves(port: u16) {
    wait_for("etcd serves reads", || {
        post(port, "/v3/kv/range", r#"{"key":"AA=="}"#)
            .is_some_and(|text| text.contains("raft_term"))
    });
}

/// One request to etcd's plain HTTP side, which tests use where the journal has no call.
fn post(port: u16, path: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

impl Etcd {
    pub fn url(&self) -> String {
        let port = self.port;
        match &self.tls {
            None => format!("etcd://127.0.0.1:{port}/test"),
            Some(dir) => {
                let dir = dir.display();
                format!(
                    "etcds://127.0.0.1:{port}/test?ca={dir}/ca.pem&cert={dir}/cert.pem\
                     &key={dir}/key.pem"
                )
            }
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn post(&self, path: &str, body: &str) -> String {
        post(self.port, path, body).unwrap()
    }

    pub fn signal(&self, name: &str) {
        signal(self.process.id(), name);
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn restart_with(&mut self, args: &[&str]) {
        self.args = args.iter().map(|arg| arg.to_string()).collect();
        self.restart();
    }

    pub fn restart(&mut self) {
        self.process = spawn(&self.dir, self.port, self.peer, &self.args);
        wait_until_it_serves(self.port);
    }

    pub fn journal(&self, name: &str) -> EtcdJournal {
        EtcdJournal::open(options(&self.url(), name)).unwrap()
    }
}

pub fn options(url: &str, name: &str) -> EtcdOptions {
    let mut options = EtcdOptions::parse(url).unwrap();
    options.advertise = name.into();
    options.lease_ttl = Duration::from_secs(3);
    options.snapshot_after = 2 << 20;
    options
}

impl World for Etcd {
    fn open(&mut self) -> Box<dyn Journal> {
        Box::new(self.journal("only"))
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
