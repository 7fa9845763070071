//! The command of a session: found, started in its container, and followed to its end.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aws_agent::acs::Exec as Asked;
use aws_agent::channel::Size;
use host_runtime::{Exec, ExecControl, ExecSpec, ProcessSpec, reason};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::engine::Phase;
use crate::tasks::Tasks;

/// A container's kernel gives a command its process at once, or something is wrong.
const START: Duration = Duration::from_secs(30);
/// Others may hold a command's output open after its end; so long it may be quiet before it counts
/// as complete.
const QUIET: Duration = Duration::from_millis(500);
/// How long a command may take to end when it is told to.
const HANG_UP: Duration = Duration::from_secs(2);
/// Pieces of input that wait for the command.
const INPUT: usize = 16;
/// As much as the channel carries at once, a few times.
const PIECE: usize = 8 << 10;

const SIGHUP: i32 = 1;
const SIGKILL: i32 = 9;

/// What is to be run, and where.
pub struct Target {
    tasks: Arc<Tasks>,
    task: String,
    container: String,
    command: String,
}

/// Why there is no command, and the code that a shell would give.
#[derive(Debug)]
pub struct NotStarted {
    pub text: String,
    pub code: i32,
}

fn not_started(text: impl Into<String>) -> NotStarted {
    let text = text.into();
    let missing = ["no such file", "not found"].iter().any(|words| text.contains(words));
    NotStarted { text, code: if missing { 127 } else { 126 } }
}

impl Target {
    pub fn new(tasks: Arc<Tasks>, asked: &Asked) -> Target {
        Target {
            tasks,
            task: asked.task_arn.clone(),
            container: asked.container_name.clone(),
            command: asked.command.clone(),
        }
    }

    /// The container's id, if it runs.
    fn find(&self) -> Option<String> {
        let live = self.tasks.find(&self.task)?;
        let all = &live.given.task.containers;
        let part = all.iter().position(|container| container.name == self.container)?;
        let state = live.state.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = state.parts.get(part).is_some_and(|seen| seen.phase == Phase::Running);
        runs.then(|| live.given.container_id(part))
    }

    /// Start it; `size` is its terminal's, where it has one.
    pub async fn start(&self, size: Option<Option<Size>>) -> Result<Command, NotStarted> {
        let args = words(&self.command).map_err(not_started)?;
        let id = self.find().ok_or_else(|| not_started("the container does not run"))?;
        let runtime = &self.tasks.driver.runtime;
        let state = runtime.state(&id).await.map_err(|error| not_started(reason(&error)))?;
        let env = state.spec.map(|spec| spec.process.env).unwrap_or_default();
        let process = ProcessSpec {
            args,
            env: environment(&env, size.is_some()),
            // AWS: commands run as root, whoever the container's own user is.
            user: Some("0".to_owned()),
            tty: size.is_some(),
            stdin: true,
            ..ProcessSpec::default()
        };
        let size = size.flatten().map(|size| dimensions(&size));
        let spec = ExecSpec { process, size };
        match timeout(START, runtime.exec(&id, &spec)).await {
            Ok(Ok(exec)) => Ok(Command::new(exec)),
            Ok(Err(error)) => Err(not_started(reason(&error))),
            Err(_) => Err(not_started("it did not start in time")),
        }
    }
}

/// AWS: the command is cut into words as a shell would, and nothing else of a shell is there.
fn words(command: &str) -> Result<Vec<String>, String> {
    match shlex::split(command) {
        // AWS: without a command there is a shell.
        Some(words) if words.is_empty() => Ok(vec!["sh".to_owned()]),
        Some(words) => Ok(words),
        None => Err(format!("Failed to parse commands input: {command}")),
    }
}

/// AWS: a terminal is always that kind, and the language is set where the container's is not.
fn environment(container: &[String], terminal: bool) -> Vec<String> {
    let mut own = Vec::new();
    if terminal {
        own.push("TERM=xterm-256color".to_owned());
    }
    if !container.iter().any(|pair| pair.starts_with("LANG=")) {
        own.push("LANG=C.UTF-8".to_owned());
    }
    own
}

fn dimensions(size: &Size) -> (u16, u16) {
    let short = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    (short(size.rows), short(size.cols))
}

/// What a command is given to read.
pub enum Input {
    Bytes(Vec<u8>),
    End,
}

/// What a command does.
pub enum Step {
    Output(Vec<u8>),
    ErrorOutput(Vec<u8>),
    /// It has ended, and all that it wrote is told.
    Ended(i32),
}

