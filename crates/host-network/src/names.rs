//! What a container's /etc/hosts and /etc/resolv.conf say: plain functions from what the task definition asks and what
//! the host has to the files' text, as Docker writes them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use crate::ports::Protocol;

/// A hosts or resolver file of the host is read up to this size; what follows is left out.
const LIMIT: usize = 64 << 10;

/// A container that another one names in `links`.
#[derive(Clone, Debug)]
pub struct Link<'a> {
    pub address: Ipv4Addr,
    /// The part behind the colon of `name:alias`, or the name.
    pub alias: &'a str,
    /// The container's name in the task definition.
    pub name: &'a str,
    /// Its hostname.
    pub hostname: &'a str,
    /// Its exposed ports.
    pub ports: &'a [(u16, Protocol)],
    /// Its environment.
    pub environment: &'a [(String, String)],
}

/// What a container's /etc/hosts is made of.
#[derive(Clone, Debug, Default)]
pub struct Hosts<'a> {
    /// Absent for `none`, whose file has the loopback alone.
    pub address: Option<Ipv4Addr>,
    pub hostname: &'a str,
    pub domain: Option<&'a str>,
    /// `extraHosts`: name and address.
    pub extra: &'a [(String, String)],
    pub links: &'a [Link<'a>],
}

/// The text of /etc/hosts.
pub fn hosts(hosts: &Hosts<'_>) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n\
         ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    let mut line = |address: &dyn std::fmt::Display, names: &[&str]| {
        let mut seen = BTreeSet::new();
        let names: Vec<_> =
            names.iter().filter(|name| !name.is_empty() && seen.insert(**name)).copied().collect();
        let _ = writeln!(text, "{address}\t{}", names.join(" "));
    };
    for (name, address) in hosts.extra {
        line(address, &[name]);
    }
    for link in hosts.links {
        line(&link.address, &[link.alias, link.hostname, link.name]);
    }
    if let Some(address) = hosts.address {
        let full =
            hosts.domain.map(|domain| format!("{}.{domain}", hosts.hostname)).unwrap_or_default();
        line(&address, &[&full, hosts.hostname]);
    }
    text
}

/// The variables that Docker's links put into the linking container's environment.
pub fn link_environment(own_name: &str, link: &Link<'_>) -> Vec<(String, String)> {
    let prefix: String =
        link.alias.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_uppercase() }).collect();
    let mut variables = vec![(format!("{prefix}_NAME"), format!("/{own_name}/{}", link.alias))];
    let mut ports = link.ports.to_vec();
    ports.sort_unstable_by_key(|(port, protocol)| (*protocol, *port));
    let url = |port: u16, protocol: Protocol| format!("{protocol}://{}:{port}", link.address);
    if let Some((port, protocol)) = ports.first() {
        variables.push((format!("{prefix}_PORT"), url(*port, *protocol)));
    }
    for (port, protocol) in &ports {
        let base = format!("{prefix}_PORT_{port}_{}", protocol.to_string().to_ascii_uppercase());
        variables.push((base.clone(), url(*port, *protocol)));
        variables.push((format!("{base}_ADDR"), link.address.to_string()));
        variables.push((format!("{base}_PORT"), port.to_string()));
        variables.push((format!("{base}_PROTO"), protocol.to_string()));
    }
    let shown = link.environment.iter().filter(|(name, _)| name != "PATH" && name != "HOME");
    variables.extend(shown.map(|(name, value)| (format!("{prefix}_ENV_{name}"), value.clone())));
    variables
}

/// What a container's /etc/resolv.conf is made of.
#[derive(Clone, Debug, Default)]
pub struct Resolver<'a> {
    /// `dnsServers`
    pub servers: &'a [String],
    /// `dnsSearchDomains`; a single "." means none at all.
    pub search: &'a [String],
    /// The host's /etc/resolv.conf.
    pub host: &'a str,
    /// The file in which a local resolver (systemd's) keeps the servers that it asks itself.
    pub upstream: &'a str,
    /// Asked where the host has no server that a container can reach.
    pub fallback: &'a [IpAddr],
}

