//! Who does the kernel's part: libcontainer inside this process, or runc. Both read the same bundle.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::sys::signal::SigSet;
use rustix::fs::{Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};

use super::launch::Launch;
use crate::bundle::Flavour;
use crate::error::{Error, Result, reason};
use crate::record::Dir;
use crate::spec::ContainerSpec;
use crate::users::Identity;

/// What a message from the kernel's side is cut to.
const TEXT_LIMIT: u64 = 4096;

pub enum Engine {
    Embedded,
    Runc(PathBuf),
}

/// The container's ends of its input and output.
pub struct Ends {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

pub enum Stdio3 {
    Pipes(Ends),
    /// The engine makes a terminal and sends its master to this socket.
    Terminal(PathBuf),
}

/// A failed exec's words arrive here; nothing and the end mean success.
pub struct Report {
    pub reader: OwnedFd,
    pub writer: Option<OwnedFd>,
}

pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|errno| Error::system("a pipe")(errno.into()))
}

impl Report {
    pub fn new() -> Result<Self> {
        let (reader, writer) = pipe()?;
        Ok(Self { reader, writer: Some(writer) })
    }

    /// What is there now.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        let _ = rustix::io::ioctl_fionbio(&self.reader, true);
        if let Ok(fd) = self.reader.try_clone() {
            let _ = File::from(fd).take(TEXT_LIMIT).read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn start_failed(text: impl std::fmt::Display) -> Error {
    Error::Start(format!("failed to create task for container: {text}"))
}

impl Engine {
    pub fn flavour(&self) -> Flavour {
        match self {
            Engine::Embedded => Flavour::Embedded,
            Engine::Runc(_) => Flavour::Runc,
        }
    }

    /// The container exists afterwards and waits.
    pub fn create(
        &self,
        dir: &Dir,
        spec: &ContainerSpec,
        identity: &Identity,
        (stdio, report): (Stdio3, &mut Report),
    ) -> Result<u32> {
        match self {
            Engine::Embedded => {
                let writer = report.writer.take().ok_or_else(|| start_failed("used twice"))?;
                let launch = Launch::new(spec, identity, spec.init, writer)?;
                let builder = builder(dir, spec, launch, stdio)?;
                let container = builder
                    .as_init(dir.bundle())
                    .with_systemd(false)
                    .build()
                    .map_err(|error| start_failed(told(dir, report, &error)))?;
                let pid = container.pid().map_or(0, |pid| pid.as_raw());
                u32::try_from(pid).map_err(|_| start_failed("no process"))
            }
            Engine::Runc(program) => {
                report.writer = None;
                runc_create(program, dir, spec, stdio)
            }
        }
    }

    /// Let it go on; whether the program could be executed comes by the report.
    pub fn start(&self, dir: &Dir, spec: &ContainerSpec) -> Result<()> {
        match self {
            Engine::Embedded => {
                let path = dir.engine().join(&spec.id);
                let mut container = Container::load(path).map_err(start_failed)?;
                container.start().map_err(start_failed)
            }
            Engine::Runc(program) => {
                runc(program, dir, &["start".into(), spec.id.clone().into()], None)
            }
        }
    }

    /// A further process; its pid.
    pub fn exec(
        &self,
        dir: &Dir,
        spec: &ContainerSpec,
        process: &Path,
        identity: &Identity,
        (stdio, report): (Stdio3, &mut Report),
    ) -> Result<u32> {
        match self {
            Engine::Embedded => {
                let writer = report.writer.take().ok_or_else(|| start_failed("used twice"))?;
                let launch = Launch::new(spec, identity, false, writer)?;
                let pid = builder(dir, spec, launch, stdio)?
                    .as_tenant()
                    .with_process(Some(process))
                    .with_detach(true)
                    .build()
                    .map_err(|error| Error::Start(told(dir, report, &error)))?;
                u32::try_from(pid.as_raw()).map_err(|_| start_failed("no process"))
            }
            Engine::Runc(program) => {
                report.writer = None;
                let file = process.with_extension("pid");
                let mut words: Vec<OsString> = vec!["exec".into(), "--detach".into()];
                words.extend(["--process".into(), process.into()]);
                words.extend(["--pid-file".into(), file.clone().into()]);
                run_with(program, dir, words, &spec.id, stdio)?;
                read_pid(&file)
            }
        }
    }
}

fn builder(
    dir: &Dir,
    spec: &ContainerSpec,
    launch: Launch,
    stdio: Stdio3,
) -> Result<ContainerBuilder> {
    let builder = ContainerBuilder::new(spec.id.clone(), SyscallType::default())
        .with_executor(launch)
        .with_root_path(dir.engine())
        .map_err(start_failed)?;
    Ok(match stdio {
        Stdio3::Pipes(ends) => {
            builder.with_stdin(ends.stdin).with_stdout(ends.stdout).with_stderr(ends.stderr)
        }
        Stdio3::Terminal(socket) => builder.with_console_socket(Some(socket)),
    })
}

/// Our own words from inside the container are better than the library's from outside.
fn told(dir: &Dir, report: &Report, error: &(dyn std::error::Error + 'static)) -> String {
    let text = report.text();
    if !text.is_empty() {
        return text;
    }
    // The library's errors end where the process that failed is another one; its log has the cause.
    let mut log = String::new();
    if let Ok(file) = File::open(dir.messages()) {
        let _ = file.take(TEXT_LIMIT).read_to_string(&mut log);
    }
    let first = log.lines().find_map(|line| line.split_once("ERROR ").map(|(_, rest)| rest.trim()));
    match first {
        Some(first) => format!("{}: {first}", reason(error)),
        None => reason(error),
    }
}

fn runc_create(program: &Path, dir: &Dir, spec: &ContainerSpec, stdio: Stdio3) -> Result<u32> {
    let file = dir.0.join("runc.pid");
    let mut words: Vec<OsString> = vec!["create".into()];
    words.extend(["--bundle".into(), dir.bundle().into()]);
    words.extend(["--pid-file".into(), file.clone().into()]);
    run_with(program, dir, words, &spec.id, stdio)?;
    read_pid(&file)
}

fn run_with(
    program: &Path,
    dir: &Dir,
    mut words: Vec<OsString>,
    id: &str,
    stdio: Stdio3,
) -> Result<()> {
    let ends = match stdio {
        Stdio3::Pipes(ends) => Some(ends),
        Stdio3::Terminal(socket) => {
            words.extend(["--console-socket".into(), socket.into()]);
            None
        }
    };
    words.push(id.into());
    runc(program, dir, &words, ends)
}

fn read_pid(file: &Path) -> Result<u32> {
    let text = std::fs::read_to_string(file).map_err(Error::file("cannot read", file))?;
    text.trim().parse().map_err(|_| start_failed(format!("runc wrote the pid {text:?}")))
}

/// runc's own messages go to a log file; the last error in it is the reason.
fn runc(program: &Path, dir: &Dir, words: &[OsString], ends: Option<Ends>) -> Result<()> {
    let log = dir.0.join("runc.log");
    let mut command = Command::new(program);
    command.arg("--root").arg(dir.engine());
    command.arg("--log").arg(&log).args(["--log-format", "json"]).args(words);
    match ends {
        Some(ends) => {
            command.stdin(ends.stdin).stdout(ends.stdout).stderr(ends.stderr);
        }
        None => {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        }
    }
    // A blocked signal would stay blocked in the container.
    let mask = SigSet::thread_get_mask().unwrap_or_else(|_| SigSet::empty());
    let _ = SigSet::empty().thread_set_mask();
    let spawned = command.spawn();
    let _ = mask.thread_set_mask();
    let mut child = spawned.map_err(Error::file("cannot run", program))?;
    // Its copies of the container's ends are closed with it.
    drop(command);
    let status = child.wait().map_err(Error::file("cannot wait for", program))?;
    if status.success() {
        return Ok(());
    }
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let last = text.lines().rev().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line["level"] == "error").then(|| line["msg"].as_str().map(str::to_owned))?
    });
    let text = last.unwrap_or_else(|| format!("runc: {status}"));
    Err(start_failed(format!("OCI runtime create failed: {text}")))
}

