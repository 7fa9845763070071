//! A further process in a running container: the engine enters it, this process waits for its end.
//! Its input and output are those of this process; a terminal's master goes to the agent.

use std::fs::File;
use std::io::{IoSlice, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use super::Arguments;
use super::engine::{Console, Ends, Report, Stdio3};
use super::serve::short_path;
use crate::bundle;
use crate::cgroups::Group;
use crate::error::{Error, Result};
use crate::inroot::Root;
use crate::record::{self, Answer, Process, ShimRecord};
use crate::spec::{ContainerSpec, ExecSpec, ProcessSpec};
use crate::users;

pub fn run(arguments: &Arguments, name: &str) -> Result<()> {
    let dir = &arguments.dir;
    let folder = File::open(&dir.0).map_err(Error::file("cannot open", &dir.0))?;
    let stream = UnixStream::connect(short_path(&folder, &format!("{name}.sock")))
        .map_err(Error::file("cannot reach the agent by", &dir.0))?;
    match start(arguments, name, &stream) {
        Ok(pid) => {
            let code = wait_for_agent(pid, &stream);
            say(&stream, &Answer::Exited { code }, None)
        }
        Err(error) => say(&stream, &Answer::failed(&error), None),
    }
}

fn start(arguments: &Arguments, name: &str, stream: &UnixStream) -> Result<u32> {
    let dir = &arguments.dir;
    let given = dir.0.join(format!("{name}.json"));
    let wanted: ExecSpec =
        record::read(&given)?.ok_or_else(|| Error::NotFound(given.display().to_string()))?;
    let spec: ContainerSpec =
        record::read(&dir.spec())?.ok_or_else(|| Error::NotFound(dir.0.display().to_string()))?;
    let record: Option<ShimRecord> = record::read(&dir.shim())?;
    let container = record
        .and_then(|record| record.container.filter(|_| record.started_at.is_some()))
        .filter(Process::alive)
        .ok_or_else(|| Error::NotRunning(spec.id.clone()))?;
    rustix::process::setsid().map_err(|e| Error::system("setsid")(e.into()))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|e| Error::system("become a subreaper")(e.into()))?;
    if !arguments.group.is_empty() {
        Group::new(&arguments.group)?.add(std::process::id())?;
    }
    let process = merged(&spec.process, &wanted.process);
    let root = PathBuf::from(format!("/proc/{}/root", container.pid));
    let opened = Root::open(&root).map_err(Error::file("cannot open", &root))?;
    let identity = users::resolve_in(&opened, process.user.as_deref(), &[])?;
    let flavour = arguments.engine.flavour();
    let mut document = bundle::process(&spec, &process, &identity, flavour)?;
    if let (Some((rows, columns)), true) = (wanted.size, process.tty) {
        document["consoleSize"] = serde_json::json!({ "height": rows, "width": columns });
    }
    let path = dir.0.join(format!("{name}.process"));
    record::write(&path, &document)?;
    let mut report = Report::new()?;
    let console = if process.tty { Some(Console::listen(dir, name)?) } else { None };
    let stdio = match &console {
        Some(console) => Stdio3::Terminal(console.path.clone()),
        None => Stdio3::Pipes(Ends {
            stdin: own(std::io::stdin().as_fd())?,
            stdout: own(std::io::stdout().as_fd())?,
            stderr: own(std::io::stderr().as_fd())?,
        }),
    };
    let pid = arguments.engine.exec(dir, &spec, &path, &identity, (stdio, &mut report))?;
    let master = console.map(Console::receive).transpose()?;
    let text = failure(&report);
    if !text.is_empty() {
        wait(pid);
        return Err(Error::Start(text));
    }
    let at = record::now();
    say(stream, &Answer::Started { pid, at }, master)?;
    let_go()?;
    Ok(pid)
}

fn own(fd: std::os::fd::BorrowedFd<'_>) -> Result<OwnedFd> {
    fd.try_clone_to_owned().map_err(Error::system("duplicate a descriptor"))
}

/// Wait for the exec to have happened or failed.
fn failure(report: &Report) -> String {
    use rustix::event::{PollFd, PollFlags, poll};
    loop {
        let mut fds = [PollFd::new(&report.reader, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            _ => return report.text(),
        }
    }
}

/// The agent shall see the end of the process's output, not of this one's.
fn let_go() -> Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null");
    let null = null.map_err(Error::file("cannot open", "/dev/null".as_ref()))?;
    let done = rustix::stdio::dup2_stdin(&null)
        .and_then(|()| rustix::stdio::dup2_stdout(&null))
        .and_then(|()| rustix::stdio::dup2_stderr(&null));
    done.map_err(|errno| Error::system("let go of standard output")(errno.into()))
}

/// An exec has the container's environment, user and folder unless it says otherwise.
fn merged(container: &ProcessSpec, exec: &ProcessSpec) -> ProcessSpec {
    let name = |pair: &str| pair.split('=').next().unwrap_or("").to_owned();
    let given: Vec<String> = exec.env.iter().map(|pair| name(pair)).collect();
    let kept = container.env.iter().filter(|pair| !given.contains(&name(pair)));
    ProcessSpec {
        args: exec.args.clone(),
        env: kept.chain(&exec.env).cloned().collect(),
        cwd: exec.cwd.clone().or_else(|| container.cwd.clone()),
        user: exec.user.clone().or_else(|| container.user.clone()),
        tty: exec.tty,
        stdin: exec.stdin,
    }
}

/// Wait for its end. It is the agent's: it ends with whoever wanted it, and is not left behind by an
/// agent that was killed.
fn wait_for_agent(pid: u32, stream: &UnixStream) -> i32 {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
    let process = Pid::from_raw(pid.cast_signed());
    let Some((process, ends)) =
        process.and_then(|process| Some((process, pidfd_open(process, PidfdFlags::empty()).ok()?)))
    else {
        return wait(pid);
    };
    loop {
        let mut fds = [
            PollFd::new(&ends, PollFlags::IN),
            // The agent says nothing more: whatever comes is its end.
            PollFd::new(stream, PollFlags::IN | PollFlags::RDHUP),
        ];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return wait(pid),
            Ok(_) if !fds[0].revents().is_empty() => return wait(pid),
            Ok(_) => {
                let _ = kill_process(process, Signal::KILL);
                return wait(pid);
            }
        }
    }
}

fn wait(pid: u32) -> i32 {
    let pid = Pid::from_raw(pid.cast_signed());
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, code)) => return code,
            Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + signal as i32,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return 255,
        }
    }
}

fn say(mut stream: &UnixStream, answer: &Answer, fd: Option<OwnedFd>) -> Result<()> {
    let mut line = serde_json::to_vec(answer).map_err(|e| Error::Start(e.to_string()))?;
    line.push(b'\n');
    let Some(fd) = fd else {
        // An agent that has gone needs no answer.
        let _ = stream.write_all(&line);
        return Ok(());
    };
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let parts = [IoSlice::new(&line)];
    rustix::net::sendmsg(stream, &parts, &mut control, SendFlags::empty())
        .map(|_| ())
        .map_err(|errno| Error::system("hand over a terminal")(errno.into()))
}