type Reader = Box<dyn AsyncRead + Send + Unpin>;

pub struct Command {
    stdout: Option<Reader>,
    stderr: Option<Reader>,
    control: Box<dyn ExecControl>,
    /// Closed when the command reads no more.
    pub input: mpsc::Sender<Input>,
    code: Option<i32>,
    /// When it last wrote something, or ended.
    last: Instant,
}

impl Command {
    fn new(exec: Exec) -> Command {
        let (input, given) = mpsc::channel(INPUT);
        if let Some(stdin) = exec.stdin {
            tokio::spawn(feed(stdin, given));
        }
        Command {
            stdout: Some(exec.stdout),
            stderr: exec.stderr,
            control: exec.control,
            input,
            code: None,
            last: Instant::now(),
        }
    }

    /// What it does next. Nothing is lost where the wait is given up; output is read only where there
    /// is `room` for it.
    pub async fn next(&mut self, room: bool) -> Step {
        let (mut out, mut err) = ([0; PIECE], [0; PIECE]);
        loop {
            let code = match (self.code, &self.stdout, &self.stderr) {
                (Some(code), None, None) => return Step::Ended(code),
                (code, ..) => code,
            };
            tokio::select! {
                biased;
                read = read(&mut self.stdout, &mut out), if room && self.stdout.is_some() => {
                    self.last = Instant::now();
                    match read {
                        Some(count) => return Step::Output(out[..count].to_vec()),
                        None => self.stdout = None,
                    }
                }
                read = read(&mut self.stderr, &mut err), if room && self.stderr.is_some() => {
                    self.last = Instant::now();
                    match read {
                        Some(count) => return Step::ErrorOutput(err[..count].to_vec()),
                        None => self.stderr = None,
                    }
                }
                ended = self.control.wait(), if code.is_none() => {
                    // What nobody saw the end of counts as killed.
                    self.code = Some(ended.unwrap_or(137));
                    self.last = Instant::now();
                }
                () = sleep_until(self.last + QUIET), if code.is_some() && room => {
                    (self.stdout, self.stderr) = (None, None);
                }
                // Without room there is nothing to wait for but room, and the caller knows of it.
                else => std::future::pending().await,
            }
        }
    }

    pub async fn resize(&mut self, size: &Size) {
        let (rows, columns) = dimensions(size);
        if let Err(error) = self.control.resize(rows, columns).await {
            tracing::debug!("a terminal's size was not set: {error}");
        }
    }

    /// Nobody is there any more who could see it end.
    pub async fn hang_up(mut self) {
        // Dropped with the terminal's last reader, the terminal hangs up on the rest of the session.
        (self.stdout, self.stderr) = (None, None);
        for signal in [SIGHUP, SIGKILL] {
            if self.code.is_some() {
                return;
            }
            let _ = self.control.signal(signal).await;
            let ended = timeout(HANG_UP, self.control.wait()).await;
            self.code = ended.ok().map(|code| code.unwrap_or(137));
        }
    }
}

/// The count that was read; `None` at the end.
async fn read(from: &mut Option<Reader>, into: &mut [u8]) -> Option<usize> {
    match from.as_mut()?.read(into).await {
        Ok(0) | Err(_) => None,
        Ok(count) => Some(count),
    }
}

async fn feed(mut stdin: Box<dyn AsyncWrite + Send + Unpin>, mut given: mpsc::Receiver<Input>) {
    while let Some(Input::Bytes(bytes)) = given.recv().await {
        if stdin.write_all(&bytes).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
    let _ = stdin.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_words_and_no_shell() {
        let cut = |text: &str| words(text).unwrap();
        assert_eq!(cut("/bin/sh"), ["/bin/sh"]);
        assert_eq!(cut("sh -c 'echo \"a b\" | wc -c'"), ["sh", "-c", "echo \"a b\" | wc -c"]);
        assert_eq!(cut("ls | wc"), ["ls", "|", "wc"]);
        assert_eq!(cut("  "), ["sh"]);
        assert!(words("sh -c 'open").unwrap_err().contains("parse"));
    }

    #[test]
    fn a_language_of_the_containers_own_stays() {
        assert_eq!(environment(&[], true), ["TERM=xterm-256color", "LANG=C.UTF-8"]);
        assert!(environment(&["LANG=de_DE.UTF-8".to_owned()], false).is_empty());
    }
}
