//! A shim that waits weighs little: what it needed for making its container goes back to the kernel.
//!
//! Its program is shared with all other shims, but each page of it that a shim has touched counts as
//! resident for that shim. Once the container runs, a shim needs a handful of those pages.

use std::fs;

use super::kernel::let_go_of;

/// Before a long wait. Nothing is lost by it, so nothing of it can fail.
pub fn give_back() {
    let Ok(text) = fs::read_to_string("/proc/self/smaps") else { return };
    for (from, to) in untouched(&text) {
        let_go_of(from, to);
    }
}

/// Mappings of files that cannot be written to and of which no page is this process's own copy: a
/// page with relocated addresses in it is one, and has nowhere to come back from.
fn untouched(smaps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        if let Some(range) = range(line) {
            candidate = range;
        } else if line.strip_prefix("Anonymous:").is_some_and(|rest| rest.trim() == "0 kB") {
            found.extend(candidate.take());
        }
    }
    found
}

/// `Some` at a mapping's first line; within, its range where it is one of a file and read-only.
fn range(line: &str) -> Option<Option<(usize, usize)>> {
    let mut words = line.split_ascii_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let (from, to) = (usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?);
    let access = words.next()?;
    let inode = words.nth(2)?;
    let ours = from < to && matches!(access, "r--p" | "r-xp") && inode != "0";
    Some(ours.then_some((from, to)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_unchanged_pages_of_files_go() {
        let text = "\
00400000-00500000 r-xp 00001000 fe:00 77         /wharf (deleted)
Size:               1024 kB
Anonymous:             0 kB
00500000-00600000 r--p 00101000 fe:00 77         /wharf (deleted)
Anonymous:            64 kB
00600000-00700000 rw-p 00201000 fe:00 77         /wharf (deleted)
Anonymous:             0 kB
7f0000000000-7f0000001000 r-xp 00000000 00:00 0  [vdso]
Anonymous:             0 kB
";
        assert_eq!(untouched(text), [(0x40_0000, 0x50_0000)]);
    }

    #[test]
    fn one_goes_on_as_before() {
        give_back();
        assert_eq!("wharf".to_uppercase(), "WHARF");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,200}") {
            untouched(&text);
        }
    }
}
