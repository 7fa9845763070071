//! The image of pause containers, made here: one static program of a few instructions. It ignores
//! SIGCHLD, by which the kernel reaps what is orphaned in its process namespace, and waits for ever.
//! Nothing has to be pulled for it, and no compiler is needed for another machine's instructions.

/// The tag of the image; another program must have another.
pub const TAG: &str = "pause-1";
pub const PROGRAM: &str = "/pause";

/// Where the program is in memory, and where its first instruction is in the file.
const BASE: u64 = 0x40_0000;
const HEADERS: u64 = 64 + 56;

/// `rt_sigaction(SIGCHLD, {SIG_IGN}, NULL, 8)`, then `pause()` for ever.
#[cfg(target_arch = "x86_64")]
const CODE: &[u8] = &[
    0xbf, 0x11, 0x00, 0x00, 0x00, // mov edi, 17
    0x48, 0x8d, 0x35, 0x1c, 0x00, 0x00, 0x00, // lea rsi, [rip + 28]: behind the instructions
    0x31, 0xd2, // xor edx, edx
    0x41, 0xba, 0x08, 0x00, 0x00, 0x00, // mov r10d, 8
    0xb8, 0x0d, 0x00, 0x00, 0x00, // mov eax, 13
    0x0f, 0x05, // syscall
    0xb8, 0x22, 0x00, 0x00, 0x00, // mov eax, 34
    0x0f, 0x05, // syscall
    0xeb, 0xf7, // jmp: the two above again
    0x00, 0x00, 0x00, 0x00,
];

/// `rt_sigaction(SIGCHLD, {SIG_IGN}, NULL, 8)`, then `ppoll(NULL, 0, NULL, NULL)` for ever.
#[cfg(not(target_arch = "x86_64"))]
const CODE: &[u8] = &[
    0x20, 0x02, 0x80, 0xd2, // mov x0, #17
    0x61, 0x01, 0x00, 0x10, // adr x1, 44 bytes on: behind the instructions
    0x02, 0x00, 0x80, 0xd2, // mov x2, #0
    0x03, 0x01, 0x80, 0xd2, // mov x3, #8
    0xc8, 0x10, 0x80, 0xd2, // mov x8, #134
    0x01, 0x00, 0x00, 0xd4, // svc #0
    0x00, 0x00, 0x80, 0xd2, // mov x0, #0
    0x01, 0x00, 0x80, 0xd2, // mov x1, #0
    0x03, 0x00, 0x80, 0xd2, // mov x3, #0
    0x28, 0x09, 0x80, 0xd2, // mov x8, #73
    0x01, 0x00, 0x00, 0xd4, // svc #0
    0xfb, 0xff, 0xff, 0x17, // b: the five above again
];

/// A handler of 1 is SIG_IGN; no flags, no restorer, no mask.
const ACTION: [u64; 4] = [1, 0, 0, 0];

/// An ELF file: its header, one segment to load, the instructions and what they read.
fn program() -> Vec<u8> {
    let machine: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    let size = HEADERS + CODE.len() as u64 + size_of_val(&ACTION) as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    // An executable for a machine, version 1.
    [2, machine].into_iter().for_each(|value| half(&mut file, value));
    word(&mut file, 1);
    // Entry, program headers, no section headers, no flags.
    [BASE + HEADERS, 64, 0].into_iter().for_each(|value| long(&mut file, value));
    word(&mut file, 0);
    [64, 56, 1, 0, 0, 0].into_iter().for_each(|value| half(&mut file, value));
    // To be loaded, readable and executable: the whole file.
    [1, 5].into_iter().for_each(|value| word(&mut file, value));
    [0, BASE, BASE, size, size, 0x1000].into_iter().for_each(|value| long(&mut file, value));
    file.extend(CODE);
    ACTION.into_iter().for_each(|value| long(&mut file, value));
    file
}

/// The image's root, as an archive.
pub fn root() -> Vec<u8> {
    let program = program();
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(program.len() as u64);
    let mut archive = tar::Builder::new(Vec::new());
    let written = archive
        .append_data(&mut header, PROGRAM.trim_start_matches('/'), &*program)
        .and_then(|()| archive.into_inner());
    written.expect("memory takes whatever is written")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    /// The system calls that it makes are those that are meant, and it does not end by itself.
    #[test]
    fn the_program_ignores_its_children_and_waits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pause");
        std::fs::write(&path, program()).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let mut child = Command::new(&path).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let ignored = || {
            let text = std::fs::read_to_string(&status).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap() & 1 << 16 != 0
        };
        while !ignored() {
            assert_eq!(child.try_wait().unwrap(), None);
            std::thread::yield_now();
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(child.wait().unwrap().signal(), Some(15));
    }
}
