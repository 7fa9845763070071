//! `wharf up` on a folder of its own, or a server alone, with an image of busybox; everything that it
//! left on the machine is removed at the end, also of a test that failed.

// The server tests' client, of which these need a part.
#[allow(dead_code)]
#[path = "../../server/world/client.rs"]
mod client;
mod elsewhere;
mod engine;
#[path = "../../server/world/etcd.rs"]
mod etcd;
pub mod plane;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub use client::{Answer, Client};
pub use elsewhere::Elsewhere;
pub use etcd::etcd;
use serde_json::{Value, json};

/// How long a loop that waits for a condition rests between two looks.
pub const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn wharf(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["WHARF_", "AWS_", "ECS_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.args(words).stdin(Stdio::null());
    command
}

pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_long_for(PATIENCE, what, look)
}

pub fn wait_long_for<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// How many: more with `WHARF_LONG=1`.
pub fn rounds(short: usize, long: usize) -> usize {
    if std::env::var("WHARF_LONG").is_ok_and(|value| value == "1") { long } else { short }
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A machine with hosts.
pub struct Machine {
    temp: tempfile::TempDir,
    up: Option<Up>,
    /// The one host, where a Docker Engine has the containers.
    engine: Option<engine::Host>,
    /// What is run, after `wharf`.
    words: Vec<String>,
    hosts: usize,
}

struct Up {
    child: Child,
    urls: Vec<String>,
    hosts: Vec<Value>,
    said: Mutex<Receiver<String>>,
}

impl Machine {
    /// With two hosts of 1024 CPU units and 1024 MiB. `None`, and said so, without root.
    pub fn start() -> Option<Machine> {
        Machine::start_with(&[])
    }

    /// The same, with more flags.
    pub fn start_with(flags: &[&str]) -> Option<Machine> {
        Machine::start_sized("1024", flags)
    }

    /// With hosts that take any number of tasks.
    pub fn start_with_room() -> Option<Machine> {
        Machine::start_sized("1000000", &[])
    }

    fn start_sized(size: &str, flags: &[&str]) -> Option<Machine> {
        if engine::is_asked_for() {
            return Machine::docker(2 * size.parse::<u64>().unwrap(), flags, "");
        }
        let mut words = vec!["up", "--no-hosts-file", "--host-cpu", size];
        words.extend(["--host-memory", size, "--listen", "127.0.0.1:0"]);
        words.extend(flags);
        let machine = Machine::new(&words, 2)?;
        import_busybox(&machine.dir());
        Some(machine.started())
    }

    /// A server alone.
    pub fn server(flags: &[&str]) -> Option<Machine> {
        let mut words = vec!["server"];
        words.extend(flags);
        Some(Machine::new(&words, 0)?.started())
    }

    fn new(words: &[&str], hosts: usize) -> Option<Machine> {
        if !is_root() {
            eprintln!("skipped: hosts need root");
            return None;
        }
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let (temp, up, engine) = (tempfile::tempdir().unwrap(), None, None);
        let machine = Machine { temp, up, engine, words, hosts };
        std::fs::create_dir(machine.dir()).unwrap();
        Some(machine)
    }

    fn started(mut self) -> Machine {
        self.up();
        self
    }

    pub fn dir(&self) -> PathBuf {
        self.temp.path().join("data")
    }

    /// `wharf image build` of a folder, upon busybox where the recipe says so.
    pub fn build(&self, folder: &Path, recipe: &str, tag: &str) {
        let config = self.temp.path().join("recipe.toml");
        std::fs::write(&config, recipe).unwrap();
        let dir = self.dir();
        let words = ["image", "build", "--data-dir", path(&dir), path(folder), "--tag", tag];
        let done = wharf(&words).args(["--config", path(&config)]).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// A folder of this test's own.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.temp.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The server, until it is ready and its own hosts are connected.
    pub fn up(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let dir = self.dir();
        let mut command = wharf(&[]);
        command.args(&self.words).args(["--json", "--data-dir", path(&dir)]);
        command.stdout(Stdio::piped()).stderr(log).process_group(0);
        let mut child = command.spawn().unwrap();
        let (tell, said) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| drop(tell.send(line)));
        });
        self.up = Some(Up { child, urls: Vec::new(), hosts: Vec::new(), said: Mutex::new(said) });
        let ready: Value = serde_json::from_str(&self.hear("\"ready\"")).unwrap();
        let up = self.up.as_mut().unwrap();
        let urls = ready["endpoints"].as_array().unwrap().iter();
        up.urls = urls.map(|url| url.as_str().unwrap().to_owned()).collect();
        up.hosts = ready["hosts"].as_array().cloned().unwrap_or_default();
        let hosts = up.hosts.len();
        assert_eq!(hosts, self.hosts);
        wait_for("the hosts are connected", || (self.instances(true).len() >= hosts).then_some(()));
    }

    /// The same once more, with these settings for its hosts' agents.
    pub fn configure(&mut self, settings: &str) {
        self.terminate();
        for host in std::fs::read_dir(self.dir().join("hosts")).unwrap().flatten() {
            std::fs::write(host.path().join("ecs.config"), settings).unwrap();
        }
        self.up();
    }

    /// The nth address at which the server listens.
    pub fn url(&self, nth: usize) -> String {
        self.up.as_ref().unwrap().urls[nth].clone()
    }

    fn log(&self) -> PathBuf {
        self.temp.path().join("up.log")
    }

    /// What the server wrote to its log.
    pub fn told(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn logs(&self) -> String {
        let mut all = std::fs::read_to_string(self.log()).unwrap_or_default();
        for host in std::fs::read_dir(self.dir().join("hosts")).into_iter().flatten().flatten() {
            let log = host.path().join("agent.log");
            all.push_str(&format!("== {}\n", log.display()));
            all.push_str(&std::fs::read_to_string(log).unwrap_or_default());
        }
        all
    }

    pub fn hear(&self, words: &str) -> String {
        let said = self.up.as_ref().unwrap().said.lock().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = said.recv_timeout(left) else {
                panic!("the server never said {words:?}: {}", self.logs());
            };
            if line.contains(words) {
                return line;
            }
        }
    }

    pub fn client(&self) -> Client {
        let key = std::fs::read(self.dir().join("root-key.json")).unwrap();
        let key: Value = serde_json::from_slice(&key).unwrap();
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        let url = self.url(0);
        let ca = url.starts_with("https").then(|| self.dir().join("ca.pem"));
        let mut client = Client::new(&url, &text("accessKeyId"), &text("secretAccessKey"));
        client.ca = ca;
        client
    }

    pub fn call(&self, operation: &str, input: Value) -> Value {
        let answer = self.client().call(operation, &input.to_string());
        assert_eq!(answer.status, 200, "{operation} {input}: {}", answer.text);
        answer.json()
    }

    pub fn instances(&self, connected: bool) -> Vec<Value> {
        self.instances_of("default", connected)
    }

    pub fn instances_of(&self, cluster: &str, connected: bool) -> Vec<Value> {
        let input = json!({ "cluster": cluster }).to_string();
        let listed = self.client().call("ListContainerInstances", &input).json();
        let arns = listed["containerInstanceArns"].as_array().cloned().unwrap_or_default();
        if arns.is_empty() {
            return arns;
        }
        let input = json!({ "cluster": cluster, "containerInstances": arns });
        let all = self.call("DescribeContainerInstances", input)["containerInstances"].clone();
        let all = all.as_array().unwrap().iter();
        all.filter(|one| one["agentConnected"] == connected).cloned().collect()
    }

    /// Addresses of the hosts by their instance ids.
    pub fn address(&self, instance_id: &str) -> String {
        let hosts = &self.up.as_ref().unwrap().hosts;
        let host = hosts.iter().find(|host| host["id"] == instance_id).unwrap();
        host["address"].as_str().unwrap().to_owned()
    }

    /// A task definition of one container, with more members over these.
    pub fn define(&self, family: &str, container: Value, more: Value) {
        let mut whole = json!({
            "name": "app",
            "image": "busybox:latest",
            "memory": 64,
            "essential": true,
        });
        merge(&mut whole, container);
        let mut input = json!({ "family": family, "containerDefinitions": [whole] });
        merge(&mut input, more);
        self.call("RegisterTaskDefinition", input);
    }

    pub fn run(&self, family: &str, count: usize) -> Vec<String> {
        /// AWS: a call runs at most so many.
        const MOST: usize = 10;
        let mut arns = Vec::new();
        while arns.len() < count {
            let some = (count - arns.len()).min(MOST);
            let answer = self.call("RunTask", json!({ "taskDefinition": family, "count": some }));
            assert_eq!(answer["failures"], json!([]), "{answer}");
            let tasks = answer["tasks"].as_array().unwrap().iter();
            arns.extend(tasks.map(|task| task["taskArn"].as_str().unwrap().to_owned()));
        }
        arns
    }

    pub fn task(&self, arn: &str) -> Value {
        self.call("DescribeTasks", json!({ "tasks": [arn] }))["tasks"][0].clone()
    }

    pub fn wait(&self, arn: &str, status: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let task = self.task(arn);
            if task["lastStatus"] == status {
                return task;
            }
            let early = task["lastStatus"] == "STOPPED" || Instant::now() > deadline;
            assert!(!early, "{status} never came: {task:#}\n{}", self.logs());
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// The folder in which the host of a task keeps what is its own.
    pub fn host_dir(&self, task: &Value) -> PathBuf {
        if let Some(engine) = &self.engine {
            return engine.dir.clone();
        }
        let input = json!({ "containerInstances": [task["containerInstanceArn"]] });
        let told = self.call("DescribeContainerInstances", input);
        let id = told["containerInstances"][0]["ec2InstanceId"].as_str().unwrap().to_owned();
        self.dir().join("hosts").join(id)
    }

    /// The address at which a task's host is reached.
    pub fn host_address(&self, task: &Value) -> String {
        if let Some(engine) = &self.engine {
            return engine.elsewhere.there.clone();
        }
        let id = self.host_dir(task).file_name().unwrap().to_string_lossy().into_owned();
        self.address(&id)
    }

    /// This machine's address as its hosts reach it.
    pub fn own_address(&self) -> std::net::IpAddr {
        if let Some(engine) = &self.engine {
            return engine.elsewhere.here.parse().unwrap();
        }
        let host = self.up.as_ref().unwrap().hosts[0]["address"].as_str().unwrap().to_owned();
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect((host.as_str(), 9)).unwrap();
        socket.local_addr().unwrap().ip()
    }

    /// Runs a one-container task to its end and gives the task and what it wrote.
    pub fn run_to_end(&self, family: &str) -> (Value, String) {
        let arn = self.run(family, 1).remove(0);
        let task = self.wait(&arn, "STOPPED");
        (task, self.output(&arn, "app"))
    }

    /// Where `wharf logs` finds what the tasks wrote.
    pub fn output_dir(&self) -> PathBuf {
        self.engine.as_ref().map_or_else(|| self.dir(), |engine| engine.dir.clone())
    }

    /// Makes an address of the VPC known as that host's, where it is not one of `wharf up`.
    pub fn lead_to(&self, address: &str) {
        if let Some(engine) = &self.engine {
            engine.elsewhere.lead_to(address);
        }
    }

    /// The Docker Engine that has the containers, if one has.
    pub fn engine(&self) -> Option<&engine::Host> {
        self.engine.as_ref()
    }

    /// What a container wrote, from the files on its host.
    pub fn output(&self, arn: &str, container: &str) -> String {
        if let Some(engine) = &self.engine {
            return engine.output(arn, container);
        }
        let hosts = std::fs::read_dir(self.dir().join("hosts")).unwrap().flatten();
        hosts.map(|host| output_of(&host.path(), arn, container)).collect()
    }

    /// Waits for a text in what a container writes: RUNNING says that its program was started, not that
    /// it has come far.
    pub fn says(&self, arn: &str, container: &str, text: &str) -> String {
        wait_for("the container says it", || {
            Some(self.output(arn, container)).filter(|output| output.contains(text))
        })
    }

    /// The first process of each task's container and when it began, by the task's ARN, as the files of
    /// the hosts have it.
    pub fn first_processes(&self) -> BTreeMap<String, (i32, u64)> {
        if let Some(engine) = &self.engine {
            let running = engine.containers().into_iter().filter(|state| state.pid > 0);
            let each = running.map(|state| {
                let arn = state.spec.unwrap().labels["com.amazonaws.ecs.task-arn"].clone();
                (arn, (state.pid as i32, state.started_at.unwrap()))
            });
            return each.collect();
        }
        let hosts = std::fs::read_dir(self.dir().join("hosts")).unwrap().flatten();
        let all = hosts.flat_map(|host| containers_of(&host.path()));
        all.map(|container| (container.task, container.first)).collect()
    }

    /// The agents' process ids: processes of our binary whose words name our folder.
    pub fn agents(&self) -> Vec<i32> {
        self.processes(|words| words.get(1).is_some_and(|word| word == "agent"))
    }

    /// Everything of our folder's that runs: agents, shims, the server.
    pub fn all_processes(&self) -> Vec<i32> {
        self.processes(|_| true)
    }

    fn processes(&self, ours: impl Fn(&[String]) -> bool) -> Vec<i32> {
        let dir = path(&self.dir()).to_owned();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words: Vec<String> = line
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            if ours(&words) && words.iter().any(|word| word.starts_with(&dir)) {
                found.push(pid);
            }
        }
        found
    }

    /// The server is gone in an instant, with its whole process group.
    pub fn kill_server(&mut self) {
        let mut up = self.up.take().unwrap();
        let group = rustix::process::Pid::from_raw(up.child.id() as i32).unwrap();
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        up.child.wait().unwrap();
    }

    pub fn terminate(&mut self) {
        self.end(rustix::process::Signal::TERM);
    }

    pub fn end(&mut self, signal: rustix::process::Signal) {
        let mut up = self.up.take().unwrap();
        kill(up.child.id() as i32, signal);
        assert!(up.child.wait().unwrap().success());
    }
}

