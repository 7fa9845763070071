//! A tiny init for `initProcessEnabled`: pid 1 passes signals on to its one child and reaps all
//! others. In the embedded runtime it is this very program, going on where it would have become the
//! container's: nothing has to be put into the image.

use std::path::{Path, PathBuf};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};

use super::kernel::{close_others, split};
use crate::error::{Error, Result};

/// Programs of that kind which a machine may have, for runc.
const PROGRAMS: &[&str] = &[
    "/usr/libexec/docker/docker-init",
    "/usr/bin/docker-init",
    "/usr/sbin/docker-init",
    "/usr/bin/tini-static",
    "/usr/local/bin/docker-init",
    "/usr/libexec/podman/catatonit",
    "/usr/bin/catatonit",
    "/usr/bin/tini",
];

pub fn program() -> Result<PathBuf> {
    PROGRAMS.iter().map(PathBuf::from).find(|path| Path::new(path).exists()).ok_or_else(|| {
        Error::Unsupported(
            "an init process was asked for, and runc needs docker-init, tini or catatonit on this \
             machine"
                .into(),
        )
    })
}

/// Returns in the child alone; this process becomes the init and leaves with the child's code.
pub fn become_init() -> nix::Result<()> {
    let all = SigSet::all();
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), Some(&mut before))?;
    match split()? {
        ForkResult::Child => {
            let _ = nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
            // Of the terminal's foreground, so that it can read and Ctrl-C reaches it.
            let _ = nix::unistd::tcsetpgrp(std::io::stdin(), nix::unistd::getpid());
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
            Ok(())
        }
        ForkResult::Parent { child } => {
            let _ = std::fs::write("/proc/self/comm", "docker-init");
            let _ = nix::unistd::chdir("/");
            close_all();
            std::process::exit(reap(child, &all))
        }
    }
}

/// Waits to be ended, and reaps. Namespaces that several containers share live as long as it does.
pub fn pause() -> ! {
    let all = SigSet::all();
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), None);
    let _ = std::fs::write("/proc/self/comm", "pause");
    close_all();
    loop {
        match all.wait() {
            Ok(Signal::SIGTERM | Signal::SIGINT) => std::process::exit(0),
            _ => {
                while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                    if status == WaitStatus::StillAlive {
                        break;
                    }
                }
            }
        }
    }
}

/// Pipes held here would hide from the shim that the program has closed them.
fn close_all() {
    if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&null);
        for number in 0..=2 {
            let _ = nix::unistd::dup2(fd, number);
        }
    }
    close_others();
}

fn reap(child: Pid, all: &SigSet) -> i32 {
    loop {
        let Ok(signal) = all.wait() else { continue };
        if signal != Signal::SIGCHLD {
            let _ = kill(child, signal);
            continue;
        }
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == child => return code,
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                    return 128 + signal as i32;
                }
                Ok(WaitStatus::StillAlive) | Err(_) => break,
                Ok(_) => {}
            }
        }
    }
}