/// A socket on which an engine hands over the master of a terminal.
pub struct Console {
    listener: OwnedFd,
    pub path: PathBuf,
    /// What the path leads through.
    _dir: OwnedFd,
}

impl Console {
    /// A socket's path is 108 bytes at most, wherever the container's folder may be: the way to it
    /// leads through this process's descriptors.
    pub fn listen(dir: &Dir, name: &str) -> Result<Self> {
        let system = |errno: rustix::io::Errno| Error::system("a console socket")(errno.into());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&dir.0, flags, Mode::empty()).map_err(system)?;
        let (pid, fd) = (std::process::id(), folder.as_raw_fd());
        let path = PathBuf::from(format!("/proc/{pid}/fd/{fd}/{name}.console"));
        let listener = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(system)?;
        let address = SocketAddrUnix::new(&path).map_err(system)?;
        rustix::net::bind(&listener, &address).map_err(system)?;
        rustix::net::listen(&listener, 1).map_err(system)?;
        Ok(Self { listener, path, _dir: folder })
    }

    pub fn receive(self) -> Result<OwnedFd> {
        let system = |errno: rustix::io::Errno| Error::system("a terminal's master")(errno.into());
        let stream =
            rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC).map_err(system)?;
        let _ = std::fs::remove_file(&self.path);
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; 256];
        let mut parts = [std::io::IoSliceMut::new(&mut bytes)];
        rustix::net::recvmsg(stream.as_fd(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
            .map_err(system)?;
        control
            .drain()
            .find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
                _ => None,
            })
            .ok_or_else(|| start_failed("the engine sent no terminal"))
    }
}
