//! Options that every driver has, and how they are written: sizes, counts, durations.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::LogError;

/// What a container's own files may hold, from `max-size` and `max-file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub file_bytes: u64,
    pub files: u32,
}

/// What happens when a driver does not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffering {
    /// The container waits in its write.
    Wait,
    /// What comes while so many bytes are not delivered yet is dropped.
    Drop { bytes: u64 },
}

/// Options under their names; what is taken is known, what is left is a mistake.
pub(crate) struct Options<'a> {
    driver: &'static str,
    left: BTreeMap<&'a str, &'a str>,
}

/// Common to all drivers; read before a driver sees its own.
const SHARED: &[&str] = &["mode", "max-buffer-size", "cache-disabled", "cache-max-size"];

impl<'a> Options<'a> {
    pub fn new(driver: &'static str, given: &'a BTreeMap<String, String>) -> Self {
        let own = given.iter().filter(|(name, _)| !SHARED.contains(&&name[..]));
        Options { driver, left: own.map(|(name, value)| (&name[..], &value[..])).collect() }
    }

    pub fn take(&mut self, name: &'static str) -> Option<&'a str> {
        self.left.remove(name)
    }

    pub fn parse<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, LogError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let bad = || self.bad(name, format!("{text} is not understood"));
        text.parse().map(Some).map_err(|_| bad())
    }

    pub fn bad(&self, option: &'static str, why: impl Into<String>) -> LogError {
        LogError::BadOption { driver: self.driver, option, why: why.into() }
    }

    /// Docker: an option that a driver does not know keeps the container from starting.
    pub fn finish(self) -> Result<(), LogError> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(option) => {
                Err(LogError::UnknownOption { driver: self.driver, option: (*option).to_owned() })
            }
        }
    }
}

/// Docker's sizes: a number with an optional b, k, m, g (and a further b), in powers of 1024.
pub(crate) fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].trim_end_matches('b');
    let shift = match unit.trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The retention that options ask for. Docker keeps everything by default; a host that lives on
/// keeps the last 100 MiB of a container.
pub fn retention(given: &BTreeMap<String, String>) -> Result<Retention, LogError> {
    let driver = "json-file";
    let bad = |option, why: &str| LogError::BadOption { driver, option, why: why.to_owned() };
    let file_bytes = match given.get("max-size").map(String::as_str) {
        None | Some("-1") => None,
        Some(text) => Some(
            size(text)
                .filter(|bytes| *bytes > 0)
                .ok_or_else(|| bad("max-size", "it is no size"))?,
        ),
    };
    let files = match given.get("max-file") {
        None => None,
        Some(text) => {
            let files: u32 = text.parse().map_err(|_| bad("max-file", "it is no number"))?;
            match files {
                0 => return Err(bad("max-file", "it must be at least 1")),
                2.. if file_bytes.is_none() => return Err(bad("max-file", "it needs max-size")),
                files => Some(files),
            }
        }
    };
    Ok(match file_bytes {
        None => Retention { file_bytes: 20 << 20, files: 5 },
        Some(file_bytes) => Retention { file_bytes, files: files.unwrap_or(1) },
    })
}

/// AWS: Docker's own default is 1 MiB, ECS's is this.
const BUFFER: u64 = 10 << 20;

/// `mode` and `max-buffer-size`. AWS: since 2025 the mode is non-blocking unless an account says
/// otherwise, so the caller tells what is meant where nothing is given.
pub fn buffering(
    given: &BTreeMap<String, String>,
    default: Buffering,
) -> Result<Buffering, LogError> {
    let bad = |option, why: String| LogError::BadOption { driver: "log", option, why };
    let bytes = match given.get("max-buffer-size") {
        None => None,
        Some(text) => {
            Some(size(text).ok_or_else(|| bad("max-buffer-size", format!("{text} is no size")))?)
        }
    };
    match given.get("mode").map(String::as_str) {
        Some("blocking") if bytes.is_some() => {
            Err(bad("max-buffer-size", "it needs mode non-blocking".to_owned()))
        }
        Some("blocking") => Ok(Buffering::Wait),
        Some("non-blocking") => Ok(Buffering::Drop { bytes: bytes.unwrap_or(BUFFER) }),
        None => Ok(match (default, bytes) {
            (Buffering::Drop { .. }, Some(bytes)) => Buffering::Drop { bytes },
            (default, _) => default,
        }),
        Some(other) => Err(bad("mode", format!("{other} is neither blocking nor non-blocking"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("10"), Some(10));
        assert_eq!(size("10k"), Some(10 << 10));
        assert_eq!(size("1MB"), Some(1 << 20));
        assert_eq!(size("2gib"), Some(2 << 30));
        for bad in ["", "x", "-1", "1.5m", "99999999999g", "1t"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn rotation_and_buffers() {
        let given = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        let two = given(&[("max-size", "1k"), ("max-file", "2")]);
        assert_eq!(retention(&two).unwrap(), Retention { file_bytes: 1024, files: 2 });
        assert!(retention(&given(&[("max-file", "2")])).is_err());
        assert!(retention(&given(&[("max-size", "no")])).is_err());
        let default = Buffering::Wait;
        let mode = |pairs: &[(&str, &str)]| buffering(&given(pairs), default);
        assert_eq!(mode(&[]).unwrap(), Buffering::Wait);
        let drops = mode(&[("mode", "non-blocking"), ("max-buffer-size", "4m")]).unwrap();
        assert_eq!(drops, Buffering::Drop { bytes: 4 << 20 });
        let unsaid = mode(&[("mode", "non-blocking")]).unwrap();
        assert_eq!(unsaid, Buffering::Drop { bytes: 10 << 20 });
        let sized = buffering(&given(&[("max-buffer-size", "25m")]), unsaid).unwrap();
        assert_eq!(sized, Buffering::Drop { bytes: 25 << 20 });
        assert!(mode(&[("mode", "sometimes")]).is_err());
        assert!(mode(&[("mode", "blocking"), ("max-buffer-size", "4m")]).is_err());
    }
}
