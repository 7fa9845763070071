//! The agent's side of `exec`: a socket to the process that enters the container, its pipes, and a
//! terminal's master where there is one.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::termios::Winsize;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{UnixListener, UnixStream};

use crate::error::{Error, Result};
use crate::record::{self, Answer, Dir, Process};
use crate::shim::short_path;
use crate::{Exec, ExecControl, ExecSpec};

/// An answer is a short line.
const ANSWER_LIMIT: usize = 64 << 10;

pub async fn start(
    mut command: tokio::process::Command,
    dir: &Dir,
    spec: &ExecSpec,
) -> Result<Exec> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("exec-{}-{count}", std::process::id());
    let _files = Files { dir: dir.clone(), name: name.clone() };
    record::write(&dir.0.join(format!("{name}.json")), spec)?;
    let folder = File::open(&dir.0).map_err(Error::file("cannot open", &dir.0))?;
    let listener = UnixListener::bind(short_path(&folder, &format!("{name}.sock")))
        .map_err(Error::file("cannot listen in", &dir.0))?;
    let pipes = !spec.process.tty;
    let piped = |on: bool| if on { Stdio::piped() } else { Stdio::null() };
    let mut child = command
        .args(["--exec", &name])
        .stdin(piped(pipes && spec.process.stdin))
        .stdout(piped(pipes))
        .stderr(piped(pipes))
        .spawn()
        .map_err(Error::system("start a shim"))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let stream = tokio::select! {
        accepted = listener.accept() => accepted.map_err(Error::system("hear from a shim"))?.0,
        ended = child.wait() => {
            let text = match ended {
                Ok(status) => format!("it ended with {status}"),
                Err(error) => error.to_string(),
            };
            return Err(Error::Shim { id: name, text });
        }
    };
    tokio::spawn(async move { child.wait().await });
    let mut answers = Answers { stream, buffer: Vec::new(), terminal: None };
    let pid = match answers.next().await? {
        Answer::Started { pid, .. } => pid,
        Answer::Failed { create, text } => return Err(Answer::error(create, text)),
        _ => return Err(Error::Shim { id: name, text: "an answer out of order".into() }),
    };
    let process = Process::of(pid).unwrap_or_default();
    let master = answers.terminal.take().map(Terminal::open).transpose()?.map(Arc::new);
    let control = Control { answers, process, master: master.clone(), code: None };
    if let (Some((rows, columns)), Some(_)) = (spec.size, &master) {
        control.resize(rows, columns).await?;
    }
    let control = Box::new(control);
    Ok(match master {
        Some(master) => Exec {
            stdin: Some(Box::new(Half(master.clone()))),
            stdout: Box::new(Half(master)),
            stderr: None,
            control,
        },
        None => Exec {
            stdin: stdin.map(|pipe| Box::new(pipe) as Box<dyn AsyncWrite + Send + Unpin>),
            stdout: Box::new(stdout.expect("its output is piped")),
            stderr: stderr.map(|pipe| Box::new(pipe) as Box<dyn AsyncRead + Send + Unpin>),
            control,
        },
    })
}

/// Gone when the process runs: the folder keeps nothing of it.
struct Files {
    dir: Dir,
    name: String,
}

impl Drop for Files {
    fn drop(&mut self) {
        for ending in ["json", "sock", "process", "pid", "console"] {
            let _ = std::fs::remove_file(self.dir.0.join(format!("{}.{ending}", self.name)));
        }
    }
}

struct Answers {
    stream: UnixStream,
    buffer: Vec<u8>,
    terminal: Option<OwnedFd>,
}

impl Answers {
    async fn next(&mut self) -> Result<Answer> {
        let lost = |text: &str| Error::Shim { id: "exec".into(), text: text.to_owned() };
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(|error| lost(&error.to_string()));
            }
            if self.buffer.len() > ANSWER_LIMIT {
                return Err(lost("too long an answer"));
            }
            let ready = self.stream.readable().await;
            ready.map_err(Error::system("hear from a shim"))?;
            let received = self
                .stream
                .try_io(Interest::READABLE, || receive(&self.stream).map_err(io::Error::from));
            match received {
                Ok((bytes, _)) if bytes.is_empty() => return Err(lost("it ended without a word")),
                Ok((bytes, terminal)) => {
                    self.buffer.extend_from_slice(&bytes);
                    self.terminal = self.terminal.take().or(terminal);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Error::system("hear from a shim")(error)),
            }
        }
    }
}

fn receive(stream: &UnixStream) -> rustix::io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; 4096];
    let mut parts = [io::IoSliceMut::new(&mut bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let got = rustix::net::recvmsg(stream.as_fd(), &mut parts, &mut control, flags)?;
    let terminal = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    bytes.truncate(got.bytes);
    Ok((bytes, terminal))
}

struct Control {
    answers: Answers,
    process: Process,
    master: Option<Arc<Terminal>>,
    code: Option<i32>,
}

#[async_trait]
impl ExecControl for Control {
    async fn wait(&mut self) -> Result<i32> {
        if let Some(code) = self.code {
            return Ok(code);
        }
        loop {
            if let Answer::Exited { code } = self.answers.next().await? {
                self.code = Some(code);
                return Ok(code);
            }
        }
    }

    async fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        let Some(master) = &self.master else { return Ok(()) };
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(master.0.get_ref(), size)
            .map_err(|errno| Error::system("set a terminal's size")(errno.into()))
    }

    async fn signal(&self, signal: i32) -> Result<()> {
        self.process.signal(signal).map_err(Error::system("send a signal"))
    }
}

/// The master of a terminal; both halves of its traffic go through it.
struct Terminal(AsyncFd<OwnedFd>);

impl Terminal {
    fn open(fd: OwnedFd) -> Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)
            .map_err(|errno| Error::system("a terminal")(errno.into()))?;
        record::poll(fd).map(Self).map_err(Error::system("a terminal"))
    }
}

struct Half(Arc<Terminal>);

impl AsyncRead for Half {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.0.poll_read_ready(cx))?;
            let space = buf.initialize_unfilled();
            match guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut *space)?)) {
                Ok(Ok(read)) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                // Nobody has the other side open any more: its end.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => {
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_) => {}
            }
        }
    }
}

impl AsyncWrite for Half {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.0.poll_write_ready(cx))?;
            if let Ok(done) = guard.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                return Poll::Ready(done);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