/// The text of /etc/resolv.conf. Servers on the host's own loopback can't be reached from a container's network, so the
/// servers behind them are named; a container has no IPv6, so servers that need it are left out.
pub fn resolv_conf(resolver: &Resolver<'_>) -> String {
    let host = read(resolver.host);
    let mut servers: Vec<String> = resolver.servers.to_vec();
    if servers.is_empty() {
        let reachable = |found: Vec<IpAddr>| -> Vec<String> {
            let far = found
                .into_iter()
                .filter(|a| a.is_ipv4() && !a.is_loopback() && !a.is_unspecified());
            far.map(|address| address.to_string()).collect()
        };
        servers = reachable(host.servers);
        if servers.is_empty() {
            servers = reachable(read(resolver.upstream).servers);
        }
        if servers.is_empty() {
            servers = resolver.fallback.iter().map(IpAddr::to_string).collect();
        }
    }
    let search = match resolver.search {
        [] => host.search,
        [dot] if dot == "." => Vec::new(),
        given => given.to_vec(),
    };
    let mut text = String::new();
    for server in &servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !search.is_empty() {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    if !host.options.is_empty() {
        let _ = writeln!(text, "options {}", host.options.join(" "));
    }
    text
}

#[derive(Default)]
struct Read {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    options: Vec<String>,
}

fn read(text: &str) -> Read {
    let mut end = text.len().min(LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut found = Read::default();
    for line in text[..end].lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let keyword = words.next();
        let words = words.map(str::to_owned);
        match keyword {
            Some("nameserver") => found.servers.extend(words.take(1).filter_map(|word| {
                // A link-local server carries its link behind a percent sign.
                word.split('%').next().and_then(|word| word.parse::<IpAddr>().ok())
            })),
            // The last of them counts, as for the C library.
            Some("search" | "domain") => found.search = words.filter(|word| word != ".").collect(),
            Some("options") => found.options.extend(words),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn hosts_has_extra_hosts_links_and_itself() {
        let extra = [("db.test".to_owned(), "10.0.0.9".to_owned())];
        let links = [Link {
            address: Ipv4Addr::new(172, 17, 0, 3),
            alias: "db",
            name: "database",
            hostname: "database",
            ports: &[],
            environment: &[],
        }];
        let text = hosts(&Hosts {
            address: Some(Ipv4Addr::new(172, 17, 0, 2)),
            hostname: "web",
            domain: Some("test"),
            extra: &extra,
            links: &links,
        });
        let lines: Vec<_> = text.lines().skip(6).collect();
        assert_eq!(
            lines,
            ["10.0.0.9\tdb.test", "172.17.0.3\tdb database", "172.17.0.2\tweb.test web"]
        );
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"));
    }

    #[test]
    fn a_link_tells_ports_and_environment() {
        let environment =
            [("USER".to_owned(), "me".to_owned()), ("PATH".to_owned(), "/bin".to_owned())];
        let link = Link {
            address: Ipv4Addr::new(172, 17, 0, 3),
            alias: "my-db",
            name: "db",
            hostname: "db",
            ports: &[(5432, Protocol::Tcp)],
            environment: &environment,
        };
        let expected = [
            ("MY_DB_NAME", "/web/my-db"),
            ("MY_DB_PORT", "tcp://172.17.0.3:5432"),
            ("MY_DB_PORT_5432_TCP", "tcp://172.17.0.3:5432"),
            ("MY_DB_PORT_5432_TCP_ADDR", "172.17.0.3"),
            ("MY_DB_PORT_5432_TCP_PORT", "5432"),
            ("MY_DB_PORT_5432_TCP_PROTO", "tcp"),
            ("MY_DB_ENV_USER", "me"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(link_environment("web", &link), expected);
    }

    #[test]
    fn a_resolver_on_the_loopback_gives_way_to_those_behind_it() {
        let host = "nameserver 127.0.0.53 # local\noptions edns0 trust-ad\nsearch example.test .\n";
        let upstream = "nameserver 10.1.1.1\nnameserver fe80::1%eth0\n";
        let from_upstream = resolv_conf(&Resolver { host, upstream, ..Resolver::default() });
        assert_eq!(
            from_upstream,
            "nameserver 10.1.1.1\nsearch example.test\noptions edns0 trust-ad\n"
        );
        let fallback = [IpAddr::from([10, 0, 0, 1])];
        let alone = resolv_conf(&Resolver {
            host: "nameserver ::1\n",
            fallback: &fallback,
            ..Resolver::default()
        });
        assert_eq!(alone, "nameserver 10.0.0.1\n");
    }

    #[test]
    fn the_task_definition_goes_before_the_host() {
        let (servers, search) = (strings(&["10.9.9.9"]), strings(&["svc.test"]));
        let host = "nameserver 10.1.1.1\nsearch example.test\n";
        let text = resolv_conf(&Resolver {
            servers: &servers,
            search: &search,
            host,
            ..Resolver::default()
        });
        assert_eq!(text, "nameserver 10.9.9.9\nsearch svc.test\n");
        let none = strings(&["."]);
        let text = resolv_conf(&Resolver { search: &none, host, ..Resolver::default() });
        assert_eq!(text, "nameserver 10.1.1.1\n");
    }

    proptest! {
        #[test]
        fn any_file_of_the_host_gives_servers_that_can_be_reached(text in "(nameserver |search |[ -~é]{0,12}\n){0,12}") {
            let written = resolv_conf(&Resolver { host: &text, ..Resolver::default() });
            for server in read(&written).servers {
                prop_assert!(server.is_ipv4() && !server.is_loopback());
            }
        }
    }
}
