//! What the tests stand on: a server as a child process, and a client that signs. Nothing sleeps
//! in place of a condition: a start is over when the server says so, an end when it is gone.

mod client;
mod etcd;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub use client::{Answer, Client, read_answer, send_raw};
pub use etcd::{Etcd, etcd};
use serde_json::Value;

/// How long a loop that waits for a condition rests between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program without anything in its environment that is not the test's.
pub fn wharf(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("WHARF_") || name.starts_with("AWS_") || name == "NOTIFY_SOCKET" {
            command.env_remove(name);
        }
    }
    command.args(words).stdin(Stdio::null());
    command
}

pub fn run(words: &[&str]) -> Output {
    wharf(words).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub fn wait_for(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// A folder of the test's own, and the log of the servers in it.
pub struct Home {
    pub temp: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Home {
        Home { temp: tempfile::tempdir().unwrap() }
    }

    pub fn dir(&self) -> PathBuf {
        self.temp.path().join("data")
    }

    /// `wharf server` on this folder, ready.
    pub fn server(&self, flags: &[&str]) -> Server {
        Server::start(&self.dir(), flags, |_| {})
    }
}

pub struct Server {
    pub dir: PathBuf,
    pub url: String,
    child: Child,
    said: Receiver<String>,
}

impl Server {
    pub fn start(dir: &Path, flags: &[&str], more: impl FnOnce(&mut Command)) -> Server {
        let log = dir.with_extension("log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let path = dir.to_str().unwrap();
        let mut command = wharf(&["server", "--data-dir", path]);
        command.args(flags).stdout(Stdio::piped()).stderr(file);
        if !flags.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        more(&mut command);
        let mut child = command.spawn().unwrap();
        let (tell, said) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| drop(tell.send(line)));
        });
        let mut server = Server { dir: dir.to_owned(), url: String::new(), child, said };
        let ready = server.hear("ready");
        server.url = match serde_json::from_str::<Value>(&ready) {
            Ok(event) => event["endpoints"][0].as_str().unwrap().to_owned(),
            Err(_) => ready.split_whitespace().nth(1).unwrap().to_owned(),
        };
        server
    }

    /// The next line that has these words in it.
    pub fn hear(&self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.said.recv_timeout(left) else {
                let log = std::fs::read_to_string(self.dir.with_extension("log"));
                panic!("the server never said {words:?}; its log: {}", log.unwrap_or_default());
            };
            if line.contains(words) {
                return line;
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(status.unwrap().success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        wait_for("the server ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// A clean stop.
    pub fn stop(mut self) {
        self.signal("TERM");
        assert_eq!(self.wait().code(), Some(0));
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A client with the root key of this server's data directory.
    pub fn client(&self) -> Client {
        let key = std::fs::read(self.dir.join("root-key.json")).unwrap();
        let key: Value = serde_json::from_slice(&key).unwrap();
        let part = |name: &str| key[name].as_str().unwrap().to_owned();
        Client::new(&self.url, &part("accessKeyId"), &part("secretAccessKey"))
    }

    /// What an unsigned GET answers.
    pub fn get(&self, path: &str) -> Answer {
        let host = self.url.split_once("://").unwrap().1;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        send_raw(&self.url, head.as_bytes()).unwrap()
    }

    pub fn leads(&self) -> bool {
        self.get("/readyz").text.contains("leader")
            && !self.get("/readyz").text.contains("follower")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
