//! `wharf up` under measurement: its folder, its agents and shims, and calls that are signed anew
//! each over one connection, so that a call costs the caller little.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::api::{Form, KEY, SECRET, sign};

/// Between two looks at what is waited for.
pub const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Plane {
    pub dir: PathBuf,
    wharf: PathBuf,
    vpc: String,
    server: Option<Server>,
}

struct Server {
    child: Child,
    address: SocketAddr,
    stream: Option<TcpStream>,
}

/// A process that belongs to this plane.
pub struct Part {
    pub pid: u32,
    pub words: Vec<String>,
}

impl Plane {
    /// A fresh folder with the image `busybox` in it.
    pub fn new(wharf: &Path, folder: &Path, image: &Path, vpc: &str) -> Result<Plane> {
        let dir = folder.join("data");
        std::fs::create_dir(&dir)?;
        let wharf = std::path::absolute(wharf)?;
        let plane = Plane { dir, wharf, vpc: vpc.to_owned(), server: None };
        let mut import = plane.command(&["image"]);
        import.arg("--data-dir").arg(&plane.dir).arg("import").arg(image).arg("busybox:latest");
        let done = import.output().context("start wharf image import")?;
        if !done.status.success() {
            bail!("the image was not imported: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(plane)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.wharf);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if ["WHARF_", "AWS_", "ECS_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.args(words).stdin(Stdio::null());
        command.env("WHARF_ROOT_ACCESS_KEY_ID", KEY).env("WHARF_ROOT_SECRET_ACCESS_KEY", SECRET);
        command
    }

    /// Start it with one host that has room for everything, until that host is connected. A process
    /// group of its own, to be killed whole.
    pub fn up(&mut self) -> Result<()> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.with_file_name("up.log"))?;
        let mut command = self.command(&["up", "--json", "--no-hosts-file", "--hosts", "1"]);
        command.args(["--listen", "127.0.0.1:0", "--vpc-cidr", &self.vpc]);
        command.args(["--host-cpu", "1000000", "--host-memory", "1000000", "--data-dir"]);
        command.arg(&self.dir).stdout(Stdio::piped()).stderr(log).process_group(0);
        let mut child = command.spawn().context("start wharf up")?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let address = loop {
            let line = lines.next().context("wharf up ended early; see up.log")??;
            if let Ok(ready) = serde_json::from_str::<Value>(&line)
                && let Some(url) = ready["endpoints"][0].as_str()
            {
                break url.trim_start_matches("http://").parse()?;
            }
        };
        // Nobody reads on; a full pipe must not stop the server.
        std::thread::spawn(move || lines.for_each(drop));
        self.server = Some(Server { child, address, stream: None });
        self.ecs("CreateCluster", &json!({ "clusterName": "default" }))?;
        self.wait("the host is connected", |plane| {
            let listed = plane.ecs("ListContainerInstances", &json!({}))?;
            let arns = &listed["containerInstanceArns"];
            if arns.as_array().is_none_or(Vec::is_empty) {
                return Ok(None);
            }
            let input = json!({ "containerInstances": arns });
            let found = plane.ecs("DescribeContainerInstances", &input)?;
            let connected = &found["containerInstances"][0]["agentConnected"];
            Ok((*connected == true).then_some(()))
        })
    }

