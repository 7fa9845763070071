//! One `wharf server` as a child in a process group of its own, started, killed, stopped for a
//! while and started again on the same folder.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use super::client::Client;
use super::{KEY, PATIENCE, SECRET, wait_for};

/// How servers of one test are started.
#[derive(Clone)]
pub struct Setup {
    pub data: PathBuf,
    pub listen: String,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
}

impl Setup {
    pub fn on(data: &Path) -> Setup {
        let (arguments, environment) = (Vec::new(), Vec::new());
        let (data, listen) = (data.to_owned(), "127.0.0.1:0".to_owned());
        Setup { data, listen, arguments, environment }
    }

    pub fn with(mut self, name: &str, value: &str) -> Setup {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Setup {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        // Nothing in the environment that is not the test's.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WHARF_") {
                command.env_remove(name);
            }
        }
        command
            .args(["server", "--json", "--listen", &self.listen, "--data-dir"])
            .arg(&self.data)
            .args(&self.arguments)
            .env("WHARF_ROOT_ACCESS_KEY_ID", KEY)
            .env("WHARF_ROOT_SECRET_ACCESS_KEY", SECRET)
            .envs(self.environment.iter().cloned())
            .env_remove("AWS_CA_BUNDLE")
            .process_group(0);
        command
    }

    /// Another of wharf's commands on the same folder.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.args(arguments).arg("--data-dir").arg(&self.data);
        command.env_remove("AWS_CA_BUNDLE").output().unwrap()
    }

    pub fn start(&self) -> Server {
        self.try_start().unwrap_or_else(|ended| panic!("the server did not start: {ended:?}"))
    }

    /// Starts it and waits until it says that it is ready, or has ended.
    pub fn try_start(&self) -> Result<Server, Ended> {
        let mut server = self.launch();
        match server.ready.recv_timeout(PATIENCE) {
            Ok(address) => {
                server.address = Some(address);
                Ok(server)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = server.child.wait().unwrap();
                Err(Ended { status, told: server.told() })
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("not ready in {PATIENCE:?}: {}", server.told())
            }
        }
    }

    /// Starts it without waiting.
    pub fn launch(&self) -> Server {
        let log = TempDir::new().unwrap();
        let stderr = File::create(log.path().join("stderr")).unwrap();
        let mut command = self.command();
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, ready) = mpsc::channel();
        // Reads on until the end: a full pipe would stop the server.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(address) = address_in(&line) {
                    let _ = tell.send(address);
                }
            }
        });
        Server { child, ready, address: None, log, reaped: false }
    }
}

/// A server that ended by itself.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// Its standard error.
    pub told: String,
}

pub struct Server {
    child: Child,
    ready: mpsc::Receiver<SocketAddr>,
    address: Option<SocketAddr>,
    log: TempDir,
    reaped: bool,
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    (event["event"] == "ready").then_some(())?;
    event["endpoints"][0].as_str()?.strip_prefix("http://")?.parse().ok()
}

impl Server {
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the server was started and said that it is ready")
    }

    pub fn client(&self) -> Client {
        Client::new(self.address())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard error so far.
    pub fn told(&self) -> String {
        let mut text = String::new();
        let file = File::open(self.log.path().join("stderr"));
        file.unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Whether it has said since the last call that it is ready.
    pub fn is_ready(&self) -> bool {
        self.ready.try_recv().is_ok()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).unwrap();
        // It may have ended by itself meanwhile.
        let _ = kill_process_group(pid, signal);
    }

    /// The whole process group at once, as a machine's end would.
    pub fn kill(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            self.child.wait().unwrap();
            self.reaped = true;
        }
    }

    /// SIGTERM, and how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let status =
            wait_for("the server has stopped", PATIENCE, || self.child.try_wait().unwrap());
        self.reaped = true;
        status
    }

    /// Whether it says that it leads.
    pub fn leads(&self) -> bool {
        self.readiness().contains("ready: leader")
    }

    pub fn follows(&self) -> bool {
        self.readiness().contains("follower of")
    }

    /// What `/readyz` tells, or nothing where nobody answers in time.
    pub fn readiness(&self) -> String {
        let mut client = self.client();
        client.timeout = Duration::from_secs(2);
        client.get("/readyz").map(|(_, text)| text).unwrap_or_default()
    }

    /// Waits until that many connections have bytes which the process has not read: of use while
    /// it is stopped.
    pub fn wait_for_bytes(&self, connections: usize) {
        let port = format!(":{:04X}", self.address().port());
        wait_for("requests wait in the sockets", PATIENCE, || {
            let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
            let waiting = table.lines().filter(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                // The listener's own queue (state 0A) counts connections, not bytes.
                fields.len() > 4
                    && fields[1].ends_with(&port)
                    && fields[3] != "0A"
                    && !fields[4].ends_with(":00000000")
            });
            (waiting.count() >= connections).then_some(())
        });
    }

    /// For a server that has not said yet where it is.
    pub fn listens_on(&mut self, address: SocketAddr) {
        self.address = Some(address);
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the server's standard error ---\n{}", self.told());
        }
    }
}