/// A container that was made on a host.
pub struct Container {
    /// Its task's ARN.
    pub task: String,
    pub shim: i32,
    /// Its first process, and when that began.
    pub first: (i32, u64),
}

/// The containers in the data directory of an agent.
pub fn containers_of(agent: &Path) -> Vec<Container> {
    let mut found = Vec::new();
    let containers = std::fs::read_dir(agent.join("containers")).into_iter().flatten().flatten();
    for container in containers {
        let read = |name: &str| {
            let bytes = std::fs::read(container.path().join(name)).ok()?;
            serde_json::from_slice::<Value>(&bytes).ok()
        };
        let (Some(spec), Some(record)) = (read("spec.json"), read("shim.json")) else { continue };
        let number = |process: &str, name: &str| record[process][name].as_u64();
        let task = spec["labels"]["com.amazonaws.ecs.task-arn"].as_str();
        if let (Some(task), Some(shim), Some(first), Some(began)) =
            (task, number("shim", "pid"), number("container", "pid"), number("container", "began"))
        {
            let (shim, first) = (shim as i32, first as i32);
            found.push(Container { task: task.to_owned(), shim, first: (first, began) });
        }
    }
    found
}

/// What a container wrote, from the data directory of its agent.
pub fn output_of(agent: &Path, arn: &str, container: &str) -> String {
    let mut all = String::new();
    let folder = agent.join("logs").join(arn.rsplit('/').next().unwrap()).join(container);
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap();
        let records = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        records.for_each(|line| all.push_str(line["log"].as_str().unwrap_or_default()));
    }
    all
}

