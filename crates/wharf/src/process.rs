//! What the operating system tells of processes, and words for shells.

use std::os::linux::fs::MetadataExt;

pub fn is_root() -> bool {
    // The owner of our own /proc entry is our effective user.
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.st_uid() == 0)
}

/// When a process started, in the kernel's ticks since boot: with its id it names one process, also
/// after the id was given to another. `None` where there is no such process.
pub fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let rest = &stat[stat.rfind(')')? + 1..];
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    (state != "Z" && state != "X").then_some(started)
}

/// Whether SIGHUP is ignored: what is ignored at the start stays so.
pub fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 != 0)
}

/// A word that a POSIX shell reads back as this text.
pub fn shell_quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/:._-+=@%,".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The one call that the borrow checker can't judge.
#[allow(unsafe_code)]
mod raw {
    use nix::sys::signal::{SigHandler, Signal, signal};

    /// End in silence when whoever reads our output has gone, as in `wharf … | head`. Rust ignores that
    /// signal, which is right for servers: a client that hangs up must not end them.
    pub fn end_with_reader() {
        // SAFETY: what makes this unsafe is a handler that runs at any time, and there is none.
        let done = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
        done.expect("the signal exists and may be left to its default");
    }
}

pub use raw::end_with_reader;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_itself_and_not_the_dead() {
        assert!(started(std::process::id()).is_some());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert_eq!(started(pid), None);
    }

    #[test]
    fn words_survive_the_shell() {
        for text in ["", "plain", "a b", "it's", "$(rm x)", "a\nb", "`x`", "\"", "back\\slash"] {
            let script = format!("printf %s {}", shell_quoted(text));
            let out = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), text);
        }
    }
}
