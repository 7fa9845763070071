//! Another machine: a network namespace behind a link, as far from the server as a machine at the end
//! of a cable, with an `/etc` of its own. `wharf agent` runs there as its user would start it.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{clean, import_busybox, kill, path, wharf};

/// Namespaces of one test process, one after the other.
static COUNT: AtomicU32 = AtomicU32::new(0);

pub struct Elsewhere {
    name: String,
    /// This side's address, where a server listens for it; and its own.
    pub here: String,
    pub there: String,
    temp: tempfile::TempDir,
    /// Holds the machine's mounts, which outlive its agents: with an `/etc` of its own.
    mounts: Child,
    agent: Option<Child>,
    dirs: Vec<PathBuf>,
}

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(done.status.success(), "ip {words}: {done:?}");
}

/// A process in a mount namespace of its own, with a layer over `/etc`, until its input ends.
fn mounts(temp: &Path) -> Child {
    let etc = temp.join("etc");
    for folder in ["upper", "work"] {
        std::fs::create_dir_all(etc.join(folder)).unwrap();
    }
    let script = "mount -t overlay overlay -o lowerdir=/etc,upperdir=$1/upper,workdir=$1/work \
                  /etc && echo ready && exec cat";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(etc);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"ready\n");
    child
}

impl Elsewhere {
    pub fn new() -> Elsewhere {
        // AWS's and everyone's networks leave 198.18.0.0/15 to tests (RFC 2544).
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let (pid, block) = (std::process::id(), nth * 4);
        let (third, fourth) = (pid % 250 + 1, block % 248);
        let name = format!("wx{pid}-{nth}");
        let address = |last: u32| format!("198.18.{third}.{last}");
        let temp = tempfile::tempdir().unwrap();
        let elsewhere = Elsewhere {
            here: address(fourth + 1),
            there: address(fourth + 2),
            name,
            mounts: mounts(temp.path()),
            temp,
            agent: None,
            dirs: Vec::new(),
        };
        let Elsewhere { name, here, there, .. } = &elsewhere;
        ip(&format!("netns add {name}"));
        ip(&format!("link add {name}a type veth peer name {name}b netns {name}"));
        ip(&format!("addr add {here}/30 dev {name}a"));
        ip(&format!("link set {name}a up"));
        ip(&format!("-n {name} addr add {there}/30 dev {name}b"));
        ip(&format!("-n {name} link set {name}b up"));
        ip(&format!("-n {name} link set lo up"));
        ip(&format!("-n {name} route add default via {here}"));
        elsewhere
    }

    /// A data directory of an agent there, with busybox in its images.
    pub fn dir(&mut self) -> PathBuf {
        let dir = self.folder();
        import_busybox(&dir);
        dir
    }

    /// A data directory of an agent there.
    pub fn folder(&mut self) -> PathBuf {
        let dir = self.temp.path().join(format!("agent-{}", self.dirs.len()));
        self.dirs.push(dir.clone());
        dir
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.temp.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    /// A program of that machine's.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name));
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.mounts.id()));
        command.arg(program);
        command
    }

    /// `wharf agent`, with this text as `/etc/ecs/ecs.config`.
    pub fn agent(&mut self, config: &str, words: &[&str], environment: &[(&str, &str)]) {
        self.stop();
        let config = self.file("ecs.config", config);
        let program = wharf(&[]).get_program().to_owned();
        let place = "mkdir -p /etc/ecs && cp \"$1\" /etc/ecs/ecs.config && shift && exec \"$@\"";
        let mut command = self.command("sh");
        command.args(["-c", place, "sh"]).arg(config).arg(program).arg("agent").args(words);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.temp.path()).envs(environment.iter().copied());
        let log = std::fs::File::options().create(true).append(true).open(self.log()).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.agent = Some(command.process_group(0).spawn().unwrap());
    }

    fn log(&self) -> PathBuf {
        self.temp.path().join("agent.log")
    }

    /// What the agents have said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The agent's exit code; it must end by itself.
    pub fn ended(&mut self) -> Option<i32> {
        self.agent.as_mut().unwrap().wait().unwrap().code()
    }

    pub fn pid(&self) -> i32 {
        self.agent.as_ref().unwrap().id() as i32
    }

    /// Gone in an instant.
    pub fn kill(&mut self) {
        kill(self.pid(), rustix::process::Signal::KILL);
        self.agent.take().unwrap().wait().unwrap();
    }

    /// The agent stands still; its containers do not.
    pub fn freeze(&self, frozen: bool) {
        use rustix::process::Signal;
        kill(self.pid(), if frozen { Signal::STOP } else { Signal::CONT });
    }

    /// What is sent to this address goes there.
    pub fn lead_to(&self, address: &str) {
        ip(&format!("route replace {address}/32 via {}", self.there));
    }

    /// The cable is pulled, or put back.
    pub fn link(&self, up: bool) {
        ip(&format!("link set {}a {}", self.name, if up { "up" } else { "down" }));
    }

    pub fn stop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            kill(agent.id() as i32, rustix::process::Signal::CONT);
            kill(agent.id() as i32, rustix::process::Signal::TERM);
            agent.wait().unwrap();
        }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.stop();
        drop(self.mounts.stdin.take());
        let _ = self.mounts.wait();
        self.dirs.iter().for_each(|dir| clean(dir));
        let removed = Command::new("ip").args(["netns", "del", &self.name]).status();
        if std::thread::panicking() {
            eprintln!("the agents elsewhere said: {}", self.said());
            return;
        }
        assert!(removed.unwrap().success(), "{} is left", path(self.temp.path()));
    }
}
