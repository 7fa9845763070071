//! The files that a container finds although its image has them not: names of hosts, resolvers, its
//! own name.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use aws_agent::docker::HostConfig;
use host_runtime::Mount;
use sha2::{Digest, Sha256};

/// What goes into a container's files.
pub struct Names<'a> {
    pub hostname: &'a str,
    pub domainname: &'a str,
    pub address: Option<Ipv4Addr>,
    pub host: &'a HostConfig,
    /// `(address, names)` of linked containers.
    pub links: Vec<(Ipv4Addr, String)>,
    /// The names are the machine's own: the container has its network.
    pub shares_host: bool,
}

/// Docker: twelve hexadecimal digits.
pub fn hostname(container_id: &str) -> String {
    hex::encode(&Sha256::digest(container_id.as_bytes())[..6])
}

/// Docker: what stands for an address, of a host or of a name server, has to be one.
pub fn check_addresses(extra: &[String], servers: &[String]) -> Result<(), String> {
    let bad = |address: &str| address.parse::<IpAddr>().is_err();
    // The address may be an IPv6 one, with colons of its own.
    let hosts = extra.iter().map(|line| line.split_once(':').unwrap_or_default().1);
    if let Some(address) = hosts.into_iter().find(|address| bad(address)) {
        return Err(format!("invalid IP address in add-host: \"{address}\""));
    }
    match servers.iter().find(|server| bad(server)) {
        Some(server) => Err(format!("{server} is not an ip address")),
        None => Ok(()),
    }
}

impl Names<'_> {
    fn hosts(&self) -> String {
        let mut text = String::new();
        if self.shares_host {
            text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
        } else {
            text.push_str("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        }
        for extra in &self.host.extra_hosts {
            if let Some((name, address)) = extra.split_once(':') {
                text.push_str(&format!("{address}\t{name}\n"));
            }
        }
        for (address, names) in &self.links {
            text.push_str(&format!("{address}\t{names}\n"));
        }
        if let Some(address) = self.address {
            let full = match self.domainname {
                "" => String::new(),
                domain => format!("{}.{domain} ", self.hostname),
            };
            text.push_str(&format!("{address}\t{full}{}\n", self.hostname));
        }
        text
    }

    /// Docker: the host's resolvers, but not those that only the host itself reaches.
    fn resolvers(&self) -> String {
        let theirs = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let (dns, search, options) =
            (&self.host.dns, &self.host.dns_search, &self.host.dns_options);
        if self.shares_host && dns.is_empty() && search.is_empty() && options.is_empty() {
            return theirs;
        }
        let mut lines = Vec::new();
        let kept = |word: &'static str| theirs.lines().filter(move |line| line.starts_with(word));
        if dns.is_empty() {
            let local = |line: &&str| line.contains(" 127.") || line.contains(" ::1");
            lines.extend(
                kept("nameserver").filter(|l| self.shares_host || !local(l)).map(str::to_owned),
            );
        }
        lines.extend(dns.iter().map(|server| format!("nameserver {server}")));
        match search.is_empty() {
            true => lines.extend(kept("search").map(str::to_owned)),
            false => lines.push(format!("search {}", search.join(" "))),
        }
        match options.is_empty() {
            true => lines.extend(kept("options").map(str::to_owned)),
            false => lines.push(format!("options {}", options.join(" "))),
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// Write them into a folder; the mounts that show them. What the definition mounts itself is
    /// left to it.
    pub fn write(&self, dir: &Path, taken: &[Mount]) -> std::io::Result<Vec<Mount>> {
        std::fs::create_dir_all(dir)?;
        let mut mounts = Vec::new();
        for (name, text) in [
            ("hosts", self.hosts()),
            ("resolv.conf", self.resolvers()),
            ("hostname", format!("{}\n", self.hostname)),
        ] {
            let target = format!("/etc/{name}");
            if taken.iter().any(|mount| target_of(mount) == target) {
                continue;
            }
            let source = dir.join(name);
            std::fs::write(&source, text)?;
            mounts.push(bind(source, target, false));
        }
        Ok(mounts)
    }
}

pub fn bind(source: PathBuf, target: String, readonly: bool) -> Mount {
    Mount::Bind { source, target, readonly, recursive: true }
}

pub fn target_of(mount: &Mount) -> &str {
    match mount {
        Mount::Bind { target, .. } | Mount::Tmpfs { target, .. } => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_addresses() {
        let check = |line: &str| check_addresses(&[line.to_owned()], &[]);
        assert_eq!((check("a:10.0.0.1"), check("a:fd00::1")), (Ok(()), Ok(())));
        let text = "invalid IP address in add-host: \"bad\"".to_owned();
        assert_eq!(check("a:bad"), Err(text));
        assert!(check("a").is_err());
        let server = |given: &str| check_addresses(&[], &[given.to_owned()]);
        assert_eq!((server("10.0.0.2"), server("fd00::2")), (Ok(()), Ok(())));
        assert_eq!(server("bad"), Err("bad is not an ip address".to_owned()));
    }
}
