//! The three calls that no library offers safely, for a process of one thread.
#![allow(unsafe_code, reason = "fork, close_range and seccomp without a safe wrapper that fits")]

use std::io;

use nix::unistd::{ForkResult, fork};
use seccompiler::BpfProgram;

/// Go on twice. Only where there is one thread: then any code may follow in the child.
pub fn split() -> nix::Result<ForkResult> {
    // SAFETY: shims have one thread; nothing is held by another one.
    unsafe { fork() }
}

/// Close everything but standard input, output and error.
pub fn close_others() {
    // SAFETY: the caller goes on with none of the descriptors.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32);
    }
}

/// Install a filter, and nothing else: the library's own call also sets no-new-privileges, which a
/// container has only if it asks for it.
pub fn install(filter: &BpfProgram) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_ptr().cast_mut().cast(),
    };
    // SAFETY: the program lives over the call, and both types are the kernel's `sock_filter`.
    let done = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0u32, &raw const program)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
