//! The few calls that no library offers safely, for a process of one thread.
#![allow(
    unsafe_code,
    reason = "fork, close_range, seccomp and bpf without a safe wrapper that fits"
)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

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

/// Let go of pages of this program's own file: whoever needs one again finds it in the page cache.
/// The range is of a mapping that nobody has written to, or what was written would be lost.
pub fn let_go_of(from: usize, to: usize) {
    // SAFETY: the pages are those of a file and unchanged, so a later access reads the same bytes.
    unsafe {
        libc::madvise(from as *mut libc::c_void, to - from, libc::MADV_DONTNEED);
    }
}

/// One of the kernel's own machine.
#[repr(C)]
pub struct Instruction {
    pub code: u8,
    pub registers: u8,
    pub offset: i16,
    pub value: i32,
}

/// The beginning of what `BPF_PROG_LOAD` takes; the kernel reads the rest as zero.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Let a program decide about a group's devices; it goes with the group.
pub fn confine_devices(group: &File, program: &[Instruction]) -> io::Result<()> {
    const PROG_LOAD: i32 = 5;
    const PROG_ATTACH: i32 = 8;
    const CGROUP_DEVICE_PROGRAM: u32 = 15;
    const CGROUP_DEVICE: u32 = 6;
    const ALLOW_MULTI: u32 = 2;
    let licence = c"Apache-2.0";
    let load = Load {
        kind: CGROUP_DEVICE_PROGRAM,
        count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        licence: licence.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: all that `load` points to lives over the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just given it to us alone.
    let loaded = unsafe { OwnedFd::from_raw_fd(fd) };
    let attach = Attach {
        target: group.as_raw_fd().cast_unsigned(),
        program: loaded.as_raw_fd().cast_unsigned(),
        kind: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: it reads a struct of the size that it is told.
    let done = unsafe {
        libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attach, size_of::<Attach>())
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