    /// Look until there is something.
    pub fn wait<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Plane) -> Result<Option<T>>,
    ) -> Result<T> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            if Instant::now() > give_up {
                bail!("in vain: {what}");
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    pub fn ecs(&mut self, operation: &str, input: &Value) -> Result<Value> {
        self.json("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), input)
    }

    pub fn logs(&mut self, operation: &str, input: &Value) -> Result<Value> {
        self.json("logs", &format!("Logs_20140328.{operation}"), input)
    }

    /// The default VPC's subnets: EC2 speaks XML, of which only this is wanted.
    pub fn subnets(&mut self) -> Result<Vec<String>> {
        let text = self.call("ec2", Form::Query, "Action=DescribeSubnets&Version=2016-11-15")?;
        let text = String::from_utf8(text)?;
        let each = text.split("<subnetId>").skip(1);
        Ok(each.filter_map(|rest| Some(rest.split_once('<')?.0.to_owned())).collect())
    }

    fn json(&mut self, service: &str, target: &str, input: &Value) -> Result<Value> {
        let answer = self.call(service, Form::Json { target }, &input.to_string());
        let answer = answer.with_context(|| format!("{target} {input}"))?;
        Ok(serde_json::from_slice(&answer)?)
    }

    fn call(&mut self, service: &str, form: Form<'_>, body: &str) -> Result<Vec<u8>> {
        let server = self.server.as_mut().context("the server runs")?;
        let bytes = sign(server.address, service, form, body)?;
        let mut stream = match server.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(server.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream
            }
        };
        stream.write_all(&bytes)?;
        let (status, body) = read_answer(&mut stream)?;
        server.stream = Some(stream);
        if status != 200 {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// Run tasks; their ARNs, once they are accepted.
    pub fn run(&mut self, family: &str, count: usize, more: &Value) -> Result<Vec<String>> {
        let mut arns = Vec::new();
        while arns.len() < count {
            // AWS: ten tasks a call.
            let mut input =
                json!({ "taskDefinition": family, "count": (count - arns.len()).min(10) });
            if let (Value::Object(input), Value::Object(more)) = (&mut input, more) {
                input.extend(more.clone());
            }
            let answer = self.ecs("RunTask", &input)?;
            let tasks = answer["tasks"].as_array().cloned().unwrap_or_default();
            if tasks.is_empty() {
                bail!("RunTask placed nothing: {answer}");
            }
            arns.extend(tasks.iter().filter_map(|t| t["taskArn"].as_str().map(str::to_owned)));
        }
        Ok(arns)
    }

    /// Until all of them have this status.
    pub fn reach(&mut self, arns: &[String], status: &str) -> Result<()> {
        let mut left = arns.to_vec();
        self.wait(status, |plane| {
            let asked: Vec<String> = left.iter().take(100).cloned().collect();
            let found = plane.ecs("DescribeTasks", &json!({ "tasks": asked }))?;
            for task in found["tasks"].as_array().context("tasks")? {
                let last = task["lastStatus"].as_str().unwrap_or_default();
                if last == "STOPPED" && status != last {
                    let reason = &task["containers"][0]["reason"];
                    bail!("a task stopped: {}, its container: {reason}", task["stoppedReason"]);
                }
                if last == status {
                    left.retain(|arn| *arn != task["taskArn"]);
                }
            }
            Ok(left.is_empty().then_some(()))
        })
    }

    /// How many of them have this status now.
    pub fn count(&mut self, arns: &[String], status: &str) -> Result<usize> {
        let mut count = 0;
        for some in arns.chunks(100) {
            let found = self.ecs("DescribeTasks", &json!({ "tasks": some }))?;
            let tasks = found["tasks"].as_array().context("tasks")?;
            count += tasks.iter().filter(|task| task["lastStatus"] == status).count();
        }
        Ok(count)
    }

    /// Agents are `wharf agent`, shims `wharf shim`; both name our folder.
    pub fn parts(&self, kind: &str) -> Vec<Part> {
        let dir = self.dir.to_string_lossy().into_owned();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words: Vec<String> =
                line.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
            if words.get(1).is_some_and(|word| word == kind)
                && words.iter().any(|word| word.starts_with(&dir))
            {
                found.push(Part { pid, words });
            }
        }
        found
    }

    pub fn server_pid(&self) -> Option<u32> {
        self.server.as_ref().map(|server| server.child.id())
    }

    /// The server's whole process group is gone in an instant.
    pub fn kill(&mut self) -> Result<()> {
        let mut server = self.server.take().context("the server runs")?;
        crate::process::signal_group(server.child.id(), "KILL")?;
        server.child.wait()?;
        Ok(())
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = crate::process::signal(server.child.id(), "TERM");
            let _ = server.child.wait();
        }
        let _ = self.command(&["clean", "--data-dir"]).arg(&self.dir).output();
    }
}

/// A whole answer with `Content-Length` or in chunks.
pub fn read_answer(stream: &mut impl Read) -> Result<(u16, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut more = |bytes: &mut Vec<u8>| -> Result<()> {
        match stream.read(&mut buffer)? {
            0 => bail!("the server hung up"),
            n => bytes.extend_from_slice(&buffer[..n]),
        }
        Ok(())
    };
    let head = loop {
        match memchr::memmem::find(&bytes, b"\r\n\r\n") {
            Some(end) => break end + 4,
            None => more(&mut bytes)?,
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).context("a status")?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if let Some(length) = field("content-length:") {
        let length: usize = length.parse()?;
        while bytes.len() < head + length {
            more(&mut bytes)?;
        }
        return Ok((status, bytes[head..head + length].to_vec()));
    }
    if field("transfer-encoding:") != Some("chunked") {
        return Ok((status, Vec::new()));
    }
    let (mut body, mut at) = (Vec::new(), head);
    loop {
        let line = loop {
            match memchr::memmem::find(&bytes[at..], b"\r\n") {
                Some(end) => break at + end,
                None => more(&mut bytes)?,
            }
        };
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..line])?.trim(), 16)?;
        while bytes.len() < line + 2 + size + 2 {
            more(&mut bytes)?;
        }
        body.extend_from_slice(&bytes[line + 2..line + 2 + size]);
        at = line + 2 + size + 2;
        if size == 0 {
            return Ok((status, body));
        }
    }
}
