//! Docker as the measure: its command line for one container, its API with four threads for many.
//! The daemon is started by hand; this only speaks to its socket.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::plane::read_answer;

/// As a common client of the API does it.
const THREADS: usize = 4;
const IMAGE: &str = "wharf-bench-busybox:latest";

pub struct Docker {
    socket: PathBuf,
    command: Vec<String>,
}

impl Docker {
    pub fn new(socket: &Path, image: &Path, command: &[&str]) -> Result<Docker> {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let docker = Docker { socket: socket.to_owned(), command };
        let path = image.to_string_lossy();
        docker.line(&["import", &path, IMAGE])?;
        Ok(docker)
    }

    fn line(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        let done = command.args(words).stdin(Stdio::null()).output().context("start docker")?;
        if !done.status.success() {
            bail!("docker {}: {}", words.join(" "), String::from_utf8_lossy(&done.stderr));
        }
        Ok(String::from_utf8(done.stdout)?.trim().to_owned())
    }

    /// `docker run -d`, to its end.
    pub fn run_one(&self) -> Result<(Duration, String)> {
        let mut words = vec!["run", "-d", IMAGE];
        words.extend(self.command.iter().map(String::as_str));
        let begun = Instant::now();
        let id = self.line(&words)?;
        Ok((begun.elapsed(), id))
    }

    pub fn remove(&self, ids: &[String]) -> Result<()> {
        let mut words = vec!["rm", "-f"];
        words.extend(ids.iter().map(String::as_str));
        self.line(&words).map(drop)
    }

    fn call(stream: &mut UnixStream, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: docker\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        match read_answer(stream)? {
            (200..300, body) => Ok(serde_json::from_slice(&body).unwrap_or(Value::Null)),
            (status, body) => bail!("{path}: {status} {}", String::from_utf8_lossy(&body)),
        }
    }

    /// So many created and started by the API, four threads at a time.
    pub fn run_many(&self, count: usize) -> Result<(Duration, Vec<String>)> {
        let begun = Instant::now();
        let next = std::sync::atomic::AtomicUsize::new(0);
        let input = json!({ "Image": IMAGE, "Cmd": self.command });
        let one = || -> Result<Vec<String>> {
            let mut stream = UnixStream::connect(&self.socket)?;
            let mut ids = Vec::new();
            while next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < count {
                let made = Docker::call(&mut stream, "/containers/create", &input)?;
                let id = made["Id"].as_str().context("an id")?.to_owned();
                Docker::call(&mut stream, &format!("/containers/{id}/start"), &Value::Null)?;
                ids.push(id);
            }
            Ok(ids)
        };
        let all = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one)).collect();
            let ended = threads.into_iter().map(|thread| match thread.join() {
                Ok(ids) => ids,
                Err(_) => bail!("a thread panicked"),
            });
            ended.collect::<Result<Vec<_>>>()
        })?;
        Ok((begun.elapsed(), all.concat()))
    }

    pub fn forget(&self) {
        let _ = self.line(&["rmi", "-f", IMAGE]);
    }
}
