//! Settings of a network namespace. `/proc/sys/net` shows each thread the namespace that the thread is in.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// A fresh namespace of a task: ports below 1024 and ping need no privilege in it, as in Docker's, and links that come
/// later speak IPv4 only.
pub const TASK: [(&str, &str); 3] = [
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    ("net/ipv4/ping_group_range", "0 2147483647"),
    ("net/ipv6/conf/default/disable_ipv6", "1"),
];

/// Writes a setting unless it has the value already.
pub fn write(name: &str, value: &str) -> Result<()> {
    let path = Path::new("/proc/sys").join(name);
    if fs::read_to_string(&path).is_ok_and(|now| now.trim_end() == value) {
        return Ok(());
    }
    fs::write(&path, value).map_err(|e| Error::file("write the setting", path, e))
}

/// Writes a setting that this kernel may lack.
pub fn try_write(name: &str, value: &str) {
    if let Err(error) = fs::write(Path::new("/proc/sys").join(name), value) {
        tracing::debug!(name, %error, "a setting was not taken");
    }
}

pub fn read(name: &str) -> Result<String> {
    let path = Path::new("/proc/sys").join(name);
    let text = fs::read_to_string(&path).map_err(|e| Error::file("read the setting", path, e))?;
    Ok(text.trim_end().to_owned())
}