/// `busybox:latest` in the images of a data directory.
pub fn import_busybox(dir: &Path) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    for folder in ["bin", "etc", "tmp", "root"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is there");
    let applets = Command::new("/bin/busybox").arg("--list").output().unwrap().stdout;
    for name in String::from_utf8(applets).unwrap().lines().filter(|name| *name != "busybox") {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/:\n")
        .unwrap();
    let tar = temp.path().join("root.tar");
    // The same on every machine: a service's tasks all run the digest that the first one found.
    let mut pack = Command::new("tar");
    pack.args(["--sort=name", "--mtime=@0"]).arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".");
    assert!(pack.status().unwrap().success());
    let words = ["image", "--data-dir", path(dir), "import", path(&tar), "busybox:latest"];
    let done = wharf(&words).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// Removes everything that stands on the machine for a data directory.
fn clean(dir: &Path) {
    let cleaned = wharf(&["clean", "--data-dir", path(dir)]).output();
    if let Ok(cleaned) = cleaned
        && !cleaned.status.success()
        && !std::thread::panicking()
    {
        panic!("not everything was removed: {cleaned:?}");
    }
}

pub fn kill(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let _ = rustix::process::kill_process(pid, signal);
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                into.insert(name, value);
            }
        }
        (_, Value::Null) => {}
        (into, more) => *into = more,
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut up) = self.up.take() {
            kill(up.child.id() as i32, rustix::process::Signal::TERM);
            let _ = up.child.wait();
        }
        clean(&self.dir());
        drop(self.engine.take());
    }
}
