//! A shim's life once its container exists: move output to disk, start it when asked, see it end.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use super::Arguments;
use super::engine::{Console, Ends, Report, Stdio3, pipe};
use super::output::Output;
use crate::cgroups::Group;
use crate::error::{Error, Result};
use crate::record::{self, Answer, Dir, ShimRecord};
use crate::spec::ContainerSpec;
use crate::{Exit, Stream};

const CHUNK: usize = 64 << 10;
/// While a container waits for its reader, this is how often its acknowledgement is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// After the end, a reader that acknowledges nothing for so long is taken for gone.
const READER_PATIENCE: Duration = Duration::from_secs(60);

pub struct Watched {
    output: Output,
    /// Read ends, by stream; a terminal is in the first place alone.
    reads: [Option<OwnedFd>; 2],
    ends: Option<Ends>,
    console: Option<Console>,
    /// Held open and silent: a container that reads its input waits.
    _stdin: Option<OwnedFd>,
    report: Report,
    signals: SignalFd,
    listener: UnixListener,
    /// Who has asked for the start and waits for the answer.
    asking: Option<UnixStream>,
    full: bool,
}

/// A socket's path through a descriptor of its folder, for folders with long names.
pub fn short_path(dir: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
}

impl Watched {
    /// Everything that the container will be connected to.
    pub fn begin(dir: &Dir, spec: &ContainerSpec) -> Result<Self> {
        let log = spec.stdio.log.as_ref().map_or_else(|| dir.log(), |files| files.dir.clone());
        let output = Output::open(&log, spec.stdio.limits)?;
        let folder = File::open(&dir.0).map_err(Error::file("cannot open", &dir.0))?;
        let listener = UnixListener::bind(short_path(&folder, "shim.sock"))
            .map_err(Error::file("cannot listen in", &dir.0))?;
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            mask.add(signal);
        }
        let signals = mask
            .thread_block()
            .and_then(|()| {
                SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            })
            .map_err(|errno| Error::system("a signal descriptor")(errno.into()))?;
        let mut watched = Self {
            output,
            reads: [None, None],
            ends: None,
            console: None,
            _stdin: None,
            report: Report::new()?,
            signals,
            listener,
            asking: None,
            full: false,
        };
        if spec.process.tty {
            watched.console = Some(Console::listen(dir, "main")?);
        } else {
            watched.connect(spec)?;
        }
        Ok(watched)
    }

    fn connect(&mut self, spec: &ContainerSpec) -> Result<()> {
        let (out_read, stdout) = pipe()?;
        let (err_read, stderr) = pipe()?;
        let stdin = if spec.process.stdin {
            let (read, write) = pipe()?;
            self._stdin = Some(write);
            read
        } else {
            File::open("/dev/null")
                .map_err(Error::file("cannot open", "/dev/null".as_ref()))?
                .into()
        };
        for fd in [&out_read, &err_read] {
            let _ = rustix::io::ioctl_fionbio(fd, true);
        }
        self.reads = [Some(out_read), Some(err_read)];
        self.ends = Some(Ends { stdin, stdout, stderr });
        Ok(())
    }

    pub fn stdio(&mut self) -> Result<(Stdio3, &mut Report)> {
        let stdio = match (&self.console, self.ends.take()) {
            (Some(console), _) => Stdio3::Terminal(console.path.clone()),
            (None, Some(ends)) => Stdio3::Pipes(ends),
            (None, None) => return Err(Error::Start("its output was taken twice".into())),
        };
        Ok((stdio, &mut self.report))
    }

    pub fn serve(
        mut self,
        arguments: &Arguments,
        spec: &ContainerSpec,
        mut record: ShimRecord,
        group: &Group,
    ) -> Result<()> {
        arguments.dir.reserve_exit();
        if let Some(console) = self.console.take() {
            let master = console.receive()?;
            let _ = rustix::io::ioctl_fionbio(&master, true);
            self.reads[0] = Some(master);
        }
        let status = loop {
            let ready = self.wait(None)?;
            if ready.output {
                self.pump();
            }
            if ready.asked {
                self.hear(arguments, spec, &mut record);
            }
            if ready.reported {
                self.started(arguments, &mut record);
            }
            if ready.signalled
                && let Some(status) = self.reap(record.container.map_or(0, |c| c.pid))
            {
                break status;
            }
        };
        self.ended(arguments, record, group, status)
    }

    /// Wait for anything; which of it there is.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<Ready> {
        let timeout = if self.full { Some(LOOK_AGAIN) } else { timeout };
        let mut fds: Vec<(Source, BorrowedFd<'_>)> =
            vec![(Source::Signal, self.signals.as_fd()), (Source::Asked, self.listener.as_fd())];
        if self.asking.is_some() {
            fds.push((Source::Report, self.report.reader.as_fd()));
        }
        if !self.full {
            fds.extend(self.reads.iter().flatten().map(|fd| (Source::Output, fd.as_fd())));
        }
        let mut polled: Vec<PollFd<'_>> =
            fds.iter().map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::system("poll")(errno.into())),
        }
        let mut ready = Ready { output: self.full, ..Ready::default() };
        for ((source, _), polled) in fds.iter().zip(&polled) {
            if polled.revents().is_empty() {
                continue;
            }
            match source {
                Source::Signal => ready.signalled = true,
                Source::Asked => ready.asked = true,
                Source::Report => ready.reported = true,
                Source::Output => ready.output = true,
            }
        }
        Ok(ready)
    }

    /// Move what is there, a chunk of each stream; false where nothing came.
    fn pump(&mut self) -> bool {
        self.full = !self.output.flush();
        if self.full {
            return false;
        }
        let mut buffer = [0u8; CHUNK];
        let mut moved = false;
        for (index, stream) in [Stream::Stdout, Stream::Stderr].into_iter().enumerate() {
            let Some(fd) = &self.reads[index] else { continue };
            match rustix::io::read(fd, &mut buffer) {
                Ok(0) => self.reads[index] = None,
                Ok(read) => {
                    self.output.take(stream, &buffer[..read]);
                    moved = true;
                }
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                // A terminal that nobody has open any more answers EIO.
                Err(_) => self.reads[index] = None,
            }
        }
        self.full = !self.output.flush();
        moved
    }

    /// All that the ended container has said, its begun lines included; whether some is left over
    /// because the files are full.
    fn drain(&mut self) -> bool {
        while self.pump() {}
        if !self.full {
            self.output.end();
            self.full = !self.output.flush();
        }
        self.full
    }

    fn hear(&mut self, arguments: &Arguments, spec: &ContainerSpec, record: &mut ShimRecord) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let _ = stream.set_write_timeout(Some(Duration::from_secs(1)));
        let mut line = String::new();
        if BufReader::new(&stream).take(256).read_line(&mut line).is_err() {
            return;
        }
        match line.trim() {
            "start" if record.started_at.is_none() && self.asking.is_none() => {
                match arguments.engine.start(&arguments.dir, spec) {
                    Ok(()) => self.asking = Some(stream),
                    Err(error) => reply(&stream, &Answer::failed(&error)),
                }
            }
            "start" => match (record.started_at, record.container) {
                // Asked by an agent that was killed before it had written down the answer.
                (Some(at), Some(container)) => {
                    reply(&stream, &Answer::Started { pid: container.pid, at });
                }
                _ => {
                    let text = "the container is being started".to_owned();
                    reply(&stream, &Answer::Failed { create: false, text });
                }
            },
            _ => reply(&stream, &Answer::Done),
        }
    }

    /// The engine has answered the start: by silence and the end of the pipe, or with a reason.
    fn started(&mut self, arguments: &Arguments, record: &mut ShimRecord) {
        let text = self.report.text();
        let Some(stream) = self.asking.take() else { return };
        let pid = record.container.map_or(0, |container| container.pid);
        if text.is_empty() {
            let at = record::now();
            record.started_at = Some(at);
            let _ = record::write(&arguments.dir.shim(), record);
            reply(&stream, &Answer::Started { pid, at });
            super::rest::give_back();
        } else {
            record.failure = Some(text.clone());
            let text = format!("failed to create task for container: {text}");
            reply(&stream, &Answer::Failed { create: false, text });
        }
    }

    /// Reap all that have ended; the container's own end, if it is among them.
    fn reap(&mut self, container: u32) -> Option<WaitStatus> {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        let mut ended = None;
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(_) => return ended,
                Ok(status) => {
                    if status.pid().is_some_and(|pid| pid.as_raw().cast_unsigned() == container)
                        && matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..))
                    {
                        ended = Some(status);
                    }
                }
            }
        }
    }

    fn ended(
        mut self,
        arguments: &Arguments,
        mut record: ShimRecord,
        group: &Group,
        status: WaitStatus,
    ) -> Result<()> {
        let finished_at = record::now();
        if self.asking.is_some() {
            self.started(arguments, &mut record);
        }
        // What it left behind (a shared pid namespace, an exec) ends with it.
        let killed = group.kill();
        let mut rest = self.drain();
        let (code, signal) = match status {
            WaitStatus::Exited(_, code) => (code, None),
            WaitStatus::Signaled(_, signal, _) => (128 + signal as i32, Some(signal as i32)),
            _ => (255, None),
        };
        let exit = Exit {
            code: Some(code),
            signal,
            oom_killed: group.oom_kills() > 0,
            started_at: record.started_at,
            finished_at,
            reason: record.failure.take(),
        };
        arguments.dir.record_exit(&exit)?;
        let removed = killed.and_then(|()| group.remove());
        // The rest of the output belongs to a slow reader, who gets his time.
        let mut patience = Instant::now();
        let mut place = self.output.acknowledged();
        while rest && patience.elapsed() < READER_PATIENCE {
            self.wait(None)?;
            self.reap(0);
            rest = self.drain();
            let now = self.output.acknowledged();
            if now != place {
                (place, patience) = (now, Instant::now());
            }
        }
        self.output.close();
        removed
    }
}

fn reply(mut stream: &UnixStream, answer: &Answer) {
    if let Ok(mut line) = serde_json::to_vec(answer) {
        line.push(b'\n');
        let _ = stream.write_all(&line);
    }
}

#[derive(Clone, Copy)]
enum Source {
    Signal,
    Asked,
    Report,
    Output,
}

#[derive(Default)]
struct Ready {
    signalled: bool,
    asked: bool,
    reported: bool,
    output: bool,
}
